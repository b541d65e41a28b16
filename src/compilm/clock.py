"""One clock for everything that waits or takes the time: the system's, or one a test turns."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Where time comes from. All figures are seconds."""

    def now(self) -> float:
        """Seconds since some fixed instant; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, for records that people read."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Wait in this task."""
        ...


class SystemClock:
    """The machine's own clock.

    >>> SystemClock().now() <= SystemClock().now()
    True
    """

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to, or when someone sleeps on it: tests never wait.

    >>> clock = ManualClock(start=10.0)
    >>> clock.sleep(2.5)
    >>> clock.now(), clock.slept
    (12.5, [2.5])
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()  # protects _now and slept
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            self.slept.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)


SYSTEM_CLOCK = SystemClock()
