"""What a node's policy does around its step: time, further attempts, a cache, a fallback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any

from ..clock import Clock
from ..engine import DEADLINE, remaining
from ..errors import BudgetExceeded, DeadlineExceeded, ProviderRejected, UsageError
from ..randomness import rng
from .progress import Done
from .side import THREADS
from .walk import Task
from .wants import FAILURE

__all__ = ["aattempted", "attempted", "falls_back"]

_MOST = 500  # characters of an error's text that a fallback is told
_BASE, _CAP = 0.5, 10.0  # seconds; the wait before attempt k + 1 is uniform in 0 … base·2^(k-1)
_LASTING = (UsageError, BudgetExceeded, ProviderRejected)  # another attempt would fail as well


def attempted(task: Task, inputs: Mapping[str, Any], call: Callable[[], Any]) -> Any:
    """What the first attempt gives that succeeds, or what the cache holds."""
    graph, name, _, _ = task
    cache, policy = graph.caches.get(name), graph.policies[name]
    key = None if cache is None else cache.key(graph.nodes[name], inputs)
    if cache is not None and (found := cache.get(key, graph.clock.now())) is not None:
        return found
    for attempt in range(1, policy.retries + 2):
        try:
            output = _within(policy.timeout, graph.clock, name, call)
            break
        except Exception as error:  # border: passed on, unless another attempt may help
            wait = _wait(task, attempt, error)
        graph.clock.sleep(wait)
    if cache is not None:
        cache.put(key, output, graph.clock.now())
    return output


async def aattempted(
    task: Task, inputs: Mapping[str, Any], call: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    """As `attempted`, in a task."""
    graph, name, _, _ = task
    cache, policy = graph.caches.get(name), graph.policies[name]
    key = None if cache is None else cache.key(graph.nodes[name], inputs)
    if cache is not None and (found := cache.get(key, graph.clock.now())) is not None:
        return found
    for attempt in range(1, policy.retries + 2):
        try:
            output = await _awithin(policy.timeout, graph.clock, name, call)
            break
        except Exception as error:  # border: passed on, unless another attempt may help
            wait = _wait(task, attempt, error)
        await graph.clock.asleep(wait)
    if cache is not None:
        cache.put(key, output, graph.clock.now())
    return output


def falls_back(error: Exception, task: Task) -> Done:
    """The step as one that failed, if its node has a fallback; else the error, with its place."""
    name = task.place.names + task.name
    if task.graph.plan[task.name].policy.fallback is None:
        error.add_note(f"in node {name!r}, step {task.place.step}")
        raise error
    failure = {"node": name, "error": type(error).__name__, "message": str(error)[:_MOST]}
    return Done(name, {FAILURE: failure}, failed=True)


def _wait(task: Task, attempt: int, error: Exception) -> float:
    """Seconds before another attempt; raises the error where none is made."""
    graph, name, _, (step, names, progress) = task
    if isinstance(error, _LASTING) or attempt > graph.policies[name].retries:
        raise error
    most = min(_CAP, _BASE * 2.0 ** (attempt - 1))
    wait = rng(0, "graph retry", progress.id, step, attempt).uniform(0.0, most)
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
