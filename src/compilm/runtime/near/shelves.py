"""The index of kept answers: by frame, the vectors of what was asked in it (FAISS, exact)."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import MissingExtra, UsageError
from ...retrieval.rows import one_thread
from .reading import Reading

__all__ = ["Found", "Kept", "Shelves"]

_CANDIDATES = 8  # looked at for one question, the nearest first


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one question: its key, what was read of its texts, the answer, its end."""

    key: str
    readings: tuple[Reading, ...]
    value: bytes
    until: float


class Found(NamedTuple):
    """A question that was near: the least cosine of its texts with those that are asked."""

    kept: Kept
    similarity: float


class Shelves:
    """Answers by what was asked, on one shelf for each frame; at most `entries` in all.

    A question of several texts is one vector of them all; near is where each of its texts is. The
    least used go first, a sixteenth at once, since FAISS moves what is left. Safe under threads;
    it belongs to this process and is gone with it. Raises `MissingExtra` without FAISS,
    `UsageError` for a bound below 1.

    >>> from compilm.retrieval.rows import unit_rows
    >>> shelves, vectors = Shelves(entries=100), unit_rows([[1.0, 0.0]], 1)
    >>> shelves.put("frame", vectors, Kept("a key", (), b"an answer", until=float("inf")))
    >>> shelves.near("frame", unit_rows([[0.9, 0.1]], 1), threshold=0.9)[0].kept.value
    b'an answer'
    >>> shelves.near("another", vectors, threshold=0.9)
    []
    """

    def __init__(self, entries: int = 10_000, clock: Clock = SYSTEM_CLOCK) -> None:
        if entries < 1:
            raise UsageError(f"an index of {entries} entries keeps nothing: give at least 1")
        if find_spec("faiss") is None:
            raise MissingExtra("faiss", extra="faiss", purpose="find answers to near questions")
        self.entries, self._clock = entries, clock
        self._lock = threading.Lock()  # protects the rest
        self._shelves: dict[str, Any] = {}
        self._kept: OrderedDict[int, tuple[str, Kept]] = OrderedDict()  # the next to go first
        self._places: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._kept)

    def near(self, frame: str, vectors: Any, threshold: float) -> list[Found]:
        """What was asked in this frame with a cosine of `threshold` or more, the nearest first.

        At most the eight nearest are looked at. `vectors` are rows of `unit_rows`.
        """
        with self._lock:
            shelf = self._shelves.get(frame)
            if shelf is None or shelf.d != vectors.size:
                return []
            places = _nearest(shelf, _flat(vectors))
            now = self._clock.now()
            self._drop([place for place in places if self._kept[place][1].until <= now])
            alive = [place for place in places if place in self._kept]
            near = [Found(self._kept[p][1], _least(shelf, p, vectors)) for p in alive]
        ranked = sorted(near, key=lambda one: -one.similarity)
        return [one for one in ranked if one.similarity >= threshold]

    def used(self, key: str) -> None:
        """This one answered a question: it goes last."""
        with self._lock:
            if key in self._places:
                self._kept.move_to_end(self._places[key])

    def put(self, frame: str, vectors: Any, kept: Kept) -> None:
        """Keep an answer; of two with one key, the last. `ValueError` for another width."""
        with self._lock:
            place = self._places.get(kept.key)
            if place is not None:
                self._kept[place] = frame, kept
                self._kept.move_to_end(place)
                return
            self._add(frame, vectors, kept)
            if len(self._kept) > self.entries:
                oldest = iter(self._kept)
                self._drop([next(oldest) for _ in range(max(1, self.entries // 16))])

    def _add(self, frame: str, vectors: Any, kept: Kept) -> None:
        import faiss
        import numpy as np

        shelf = self._shelves.get(frame)
        if shelf is None:
            flat = faiss.IndexFlatIP(vectors.size)
            shelf = self._shelves[frame] = faiss.IndexIDMap2(flat)
        if shelf.d != vectors.size:
            raise ValueError(f"an embedder gave {vectors.size} numbers, and {shelf.d} before")
        shelf.add_with_ids(_flat(vectors), np.array([self._next], dtype="int64"))
        self._kept[self._next] = frame, kept
        self._places[kept.key] = self._next
        self._next += 1

    def _drop(self, places: Iterable[int]) -> None:
        import numpy as np

        by_frame: defaultdict[str, list[int]] = defaultdict(list)
        for place in places:
            frame, kept = self._kept.pop(place)
            del self._places[kept.key]
            by_frame[frame].append(place)
        for frame, gone in by_frame.items():
            shelf = self._shelves[frame]
            shelf.remove_ids(np.array(gone, dtype="int64"))
            if not shelf.ntotal:
                del self._shelves[frame]


def _nearest(shelf: Any, row: Any) -> list[int]:
    """The places of the nearest."""
    with one_thread():
        _, found = shelf.search(row, min(_CANDIDATES, shelf.ntotal))
    return [int(place) for place in found[0] if place >= 0]


def _flat(rows: Any) -> Any:
    """The texts of a question as one vector of length one."""
    return (rows / len(rows) ** 0.5).reshape(1, -1)


def _least(shelf: Any, place: int, rows: Any) -> float:
    """The least cosine of the texts of a kept question with those that are asked."""
    kept = shelf.reconstruct(place).reshape(rows.shape) * len(rows) ** 0.5
    return float((kept * rows).sum(axis=1).min())
