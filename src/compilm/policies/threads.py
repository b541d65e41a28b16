"""Threads that can be left behind: for calls that block and cannot be interrupted.

An executor of the standard library waits for its threads when the process ends, and has a fixed
number of them: ten calls that hang would stop it, and keep the process alive. These do neither.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeAlias

__all__ = ["Threads"]

_Job: TypeAlias = "tuple[Future[Any], contextvars.Context, Callable[[], Any]]"


class Threads:
    """Runs each piece of work in a thread of its own, at once; idle ones are used again.

    >>> Threads().run(lambda: 1 + 1).result()
    2
    """

    def __init__(self, idle: int = 32) -> None:
        self._most_idle = idle
        self._lock = threading.Lock()  # protects _idle and _left
        self._idle: list[SimpleQueue[_Job]] = []
        self._left = 0

    @property
    def abandoned(self) -> int:
        """How many pieces of work were left behind and are not finished."""
        return self._left

    def run(self, call: Callable[[], Any]) -> Future[Any]:
        """Start `call` in this context; the future brings what it returns or raises."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        job = (future, contextvars.copy_context(), call)
        with self._lock:
            jobs = self._idle.pop() if self._idle else None
        if jobs is None:
            jobs = SimpleQueue[_Job]()
            threading.Thread(target=self._work, args=(jobs,), name="compilm", daemon=True).start()
        jobs.put(job)
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Nobody waits for this any more: what it brings is dropped when it comes."""
        with self._lock:
            self._left += 1
        future.add_done_callback(self._returned)

    def _returned(self, _: Future[Any]) -> None:
        with self._lock:
            self._left -= 1

    def _work(self, jobs: SimpleQueue[_Job]) -> None:
        while True:
            _do(*jobs.get())
            with self._lock:
                if len(self._idle) >= self._most_idle:
                    return
                self._idle.append(jobs)


def _do(future: Future[Any], context: contextvars.Context, call: Callable[[], Any]) -> None:
    try:
        result = context.run(call)
    except BaseException as error:  # border: the one who waits for the future raises it
        future.set_exception(error)
    else:
        future.set_result(result)
