"""The embedder of the semantic cache: the one that is built in, and one that a setting names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...errors import UsageError
from ...programs.embedding import Embedder, Embedding, hashed
from ...programs.nearest import words_v1
from ...programs.reference import locate
from .lexicon import LIGHT
from .reading import read

__all__ = ["BUILT_IN", "HashedWords", "embedder_of"]

BUILT_IN: Final = "read-words-v1"

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
    told = " ".join(item for item in read(text).items if item not in LIGHT)
    return hashed(words_v1(told), _WIDTH)


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
