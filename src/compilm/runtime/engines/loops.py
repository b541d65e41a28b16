"""One client per event loop: connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import finalize

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes a thing once for each event loop that asks, and drops it when the loop is closed.

    `drop` gets what nobody closed in its loop: by the next loop that asks, or with this object.

    >>> made = PerLoop(object, drop=lambda thing: print("dropped"))
    >>> async def twice():
    ...     return made.here() is made.here()
    >>> asyncio.run(twice()), asyncio.run(twice())
    dropped
    (True, True)
    """

    def __init__(self, make: Callable[[], T], drop: Callable[[T], object]) -> None:
        self._make, self._drop = make, drop
        # Not by weak references: a client holds its loop, and would keep its own key alive.
        self._made: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = threading.Lock()  # protects _made
        finalize(self, _drop_all, self._made, drop)

    def here(self) -> T:
        """The thing of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            with self._lock:
                closed = [each for each in self._made if each.is_closed()]
                for thing in [self._made.pop(each) for each in closed]:
                    self._drop(thing)
                found = self._made[loop] = self._make()
        return found

    def leave(self) -> T | None:
        """The thing of the running loop, if it was made; another will be made on the next use."""
        with self._lock:
            return self._made.pop(asyncio.get_running_loop(), None)


def _drop_all(made: dict[asyncio.AbstractEventLoop, T], drop: Callable[[T], object]) -> None:
    while made:
        drop(made.popitem()[1])
