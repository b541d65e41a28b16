"""Serving: an artifact and a program become something to call, with its engines around it."""
