"""DSPy's own optimizers, unmodified, under a compile's budget, journal and held-out proof."""
