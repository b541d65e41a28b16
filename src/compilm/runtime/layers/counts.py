"""What became of the calls of a cache, counted by many threads."""

from __future__ import annotations

import threading
from collections import Counter

__all__ = ["Counts", "NearCounts"]


class Counts:
    """What became of the calls of a cache: threads count into it.

    `hits` were answered from the store, `misses` were not; of these `shared` were answered by what
    another process kept meanwhile. `writes` were kept, `failures` are what the store could not do.

    >>> Counts().hits
    0
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the rest
        self.hits = self.misses = self.shared = self.writes = self.failures = 0

    def add(self, name: str) -> int:
        """One more of these; how many there are now."""
        with self._lock:
            count: int = getattr(self, name) + 1
            setattr(self, name, count)
        return count


class NearCounts:
    """What became of the calls of a semantic cache: threads count into it.

    `hits` were answered by a near question's answer, `misses` were not; `apart` had nothing that
    may be near. Of the misses, `refused` were near enough, by the guard that refused. `writes`
    were kept, `failures` are what the embedder or the index could not do.

    >>> counts = NearCounts()
    >>> counts.refuse("numbers")
    >>> dict(counts.refused)
    {'numbers': 1}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the rest
        self.hits = self.misses = self.apart = self.writes = self.failures = 0
        self.refused: Counter[str] = Counter()

    def add(self, name: str) -> int:
        """One more of these; how many there are now."""
        with self._lock:
            count: int = getattr(self, name) + 1
            setattr(self, name, count)
        return count

    def refuse(self, guard: str) -> None:
        """One more that this guard refused."""
        with self._lock:
            self.refused[guard] += 1
