"""compilm beside its peers: what a call costs, and what becomes of it when providers fail."""
