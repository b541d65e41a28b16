"""One client per event loop: connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes a thing once for each event loop that asks, and forgets it with the loop.

    >>> made = PerLoop(object)
    >>> async def twice():
    ...     return made.here() is made.here()
    >>> asyncio.run(twice())
    True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def here(self) -> T:
        """The thing of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            found = self._made[loop] = self._make()
        return found

    def leave(self) -> T | None:
        """The thing of the running loop, if it was made; another will be made on the next use."""
        return self._made.pop(asyncio.get_running_loop(), None)
