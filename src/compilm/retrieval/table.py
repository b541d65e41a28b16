"""The passages of an index in memory: by place and by id, and which of them fit a condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import UsageError
from .passages import Passage
from .where import Where, fitting

__all__ = ["PassageTable", "last_of_each"]


class PassageTable:
    """Passages at places 0, 1, 2 …; a place is never given twice. Guard it by a lock of yours.

    >>> table = PassageTable()
    >>> table.put(Passage("a", "One.")), table.put(Passage("b", "Two."))
    (0, 1)
    >>> table.drop(["a", "z"]), len(table), table[1].text
    ([0], 1, 'Two.')
    """

    __slots__ = ("_passages", "_places", "next")

    def __init__(self) -> None:
        self._passages: dict[int, Passage] = {}
        self._places: dict[str, int] = {}
        self.next = 0

    def __len__(self) -> int:
        return len(self._passages)

    def __getitem__(self, place: int) -> Passage:
        return self._passages[place]

    def __contains__(self, place: object) -> bool:
        return place in self._passages

    def items(self) -> Iterator[tuple[int, Passage]]:
        """Places and passages, in the order in which they came."""
        yield from self._passages.items()

    def put(self, passage: Passage, place: int | None = None) -> int:
        """Keep a passage under a new id, at the next place or a given one; the place."""
        place = self.next if place is None else place
        self._passages[place] = passage
        self._places[passage.id] = place
        self.next = max(self.next, place + 1)
        return place

    def drop(self, ids: Iterable[str]) -> list[int]:
        """Let go of these; the places that they had."""
        places = [self._places.pop(one) for one in ids if one in self._places]
        for place in places:
            del self._passages[place]
        return places

    def fitting(self, where: Where | None) -> list[int] | None:
        """The places whose passages fit; `None` where there is no condition."""
        if not where:
            return None
        fits = fitting(where)
        return [place for place, one in self._passages.items() if fits(one.metadata)]


def last_of_each(passages: Iterable[Passage]) -> list[Passage]:
    """Of passages with one id the last, in the order of their first.

    >>> [each.text for each in last_of_each([Passage("a", "1"), Passage("a", "2")])]
    ['2']
    """
    found: dict[str, Passage] = {}
    for passage in passages:
        if not isinstance(passage, Passage):
            kind = type(passage).__name__
            raise UsageError(f"an index takes passages, not a {kind}: add(chunked(documents))")
        found[passage.id] = passage
    return list(found.values())
