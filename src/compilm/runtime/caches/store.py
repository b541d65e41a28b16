"""What a store of answers is: bytes by key, for so long, from threads and from tasks."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Store"]


class Store(Protocol):
    """Bytes by key, each for so long; threads and tasks see the same entries.

    What a store holds it may lose at any time: a bound, an age, a restart. It never gives another
    value than the last that was put. Any method may raise; the layer above counts that and goes
    on. What waits for a network or a lock waits in the asynchronous methods without holding up
    the event loop.

    >>> from compilm.runtime.caches import MemoryStore
    >>> store: Store = MemoryStore()
    >>> store.put("a key", b"a value", ttl=60.0)
    >>> store.get("a key"), store.get("another")
    (b'a value', None)
    """

    def get(self, key: str) -> bytes | None:
        """The value, or `None` where there is none or its time is over."""
        ...

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keep `value` for `ttl` seconds, or as long as the store keeps anything."""
        ...

    async def aget(self, key: str) -> bytes | None:
        """As `get`, in a task."""
        ...

    async def aput(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As `put`, in a task."""
        ...

    def close(self) -> None:
        """Give back files and connections; the next use opens them again."""
        ...

    async def aclose(self) -> None:
        """Give back what belongs to this event loop."""
        ...
