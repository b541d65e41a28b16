"""Whether there is anything to gain: asked before most of the budget is spent, and while it is.

Most runs that end below their baseline could have known early: a handful of diverse candidates
that all score alike says that prompts do not matter here (arXiv 2604.14585).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics.mixed import Fit

__all__ = ["WORTH", "full", "nothing_to_gain"]

WORTH = 0.02  # a gain below this is not worth a search
_DOUBT = 0.2  # the chance of such a gain under which a search ends
_FULL = 0.995  # a baseline above this leaves nothing to find
_FEWEST = 40  # cells of candidates, the baseline's not counted, before anything is said
_SURE = 30  # examples of the baseline before anything is said


def full(scores: Sequence[float]) -> bool:
    """Whether the baseline's scores leave nothing to find, on 30 examples or more.

    >>> full([1.0] * 30), full([1.0] * 10)
    (True, False)
    """
    return len(scores) >= _SURE and sum(scores) / len(scores) >= _FULL


def nothing_to_gain(found: Fit | None, *, seed: int) -> bool:
    """Whether candidates so far make a gain above 0.02 by any of them less likely than 1 in 5.

    Nothing is said before candidates have 40 cells and the baseline 30: what was not tried cannot
    tell, and what all candidates have in common on a few examples says little of others.
    """
    if found is None:
        return False
    tried = {name for name in found.names if found.gain(name).sd > 0}  # the baseline's is known
    cells = sum(found.counts[name] for name in tried)
    if cells < _FEWEST or sum(found.counts.values()) - cells < _SURE:
        return False
    return found.chance_of(WORTH, seed=seed) < _DOUBT
