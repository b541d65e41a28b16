"""Alarms of an event loop that are cheap to set, since nearly all of them are cancelled.

A timer of asyncio costs a handle, a copy of the context and a place in a heap, each time. Those
far off need no such care: all that are due within one small stretch of time share one timer.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextvars import Context

__all__ = ["SharedAlarm", "set_alarm"]

_SOON, _FAR, _FARTHEST = 0.25, 16.0, 86_400.0  # seconds
_FINE, _COARSE = 64.0, 4.0  # moments a second, for what is due before `_FAR` and after
_here = threading.local()


class SharedAlarm:
    """An alarm that rings with all others of its moment, unless it is cancelled."""

    __slots__ = ("_moment", "ring")

    def __init__(self, ring: Callable[[], object], moment: set[SharedAlarm]) -> None:
        self.ring, self._moment = ring, moment

    def cancel(self) -> None:
        """Never ring."""
        self._moment.discard(self)


def set_alarm(seconds: float, ring: Callable[[], object]) -> SharedAlarm | asyncio.TimerHandle:
    """Call `ring` in the running loop after so many seconds, never early.

    What is due within a quarter of a second, or not within a day, has a timer of its own. Else it
    may be late: by a 64th of a second, and from 16 s on by a quarter of one. Only the loop's thread
    may cancel.

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
    if not _SOON <= seconds < _FARTHEST:
        return loop.call_later(seconds, ring)
    moments, per_second = _moments(loop), _FINE if seconds < _FAR else _COARSE
    due = (int((loop.time() + seconds) * per_second) + 1) / per_second
    moment = moments.get(due)
    if moment is None:
        moment = moments[due] = set()
        # In no context: whose it is that sets the first alarm must not be kept until it is due.
        loop.call_at(due, _come, moments, due, context=Context())
    alarm = SharedAlarm(ring, moment)
    moment.add(alarm)
    return alarm


def _moments(loop: asyncio.AbstractEventLoop) -> dict[float, set[SharedAlarm]]:
    """The alarms of the loop that this thread runs, by the instant at which they are due."""
    known: weakref.ref[asyncio.AbstractEventLoop] | None = getattr(_here, "loop", None)
    if known is None or known() is not loop:
        _here.loop, _here.moments = weakref.ref(loop), {}
    found: dict[float, set[SharedAlarm]] = _here.moments
    return found


def _come(moments: dict[float, set[SharedAlarm]], due: float) -> None:
    _ring(moments.pop(due))


def _ring(moment: set[SharedAlarm]) -> None:
    try:
        while moment:  # one that rings may cancel another
            moment.pop().ring()
    finally:  # one that fails does not keep the others from it
        if moment:
            asyncio.get_running_loop().call_soon(_ring, moment)
