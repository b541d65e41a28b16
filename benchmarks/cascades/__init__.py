"""Escalation on recorded outcomes: what is kept of accuracy, and what it costs."""
