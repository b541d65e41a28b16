"""Checks of what goes in and what comes out, as modules: redaction, injection, grounding, form."""
