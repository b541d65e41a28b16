"""What became of the calls of a cache, counted by many threads."""

from __future__ import annotations

import threading

__all__ = ["Counts"]


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
