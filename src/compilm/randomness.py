"""Random generators made from a seed and a label, one per choice: no hidden state to save.

A choice that is labelled draws the same numbers whatever was drawn elsewhere, in whatever order
and on however many threads. That is what makes a killed run go on exactly as it would have.
"""

from __future__ import annotations

import random

from . import canonical

__all__ = ["rng"]


def rng(seed: int, *label: str | int) -> random.Random:
    """A generator for the choice named by `label` in the run with this `seed`.

    >>> rng(0, "demos", 3).random() == rng(0, "demos", 3).random()
    True
    >>> rng(0, "demos", 3).random() == rng(0, "demos", 4).random()
    False
    """
    return random.Random(int(canonical.digest([seed, *label])[7:39], 16))
