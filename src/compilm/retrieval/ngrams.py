"""The embedder that is built in: words, pairs and pieces of words, hashed. No model, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import UsageError
from ..programs.embedding import hashed
from ..programs.words import FUNCTION_WORDS, Features, features, stem

__all__ = ["HashedNgrams"]

_FUNCTION_STEMS = frozenset(map(stem, FUNCTION_WORDS))
_LONGEST = 20_000  # characters of a text that are read


class HashedNgrams:
    """Vectors of `width` numbers from stemmed words, pairs of neighbors and runs of four letters.

    It sees words, not meaning: a synonym is as far as any other word. A feature that stands n
    times counts log(1 + n); words like "the" and pairs of them count nothing, unless a text has
    no other. A text without a word has a vector of zeros. Wider vectors confuse fewer features
    and cost memory: 4 bytes a number.

    >>> embedder = HashedNgrams(512)
    >>> embedder.name, len(embedder.embed(["a lost card"])[0])
    ('ngrams-v1/512', 512)
    """

    __slots__ = ("width",)

    def __init__(self, width: int = 2048) -> None:
        if width < 16:
            raise UsageError(f"vectors of {width} numbers tell no texts apart: give 16 or more")
        self.width = width

    @property
    def name(self) -> str:
        """`ngrams-v1/<width>`."""
        return f"ngrams-v1/{self.width}"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text."""
        return [hashed(_weighed(text), self.width) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed`: nothing here waits."""
        return self.embed(texts)


def _weighed(text: str) -> Features:
    found = features(text[:_LONGEST])
    telling = {name: count for name, count in found.items() if not _says_nothing(name)}
    return {name: math.log1p(count) for name, count in (telling or found).items()}


def _says_nothing(feature: str) -> bool:
    return all(part in _FUNCTION_STEMS for part in feature.split(" "))
