"""What is awaited, for a caller that cannot await."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["finished"]

T = TypeVar("T")


def finished(pending: Awaitable[T]) -> T:
    """What `pending` comes to, in a thread of its own where this one already runs a loop.

    >>> import asyncio
    >>> finished(asyncio.sleep(0, "done"))
    'done'
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(pending))
    with ThreadPoolExecutor(max_workers=1) as pool:
        context = contextvars.copy_context()
        return pool.submit(context.run, asyncio.run, _awaited(pending)).result()


async def _awaited(pending: Awaitable[T]) -> T:
    return await pending
