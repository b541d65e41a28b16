"""Redaction: what identifies a person is found by rules, hidden from models, and put back."""
