"""An event loop in a thread of its own: what is asynchronous, for callers that are not."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any

from ..policies.threads import Threads

__all__ = ["Loop", "common_loop", "common_threads"]


class Loop:
    """Runs coroutines from any thread; its own thread ends with the process, or by `close`.

    >>> async def three() -> int:
    ...     return 3
    >>> loop = Loop()
    >>> loop.submit(three()).result()
    3
    >>> loop.close()
    """

    def __init__(self, name: str = "compilm-tools") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    @property
    def is_here(self) -> bool:
        """Whether this thread is the loop's own: to wait for it here would be for ever."""
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Begin `work`; the future brings what it returns or raises, and cancels it."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # it was closed
            work.close()
            raise

    def close(self) -> None:
        """End the loop and wait for its thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
        if not self.is_here:
            self._thread.join(timeout=5.0)


def common_loop() -> Loop:
    """The loop on which asynchronous functions run for callers in threads; one a process."""
    return _loop_of(os.getpid())


def common_threads() -> Threads:
    """The threads in which functions run that must answer in time; one set a process."""
    return _threads_of(os.getpid())


@cache
def _loop_of(process: int) -> Loop:  # noqa: ARG001 - a fork has no threads of its parent
    return Loop()


@cache
def _threads_of(process: int) -> Threads:  # noqa: ARG001 - as above
    return Threads()
