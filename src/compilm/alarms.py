"""Alarms of an event loop that are cheap to set, since nearly all of them are cancelled.

A timer of asyncio costs a handle, a copy of the context and a place in a heap, each time. Those
far off need no such care: all that are due within one 64th of a second share one timer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

__all__ = ["LEAST", "SharedAlarm", "set_alarm"]

LEAST = 1.0  # seconds: what is due earlier gets a timer of its own
_A_SECOND = 64
_here = threading.local()


class SharedAlarm:
    """An alarm that rings with all others of its moment, unless it is cancelled."""

    __slots__ = ("_moment", "ring")

    def __init__(self, ring: Callable[[], object], moment: set[SharedAlarm]) -> None:
        self.ring, self._moment = ring, moment

    def cancel(self) -> None:
        """Never ring."""
        self._moment.discard(self)


class _Moments:
    """The alarms of one loop, by the moment at which they are due."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._moments: dict[int, set[SharedAlarm]] = {}

    def set(self, seconds: float, ring: Callable[[], object]) -> SharedAlarm:
        due = int((self.loop.time() + seconds) * _A_SECOND) + 1
        moment = self._moments.get(due)
        if moment is None:
            moment = self._moments[due] = set()
            self.loop.call_at(due / _A_SECOND, self._come, due)
        alarm = SharedAlarm(ring, moment)
        moment.add(alarm)
        return alarm

    def _come(self, due: int) -> None:
        moment = self._moments.pop(due)
        while moment:  # one that rings may cancel another
            moment.pop().ring()


def set_alarm(seconds: float, ring: Callable[[], object]) -> SharedAlarm | asyncio.TimerHandle:
    """Call `ring`, which raises nothing, in the running loop after so many seconds.

    From a second on never early, and at most a 64th of a second late.

    >>> async def rung():
    ...     heard = []
    ...     set_alarm(5.0, lambda: heard.append("never")).cancel()
    ...     set_alarm(0.0, lambda: heard.append("now"))
    ...     await asyncio.sleep(0.001)
    ...     return heard
    >>> asyncio.run(rung())
    ['now']
    """
    loop = asyncio.get_running_loop()
    if seconds < LEAST:
        return loop.call_later(seconds, ring)
    moments: _Moments | None = getattr(_here, "moments", None)
    if moments is None or moments.loop is not loop:
        moments = _here.moments = _Moments(loop)
    return moments.set(seconds, ring)
