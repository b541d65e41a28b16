"""What to believe of a gain: the probability that it is one, and how small a one can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Final, NamedTuple, SupportsFloat

from ..errors import UsageError
from .distributions import binomial_count, t_below

__all__ = [
    "Posterior",
    "minimum_detectable",
    "posterior_gain",
    "present",
    "probability_better",
]

PRIOR_COUNT: Final = 3.0
PRIOR_SD: Final = 0.25


class Posterior(NamedTuple):
    """The normal posterior of a gain: its mean, its standard deviation, and P(gain > 0)."""

    mean: float
    sd: float
    probability: float


def probability_better(differences: Iterable[SupportsFloat | None], *, scale: float = 1.0) -> float:
    """P+, the posterior probability that a candidate is better, from its paired differences.

    Differences of 0/1 scores (all -1, 0 or 1): with W wins and L losses and a uniform prior on
    the share of wins, P+ = P(Beta(W+1, L+1) > 1/2) = P(Binomial(W+L+1, 1/2) <= W), exactly.
    Graded ones: P+ = T_v(mean·√n / √((S²(n-1) + s0²·n0) / v')), where v' = n-1+n0 are also the
    degrees of freedom: a flat prior on the mean, and n0 = 3 pseudo-observations of the standard
    deviation s0 = 0.25·`scale` (the width of the range of scores) on the variance (Gelman et al.,
    Bayesian Data Analysis, 3rd ed., section 3.3).

    >>> probability_better([1, 1, 0, -1])
    0.6875
    """
    values = present(differences)
    if not 0 < scale < math.inf:
        raise UsageError(f"scale={scale!r}: the width of the range of scores is above 0")
    if set(values) <= {-1.0, 0.0, 1.0}:
        wins = values.count(1.0)
        trials = wins + values.count(-1.0) + 1
        return binomial_count(trials, wins) / (1 << trials)
    n = len(values)
    mean = math.fsum(values) / n
    squares = math.fsum((value - mean) ** 2 for value in values)
    freedom = n - 1 + PRIOR_COUNT
    sd = math.sqrt((squares + (PRIOR_SD * scale) ** 2 * PRIOR_COUNT) / freedom)
    return t_below(mean * math.sqrt(n) / sd, freedom)


def posterior_gain(selection: tuple[float, float], holdout: tuple[float, float]) -> Posterior:
    """What the examples of the search and those held out say together about the gain.

    Each is (mean, variance of that mean), both normal; they are combined by precision:
    gain ~ N((m_s/v_s + m_h/v_h) / (1/v_s + 1/v_h), 1 / (1/v_s + 1/v_h)). Hand in a selection mean
    already shrunk for the winner's curse, or the curse is in the answer.

    >>> posterior_gain((0.04, 0.0004), (0.06, 0.0004)).mean
    0.05
    """
    for name, (mean, variance) in (("selection", selection), ("holdout", holdout)):
        if not (math.isfinite(mean) and 0 < variance < math.inf):
            raise UsageError(
                f"{name}={(mean, variance)!r}: give a finite mean and its variance, above 0"
            )
    weights = 1 / selection[1], 1 / holdout[1]
    mean = (selection[0] * weights[0] + holdout[0] * weights[1]) / sum(weights)
    sd = math.sqrt(1 / sum(weights))
    return Posterior(mean, sd, 1 - NormalDist(mean, sd).cdf(0))


def minimum_detectable(
    n: int, *, sd: float = 0.49, power: float = 0.8, level: float = 0.95
) -> float:
    """The smallest true gain that `n` paired examples prove with probability `power`.

    (z_{(1+level)/2} + z_power)·sd/√n, which is 2.8·sd/√n as it stands. `sd` is that of the paired
    differences: √(2p(1-p)(1-r)) for 0/1 scores of mean p whose pairs correlate by r; the default
    is p = 0.6, r = 0.5.

    >>> round(minimum_detectable(100), 3)
    0.137
    """
    if n < 1 or not sd >= 0 or not (0 < power < 1 and 0 < level < 1):
        raise UsageError(
            f"n={n!r}, sd={sd!r}, power={power!r}, level={level!r}: n is 1 or more, sd 0 or more, "
            "power and level lie between 0 and 1"
        )
    normal = NormalDist()
    return (normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * sd / math.sqrt(n)


def present(scores: Iterable[SupportsFloat | None]) -> list[float]:
    """The scores that are there, as floats: None and NaN mean that there is none.

    >>> present([1, None, float("nan"), 0.5])
    [1.0, 0.5]
    """
    values = [math.nan if score is None else float(score) for score in scores]
    found = [value for value in values if not math.isnan(value)]
    if not found or not all(map(math.isfinite, found)):
        what = "an infinite one" if found else "none"
        raise UsageError(f"of {len(values)} scores there is {what}: nothing can be said of them")
    return found
