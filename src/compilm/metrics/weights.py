"""Weights: checked, and the mean under them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ..errors import MetricError

__all__ = ["checked_weights", "weighted_mean"]


def checked_weights(
    metric: str, weights: Mapping[str, float], names: Iterable[str]
) -> dict[str, float]:
    """The weight of each of `names`, 1 where none is given; `MetricError` where they are unfit.

    >>> checked_weights("fields", {"a": 3}, ["a", "b"])
    {'a': 3, 'b': 1.0}
    """
    known = {name: weights.get(name, 1.0) for name in names}
    unknown = sorted(set(weights) - set(known))
    if unknown:
        raise MetricError(f"{metric}: weights are given for {unknown!r}, known are {list(known)!r}")
    fit = all(_is_weight(one) for one in known.values())
    if not fit or not 0 < math.fsum(known.values()) < math.inf:
        raise MetricError(
            f"{metric}: weights are finite numbers of 0 or more, not all 0; given {known!r}"
        )
    return known


def weighted_mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The mean of `values` under `weights`; exactly 1 where every value is.

    >>> weighted_mean({"a": 1.0, "b": 0.0}, {"a": 3, "b": 1})
    0.75
    """
    total = math.fsum(weights[name] for name in values)
    return math.fsum(weights[name] * value for name, value in values.items()) / total


def _is_weight(weight: object) -> bool:
    return isinstance(weight, (int, float)) and math.isfinite(weight) and weight >= 0
