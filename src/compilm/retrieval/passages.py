"""What is searched and what is found: documents, passages, and who finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from ..errors import DataError, UsageError
from .where import Where

__all__ = ["Document", "Index", "Passage", "Retriever", "numbered"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id, and what is known about it (flat: texts, numbers, booleans)."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that can be found and cited.

    `start` and `end` are where it stands in the text of its `document`, in characters, if it was
    cut from one: `document.text[start:end] == passage.text`. `score` is how well it fits what was
    asked, where it was found; scores of two retrievers cannot be compared.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    document: str = ""
    start: int = 0
    end: int = 0
    score: float | None = None

    def __post_init__(self) -> None:
        for name in ("id", "text"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise DataError(f"a passage needs a text here, not {value!r}", field=name)

    def scored(self, score: float) -> Passage:
        """The same with this score.

        >>> Passage("p-1", "Appeals take 30 days.").scored(0.5).score
        0.5
        """
        return replace(self, score=score)


@runtime_checkable
class Retriever(Protocol):
    """A query becomes the passages that fit it, the best first.

    At most `k`, each with its `score`; with `where` only those whose metadata fits (see `Where`).
    A query in which nothing can be seen finds nothing. Safe under threads and tasks.
    """

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """The best passages."""
        ...

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`, in a task."""
        ...


@runtime_checkable
class Index(Retriever, Protocol):
    """A retriever that passages are put into."""

    def add(self, passages: Iterable[Passage]) -> None:
        """Put them in; one whose id is there already takes the other's place."""
        ...

    def delete(self, ids: Iterable[str]) -> int:
        """Take these out; how many there were."""
        ...

    def __len__(self) -> int:
        """How many passages it holds."""
        ...


def numbered(passages: Iterable[Passage]) -> str:
    """Passages as one text for a prompt, each under the number that an answer can cite.

    >>> print(numbered([Passage("a", "Appeals take 30 days."), Passage("b", "Fax is fine.")]))
    [1] Appeals take 30 days.
    [2] Fax is fine.
    """
    return "\n".join(f"[{n}] {' '.join(each.text.split())}" for n, each in enumerate(passages, 1))


def at_least_one(k: int) -> None:
    """Raise `UsageError` for a search that could find nothing."""
    if k < 1:
        raise UsageError(f"a search for {k} passages finds nothing: ask for 1 or more")
