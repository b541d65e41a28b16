"""A store in this process: bounded in entries and in bytes, what was used last stays."""

from __future__ import annotations

import threading
from collections import OrderedDict
from math import inf

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import UsageError

__all__ = ["MemoryStore"]


class MemoryStore:
    """At most `entries` values of `size` bytes in all (keys counted); the least used go first.

    Safe under threads. A value larger than `size` is not kept. `UsageError` for bounds below 1.

    >>> store = MemoryStore(entries=2)
    >>> for key in "abc":
    ...     store.put(key, b"value of " + key.encode())
    >>> store.get("a"), store.get("c"), len(store)
    (None, b'value of c', 2)
    """

    def __init__(
        self, entries: int = 10_000, size: int = 64 * 2**20, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if entries < 1 or size < 1:
            raise UsageError(
                f"a store of {entries} entries and {size} bytes keeps nothing: give at least 1 of"
                " each, or leave the cache out"
            )
        self._most, self._size, self._clock = entries, size, clock
        self._lock = threading.Lock()  # protects _kept and _held
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()  # the next to go first
        self._held = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held(self) -> int:
        """Bytes of all keys and values."""
        return self._held

    def get(self, key: str) -> bytes | None:
        """The value, or `None` where there is none or its time is over."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            value, until = found
            if until <= self._clock.now():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return value

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keep `value` for `ttl` seconds, or until others need its place."""
        until = inf if ttl is None else self._clock.now() + ttl
        with self._lock:
            if key in self._kept:
                self._drop(key)
            if _weight(key, value) > self._size:
                return
            self._kept[key] = value, until
            self._held += _weight(key, value)
            while len(self._kept) > self._most or self._held > self._size:
                self._drop(next(iter(self._kept)))

    async def aget(self, key: str) -> bytes | None:
        """As `get`; nothing here waits."""
        return self.get(key)

    async def aput(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As `put`; nothing here waits."""
        self.put(key, value, ttl)

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def _drop(self, key: str) -> None:
        value, _ = self._kept.pop(key)
        self._held -= _weight(key, value)


def _weight(key: str, value: bytes) -> int:
    return len(key) + len(value)
