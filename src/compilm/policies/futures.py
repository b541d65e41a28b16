"""Waiting in a task for what a thread may bring, and knowing when a thread must not wait."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from math import inf
from typing import Any

from ..clock import Clock

__all__ = ["auntil", "in_a_loop"]


async def auntil(clock: Clock, future: Future[Any], seconds: float) -> bool:
    """Wait in this task for `future`, at most `seconds`; whether it is done.

    A task that is cancelled here does not cancel the future: others may wait for it.
    """
    if future.done():
        return True
    loop = asyncio.get_running_loop()
    waiter, late = asyncio.wrap_future(future), loop.create_future()
    alarm = None if seconds == inf else clock.alarm(seconds, late.cancel)
    try:
        await asyncio.wait((waiter, late), return_when=asyncio.FIRST_COMPLETED)
    finally:
        late.cancel()
        if alarm is not None:
            alarm.cancel()
    return future.done()


def in_a_loop() -> bool:
    """Whether this thread runs an event loop: what it waits for may be a task of that very loop.

    >>> in_a_loop()
    False
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
