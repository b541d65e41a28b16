"""Texts as vectors of one width: what an embedder is, one from a function, features by hashing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from zlib import crc32

from .words import Features

__all__ = ["Embedder", "Embedding", "Vectors", "hashed"]

Vectors: TypeAlias = Any
"""One vector for each text, of one width: a numpy array or lists of numbers, of any length."""


class Embedder(Protocol):
    """Texts to vectors whose angles say how close the texts are.

    `name` stands in keys and saved indexes: another model, another name. What waits for a network
    bounds its waits itself, and waits in `aembed` without holding up the event loop.
    """

    @property
    def name(self) -> str:
        """What it is, with its version."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector for each text."""
        ...

    async def aembed(self, texts: Sequence[str]) -> Vectors:
        """As `embed`, in a task."""
        ...


@dataclass(frozen=True, slots=True)
class Embedding:
    """An embedder from a function of texts, and its asynchronous twin if there is one.

    Without a twin, tasks call the function in a thread.

    >>> lengths = Embedding("lengths", lambda texts: [[1.0, float(len(t))] for t in texts])
    >>> lengths.embed(["abc"])
    [[1.0, 3.0]]
    """

    name: str
    function: Callable[[list[str]], Vectors]
    twin: Callable[[list[str]], Awaitable[Vectors]] | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector for each text."""
        return self.function(list(texts))

    async def aembed(self, texts: Sequence[str]) -> Vectors:
        """As `embed`, in a task."""
        if self.twin is not None:
            return await self.twin(list(texts))
        return await asyncio.to_thread(self.function, list(texts))


def hashed(found: Features, width: int) -> list[float]:
    """Weighed features as `width` numbers: each is added at the place that its CRC-32 says.

    >>> vector = hashed({"lost": 1.0, "card": 2.0}, 8)
    >>> len(vector), sorted(map(abs, vector))[-2:]
    (8, [1.0, 2.0])
    """
    vector = [0.0] * width
    for feature, weight in found.items():
        mark = crc32(feature.encode(errors="surrogatepass"))
        # Half of the features count as negative: what meets by chance cancels out.
        vector[mark % width] += weight if mark & 0x8000_0000 else -weight
    return vector
