"""An event loop whose time passes at once: what takes minutes of waiting takes none."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from compilm.clock import SystemClock

__all__ = ["LoopClock", "at_once"]

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Instead of waiting it lets the time pass."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, selector: _Selector) -> None:
        self._time = selector
        super().__init__(selector)

    def time(self) -> float:
        return self._time.now


class LoopClock(SystemClock):
    """The time of the running loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives."""
    with asyncio.Runner(loop_factory=lambda: _Loop(_Selector())) as runner:
        return runner.run(work)
