"""Student's t, the incomplete beta function under it, and the binomial, in plain Python."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["beta_below", "binomial_count", "t_below", "t_quantile"]

_TINY: Final = 1e-300
_MOST_STEPS: Final = 10_000


def beta_below(x: float, a: float, b: float) -> float:
    """The probability that a Beta(a, b) variable is below `x`: the regularized incomplete beta.

    Its continued fraction (DLMF 8.17.22) evaluated by the method of Lentz (1976, Applied Optics
    15, 668). Relative error about 1e-13.

    >>> round(beta_below(0.5, 2, 3), 6)
    0.6875
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the near side only
        return 1 - _near_beta(1 - x, b, a)
    return _near_beta(x, a, b)


def binomial_count(trials: int, most: int) -> int:
    """The number of ways to get at most `most` heads in `trials` tosses.

    >>> binomial_count(3, 1)
    4
    """
    ways = total = 1
    for heads in range(1, most + 1):
        ways = ways * (trials - heads + 1) // heads
        total += ways
    return total


def _near_beta(x: float, a: float, b: float) -> float:
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    return math.exp(log_front) / (a * _fraction(x, a, b))


def t_below(x: float, freedom: float) -> float:
    """The probability that Student's t with `freedom` degrees is below `x`.

    >>> round(t_below(2.0, 10), 6)
    0.963306
    """
    if x * x < freedom:  # near the middle the tail would lose what it differs from 1/2 by
        middle = beta_below(x * x / (freedom + x * x), 0.5, freedom / 2) / 2
        return 0.5 + middle if x > 0 else 0.5 - middle
    tail = beta_below(freedom / (freedom + x * x), freedom / 2, 0.5) / 2
    return tail if x < 0 else 1 - tail


def t_quantile(probability: float, freedom: float) -> float:
    """The value below which Student's t with `freedom` degrees lies with `probability`.

    >>> round(t_quantile(0.975, 10), 6)
    2.228139
    """
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while t_below(high, freedom) < probability:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:  # until no float lies between
        low, high = (middle, high) if t_below(middle, freedom) < probability else (low, middle)
    return high


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction 1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22."""
    value = upper = 1.0
    lower, change, step = 0.0, math.inf, 0
    while abs(change - 1) > 1e-15 and step < _MOST_STEPS:
        step += 1
        half = step // 2
        if step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        lower = 1 / ((1 + term * lower) or _TINY)
        upper = (1 + term / upper) or _TINY
        change = upper * lower
        value *= change
    return value
