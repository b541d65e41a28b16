"""Side by side: branches and items in threads or tasks, their results in the order asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import dspy

from ..policies.threads import Threads
from .pauses import Pause

__all__ = ["THREADS", "aside_by_side", "blocking", "side_by_side"]

T = TypeVar("T")

THREADS = Threads()  # idle ones are used again; none is kept alive for long or waited for at exit


def side_by_side(tasks: Sequence[Callable[[], T]], most: int | None = None) -> list[T]:
    """The results of all tasks, at most so many of them running at once; this thread takes part.

    A task that fails lets no further one begin; those that run are waited for, so that what they
    finish is kept. The first error in the order of the tasks is raised, a failure before a pause.

    >>> side_by_side([lambda: 1, lambda: 2])
    [1, 2]
    """
    outcomes: list[_Outcome] = [_Outcome() for _ in tasks]
    todo = _Queue(len(tasks))

    def work() -> None:
        while (place := todo.take()) is not None:
            if outcomes[place].run(tasks[place]):
                todo.end()

    helpers = min(len(tasks), most or len(tasks)) - 1
    futures: list[Future[Any]] = [THREADS.run(work) for _ in range(helpers)]
    work()
    for future in futures:
        future.result()
    return _results(outcomes)


async def aside_by_side(
    tasks: Sequence[Callable[[], Coroutine[Any, Any, T]]], most: int | None = None
) -> list[T]:
    """As `side_by_side`, in tasks of this loop; cancelling this cancels all of them."""
    outcomes: list[_Outcome] = [_Outcome() for _ in tasks]
    todo = _Queue(len(tasks))

    async def work() -> None:
        while (place := todo.take()) is not None:
            if await outcomes[place].arun(tasks[place]):
                todo.end()

    workers = [asyncio.ensure_future(work()) for _ in range(min(len(tasks), most or len(tasks)))]
    try:
        await asyncio.gather(*workers)
    except asyncio.CancelledError:  # of this, or of one of them: none may outlive the run
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise
    return _results(outcomes)


async def blocking(call: Callable[[], T]) -> T:
    """What `call` returns, from a thread that is left behind when this is cancelled."""
    future = THREADS.run(call)
    try:
        found: T = await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if not future.done():
            THREADS.abandon(future)
        raise
    return found


class _Queue:
    """The places that nobody has taken yet."""

    def __init__(self, length: int) -> None:
        self._lock = Lock()  # protects the rest
        self._next, self._length = 0, length

    def take(self) -> int | None:
        with self._lock:
            if self._next >= self._length:
                return None
            self._next += 1
            return self._next - 1

    def end(self) -> None:
        with self._lock:
            self._length = 0


class _Outcome:
    """What one task gave or raised, and what it added to DSPy's trace."""

    __slots__ = ("error", "ran", "trace", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.ran = False
        self.trace: list[Any] | None = None

    def run(self, task: Callable[[], Any]) -> bool:
        """Whether it failed."""
        self.ran = True
        try:
            with self._own_trace():
                self.value = task()
        except BaseException as error:  # border: raised again, in the order of the tasks
            self.error = error
        return self.error is not None

    async def arun(self, task: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        self.ran = True
        try:
            with self._own_trace():
                self.value = await task()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # border: as above
            self.error = error
        return self.error is not None

    @contextmanager
    def _own_trace(self) -> Iterator[None]:
        """A list of its own for DSPy's trace: threads must not decide on the order of steps."""
        if type(dspy.settings.trace) is not list:
            yield
            return
        self.trace = []
        with dspy.context(trace=self.trace):
            yield


def _results(outcomes: Sequence[_Outcome]) -> list[Any]:
    for outcome in outcomes:
        if outcome.trace:
            dspy.settings.trace.extend(outcome.trace)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    for error in sorted(errors, key=_urgency):  # stable: the first of the most urgent
        raise error
    return [outcome.value for outcome in outcomes]


def _urgency(error: BaseException) -> int:
    """An interrupt before a failure before a question."""
    if isinstance(error, Pause):
        return 2
    return int(isinstance(error, Exception))
