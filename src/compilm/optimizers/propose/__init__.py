"""Proposers: what to try next, from what the run has seen, as changes for predictors."""
