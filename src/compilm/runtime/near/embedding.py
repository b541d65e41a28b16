"""Texts as vectors: what an embedder is, the one that is built in, and how others become one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias
from zlib import crc32

from ...errors import UsageError
from ...programs.nearest import words_v1
from ...programs.reference import locate
from .lexicon import LIGHT
from .reading import read

__all__ = ["BUILT_IN", "Embedder", "Embedding", "HashedWords", "Vectors", "embedder_of"]

BUILT_IN: Final = "read-words-v1"

Vectors: TypeAlias = Any
"""One vector for each text, of one width: a numpy array or lists of numbers, of any length."""


class Embedder(Protocol):
    """Texts to vectors whose angles say how close the texts are.

    `name` stands in keys: another model, another name. What waits for a network bounds its waits
    itself (a second or so), and waits in `aembed` without holding up the event loop.
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


_WIDTH = 512


class HashedWords:
    """The built-in embedder: the features of `words-v1` of what was read, hashed to 512 numbers.

    It sees words, not meaning: a synonym is as far as any other word. What a reading leaves out
    (capitals, points, short forms, greetings) it leaves out too.

    >>> one, other = HashedWords().embed(["What's my limit?", "Hi! what is MY limit"])
    >>> len(one), one == other
    (512, True)
    """

    __slots__ = ()

    name = BUILT_IN

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text."""
        return [_vector(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed`: nothing here waits."""
        return self.embed(texts)


def _vector(text: str) -> list[float]:
    found = [0.0] * _WIDTH
    told = " ".join(item for item in read(text).items if item not in LIGHT)
    for feature, weight in words_v1(told).items():
        mark = crc32(feature.encode(errors="surrogatepass"))
        # Half of the features count as negative: what meets by chance cancels out.
        found[mark % _WIDTH] += weight if mark & 0x8000_0000 else -weight
    return found


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


def embedder_of(reference: str) -> Embedder:
    """The embedder that a setting names: `read-words-v1`, or `package.module:attribute`.

    The attribute is an `Embedder`, or a function of a list of texts, such as a `dspy.Embedder`,
    whose `acall` is the twin. Raises `ProgramError` where there is none, `UsageError` for what
    cannot be called.

    >>> embedder_of("read-words-v1").name
    'read-words-v1'
    """
    if reference == BUILT_IN:
        return HashedWords()
    found = locate(reference)
    if all(hasattr(found, name) for name in ("name", "embed", "aembed")):
        return found  # type: ignore[no-any-return]  # what it gives is checked at each use
    if not callable(found) or isinstance(found, type):
        raise UsageError(
            f"{reference!r} is no embedder: give a function of a list of texts that returns a "
            "vector for each, or an object with name, embed and aembed"
        )
    return Embedding(reference, found, getattr(found, "acall", None))
