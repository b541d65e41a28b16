"""How small a true gain the verdict's whole rule sees, told before and after it is asked."""

from __future__ import annotations

import math
from collections.abc import Container
from statistics import NormalDist
from typing import Final, NamedTuple

from .verdict import HeldOut, Verdict, judge

__all__ = ["SD", "Power", "least_proven", "power_of"]

SD: Final = 0.49  # of the differences of 0/1 scores of mean 0.6 whose pairs correlate by 0.5
_SEARCH: Final = 0.0, 0.05**2 + 0.08**2  # one that says nothing: the priors of `metrics/mixed.py`
_SHIPPED: Final[frozenset[Verdict]] = frozenset({"proven", "likely"})


class Power(NamedTuple):
    """The least chances that a true gain is proven, and that it is shipped: proven or likely."""

    proven: float
    shipped: float


def power_of(gain: float, n: int, *, sd: float = SD) -> Power:
    """The chance that `n` held-out pairs lead to each verdict on a true gain of `gain`.

    A lower bound from 30 pairs on, below which 0/1 scores are proven less often: it is that of a
    search which says nothing of its winner. A mean difference m passes from some threshold c
    upwards, so the chance is Phi((gain - c)·√n/sd). `sd` is that of the differences,
    √(2p(1-p)(1-r)) for 0/1 scores of mean p whose pairs correlate by r; by default p = 0.6,
    r = 0.5.

    >>> proven, shipped = power_of(0.05, 300)
    >>> f"{proven:.0%} {shipped:.0%}"
    '18% 59%'
    """
    error = sd / math.sqrt(max(n, 1))
    proven = _threshold(n, error, {"proven"})
    shipped = _threshold(n, error, _SHIPPED)
    return Power(*(NormalDist().cdf((gain - least) / error) for least in (proven, shipped)))


def least_proven(n: int, *, sd: float = SD, power: float = 0.8) -> float:
    """The smallest true gain, at most 1, that `n` held-out pairs prove with the chance `power`.

    c + z_power·sd/√n, with c and `sd` as in `power_of`. It is 1 where there are too few pairs to
    prove any.

    >>> round(least_proven(100), 3), least_proven(9)
    (0.173, 1.0)
    """
    error = sd / math.sqrt(max(n, 1))
    return min(1.0, _threshold(n, error, {"proven"}) + NormalDist().inv_cdf(power) * error)


def _threshold(n: int, error: float, verdicts: Container[Verdict]) -> float:
    """The smallest held-out mean that leads to one of `verdicts`, by bisection; `inf` if none."""
    normal = NormalDist().inv_cdf(0.975)

    def passes(mean: float) -> bool:
        held = HeldOut(mean, error**2, mean - normal * error, mean + normal * error, n)
        return judge(_SEARCH, held).verdict in verdicts

    low, high = 0.0, 20 * error
    if not passes(high):
        return math.inf
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
