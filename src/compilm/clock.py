"""One clock for everything that waits or takes the time: the system's, or one a test turns."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol

from .alarms import set_alarm

__all__ = ["SYSTEM_CLOCK", "Alarm", "Clock", "ManualClock", "SystemClock"]


class Alarm(Protocol):
    """Something that will ring unless it is cancelled."""

    def cancel(self) -> object:
        """Never ring."""
        ...


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

    def until(self, future: Future[Any], seconds: float | None) -> bool:
        """Wait in this thread for `future`, at most so long; whether it is done."""
        ...

    def doze(self, future: Future[Any], seconds: float) -> None:
        """Wait in this thread for time to pass, less if `future` is done before."""
        ...

    async def adoze(self, future: Future[Any], seconds: float) -> None:
        """Wait in this task for time to pass, less if `future` is done before."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call `ring` in the running event loop after so long."""
        ...


class SystemClock:
    """The machine's own clock.

    >>> SystemClock().now() <= SystemClock().now()
    True
    """

    # As they are: each call asks a dozen times, and a frame of Python's would cost more.
    now = staticmethod(time.monotonic)
    alarm = staticmethod(set_alarm)

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def until(self, future: Future[Any], seconds: float | None) -> bool:
        try:
            future.exception(None if seconds is None else max(seconds, 0.0))
        except CancelledError:
            return True
        except TimeoutError:
            return future.done()
        return True

    def doze(self, future: Future[Any], seconds: float) -> None:
        self.until(future, seconds)

    async def adoze(self, future: Future[Any], seconds: float) -> None:
        await asyncio.wait((asyncio.wrap_future(future),), timeout=seconds)


class ManualClock:
    """A clock that moves only when told to, or when someone sleeps on it: tests never wait.

    Who waits for time (`sleep`, `doze`) moves it; who waits for something else (`until`, `alarm`)
    waits until that has come, or until somebody has moved the clock far enough.

    >>> clock = ManualClock(start=10.0)
    >>> clock.sleep(2.5)
    >>> clock.now(), clock.slept
    (12.5, [2.5])
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()  # protects _now, slept and _alarms
        self._alarms: list[_ManualAlarm] = []
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    @property
    def waiting(self) -> int:
        """How many wait for this clock to move."""
        return len(self._alarms)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, and ring what is due."""
        with self._lock:
            self._now += seconds
            due = [alarm for alarm in self._alarms if alarm.at <= self._now]
            self._alarms = [alarm for alarm in self._alarms if alarm.at > self._now]
        for alarm in due:
            alarm.ring()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        with self._lock:
            self.slept.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)

    def until(self, future: Future[Any], seconds: float | None) -> bool:
        woken = threading.Event()
        alarm = self._set(seconds, woken.set)
        future.add_done_callback(lambda _: woken.set())
        woken.wait()
        alarm.cancel()
        return future.done()

    def doze(self, future: Future[Any], seconds: float) -> None:
        if not future.done():
            self.sleep(seconds)

    async def adoze(self, future: Future[Any], seconds: float) -> None:
        await asyncio.sleep(0)
        self.doze(future, seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        loop = asyncio.get_running_loop()
        return self._set(seconds, lambda: loop.call_soon_threadsafe(ring))

    def _set(self, seconds: float | None, ring: Callable[[], object]) -> _ManualAlarm:
        alarm = _ManualAlarm(self, ring)
        with self._lock:
            alarm.at = self._now + (float("inf") if seconds is None else seconds)
            is_due = alarm.at <= self._now
            if not is_due:
                self._alarms.append(alarm)
        if is_due:
            alarm.ring()
        return alarm

    def _forget(self, alarm: _ManualAlarm) -> None:
        with self._lock:
            self._alarms = [each for each in self._alarms if each is not alarm]


class _ManualAlarm:
    def __init__(self, clock: ManualClock, call: Callable[[], object]) -> None:
        self._clock, self._call = clock, call
        self._is_cancelled = False
        self.at = 0.0

    def ring(self) -> None:
        if not self._is_cancelled:
            self._call()

    def cancel(self) -> None:
        self._is_cancelled = True
        self._clock._forget(self)


SYSTEM_CLOCK = SystemClock()
