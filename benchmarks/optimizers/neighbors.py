"""Vectors of texts for DSPy's KNN: compilm's own word features, hashed into 4,096 places.

Both then go by the same closeness, so that a difference in scores is none of embedders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import dspy
import numpy as np
from numpy.typing import NDArray

from compilm.programs.nearest import words_v1

__all__ = ["embedder", "vectors"]

_PLACES: Final = 4096


def embedder() -> dspy.Embedder:
    """`vectors` as DSPy takes them."""
    return dspy.Embedder(vectors, caching=False)


def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """One row of length one for each text.

    >>> near, far = vectors(["a lost card", "the card is lost"]), vectors(["a leaking roof"])
    >>> bool(near[0] @ near[1] > near[0] @ far[0])
    True
    """
    found = np.zeros((len(texts), _PLACES), dtype=np.float32)
    for row, text in zip(found, texts, strict=True):
        for feature, weight in words_v1(text).items():
            row[_place(feature)] += weight
    lengths: NDArray[np.float32] = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.maximum(lengths, 1e-9)


@lru_cache(maxsize=100_000)
def _place(feature: str) -> int:
    return (
        int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=4).digest(), "big") % _PLACES
    )
