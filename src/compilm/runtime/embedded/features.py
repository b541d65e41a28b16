"""What the features of texts weigh: how telling each one is, and vectors of length one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ...programs.words import FUNCTION_WORDS, Features, features, stem, words

__all__ = ["FUNCTION_WORDS", "Features", "features", "idf", "is_word", "stem", "unit", "words"]


def is_word(feature: str) -> bool:
    """Whether a feature is a whole word, not a pair and not a piece.

    >>> [is_word(f) for f in ("card", "lost card", "#<car")]
    [True, False, False]
    """
    return feature[0] != "#" and " " not in feature


def idf(documents: Iterable[Mapping[str, float]], power: float = 1.0) -> Features:
    """How telling each feature is: `ln((N + 1) / (df + 0.5)) + 0.1`, raised to `power`.

    >>> weights = idf([{"card": 1}, {"card": 1, "lost": 1}])
    >>> weights["lost"] > weights["card"]
    True
    """
    counts: dict[str, int] = {}
    number = 0
    for document in documents:
        number += 1
        for feature in document:
            counts[feature] = counts.get(feature, 0) + 1
    return {
        feature: (math.log((number + 1) / (count + 0.5)) + 0.1) ** power
        for feature, count in counts.items()
    }


def unit(document: Mapping[str, float], weights: Mapping[str, float]) -> Features:
    """`document` times `weights`, scaled to length one; features without a weight fall away.

    >>> unit({"card": 3.0, "x": 1.0}, {"card": 2.0})
    {'card': 1.0}
    """
    weighed = {
        feature: count * weights[feature]
        for feature, count in document.items()
        if feature in weights
    }
    length = math.sqrt(sum(value * value for value in weighed.values())) or 1.0
    return {feature: value / length for feature, value in weighed.items()}
