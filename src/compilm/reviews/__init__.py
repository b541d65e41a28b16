"""Questions that wait for a person: list, claim, answer, expire."""
