"""A small memo of pure functions: the newest results are kept, forgetting one changes nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

__all__ = ["Memo"]

T = TypeVar("T")


class Memo:
    """Results by key, the least recently used forgotten first; safe to share between threads.

    >>> memo = Memo(2)
    >>> memo.get("a", lambda: 1), memo.get("a", lambda: 2)
    (1, 1)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._lock = threading.Lock()  # protects _kept; never held while a result is made

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result kept under `key`, made now if there is none.

        Two threads may make the same result at once; both are equal, one is kept. A key names
        its maker, so what is found under it has the maker's type.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast("T", self._kept[key])
        made = make()
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return made
