"""What a node's policy does around its step: time, further attempts, a cache, a fallback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeAlias

from ..clock import Clock
from ..engine import DEADLINE, remaining
from ..errors import BudgetExceeded, DeadlineExceeded, ProviderRejected, UsageError
from ..policies.backoff import full_jitter
from ..randomness import rng
from .pauses import Pause
from .progress import Done
from .side import THREADS
from .told import told_of
from .walk import Task
from .wants import FAILURE

__all__ = ["aattempted", "attempted", "falls_back"]

Call: TypeAlias = Callable[[Task, Mapping[str, Any]], Any]
AsyncCall: TypeAlias = Callable[[Task, Mapping[str, Any]], Coroutine[Any, Any, Any]]

_BASE, _CAP = 0.5, 10.0  # seconds
_LASTING = (UsageError, BudgetExceeded, ProviderRejected)  # another attempt would fail as well


def attempted(task: Task, inputs: Mapping[str, Any], call: Call) -> Any:
    """What the first attempt gives that succeeds, or what the cache holds."""
    graph, name, spot = task.graph, task.name, task.spot
    remembered = _Remembered(task, inputs)
    if remembered.value is not None:
        return remembered.value
    _begins(task, spot.wants.key)
    for attempt in range(1, spot.policy.retries + 2):
        try:
            output = _within(spot.policy.timeout, graph.clock, name, lambda: call(task, inputs))
            return remembered.put(output)
        except Pause:
            _begins(task, is_safe=True)  # a step that asks has done nothing yet
            raise
        except Exception as error:  # border: passed on, unless another attempt may help
            wait = _wait(task, attempt, error)
        graph.clock.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


async def aattempted(task: Task, inputs: Mapping[str, Any], call: AsyncCall) -> Any:
    """As `attempted`, in a task."""
    graph, name, spot = task.graph, task.name, task.spot
    remembered = _Remembered(task, inputs)
    if remembered.value is not None:
        return remembered.value
    _begins(task, spot.wants.key)
    for attempt in range(1, spot.policy.retries + 2):
        try:
            timed = _awithin(spot.policy.timeout, graph.clock, name, lambda: call(task, inputs))
            return remembered.put(await timed)
        except Pause:
            _begins(task, is_safe=True)  # as above
            raise
        except Exception as error:  # border: passed on, unless another attempt may help
            wait = _wait(task, attempt, error)
        await graph.clock.asleep(wait)
    raise AssertionError("the last attempt returns or raises")


class _Remembered:
    """What the node's cache holds for these inputs, and where to put what it did not."""

    def __init__(self, task: Task, inputs: Mapping[str, Any]) -> None:
        graph, name = task.graph, task.name
        self._cache, self._clock = graph.caches.get(name), graph.clock
        self.value = None
        if self._cache is not None:
            self._key = self._cache.key(graph.nodes[name], inputs)
            self.value = self._cache.get(self._key, self._clock.now())

    def put(self, output: Any) -> Any:
        if self._cache is not None:
            self._cache.put(self._key, output, self._clock.now())
        return output


def _begins(task: Task, is_safe: bool) -> None:
    names, progress = task.names, task.progress
    if task.spot.policy.effect and progress.begin is not None:
        progress.begin(task.step, names + task.name, is_safe)


def falls_back(error: Exception, task: Task) -> Done:
    """The step as one that failed, if its node has a fallback; else the error, with its place."""
    name = task.names + task.name
    if task.graph.plan[task.name].policy.fallback is None:
        error.add_note(f"in node {name!r}, step {task.step}")
        raise error
    return Done(name, {FAILURE: {"node": name, **told_of(error)}}, failed=True)


def _wait(task: Task, attempt: int, error: Exception) -> float:
    """Seconds before another attempt; raises the error where none is made."""
    graph, name, _, _, step, names, progress = task
    if isinstance(error, _LASTING) or attempt > graph.policies[name].retries:
        raise error
    chance = rng(0, "graph retry", progress.id, step, attempt)
    wait = full_jitter(chance, attempt, base=_BASE, cap=_CAP)
    if progress.tell is not None:
        told = {"error": type(error).__name__, "attempt": attempt, "wait": wait}
        progress.tell("retried", names + name, step, told)
    return wait


def _within(seconds: float | None, clock: Clock, name: str, call: Callable[[], Any]) -> Any:
    """What `call` returns in time; a thread that is late is left behind."""
    if seconds is None:
        return call()
    token = DEADLINE.set(clock.now() + min(seconds, remaining(clock.now())))
    try:
        future: Future[Any] = THREADS.run(call)
    finally:
        DEADLINE.reset(token)
    if clock.until(future, seconds):
        return future.result()
    THREADS.abandon(future)
    raise _late(name, seconds)


async def _awithin(
    seconds: float | None, clock: Clock, name: str, call: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    """As `_within`; a task that is late is cancelled."""
    if seconds is None:
        return await call()
    token = DEADLINE.set(clock.now() + min(seconds, remaining(clock.now())))
    try:
        task = asyncio.ensure_future(call())
    finally:
        DEADLINE.reset(token)
    rang = asyncio.Event()

    def ring() -> None:
        rang.set()
        task.cancel()

    alarm = clock.alarm(seconds, ring)
    try:
        return await task
    except asyncio.CancelledError:
        task.cancel()
        if rang.is_set() and task.cancelled():
            raise _late(name, seconds) from None
        raise
    finally:
        alarm.cancel()


def _late(name: str, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"node {name!r} gave no answer within its timeout of {seconds:g} s")
