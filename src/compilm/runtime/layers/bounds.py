"""Cutting a call at an instant: a task by cancelling it, a blocked thread by leaving it behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from math import inf
from types import TracebackType
from typing import Any, Protocol

from ...clock import Alarm, Clock
from ...engine import DEADLINE, EnginePair
from ...policies.threads import Threads
from .around import Shared
from .streams import aclose, close

__all__ = ["Bound", "bounded"]


class Bound(Protocol):
    """A policy that gives each call an instant, and an error for crossing it."""

    @property
    def clock(self) -> Clock:
        """Whose instants these are."""
        ...

    @property
    def threads(self) -> Threads | None:
        """Where blocking calls are made that must be cut; `None` makes them in the caller's."""
        ...

    def until(self, now: float) -> float:
        """The instant at which a call that starts now is cut."""
        ...

    def error(self, until: float) -> Exception:
        """What a call raises that was cut at `until`."""
        ...


def bounded(policy: Bound, inner: EnginePair) -> EnginePair:
    """`inner` with every call cut where `policy` says; below, that is the deadline.

    A stream is bounded as a whole. A synchronous engine without `threads` is not interrupted: the
    bound is kept between the events of a stream, and by every layer below that waits.
    """
    return EnginePair(_Bounded(policy, inner.sync), _AsyncBounded(policy, inner.asynchronous))


class _Call:
    """One synchronous call and the instant at which it is cut."""

    def __init__(self, policy: Bound) -> None:
        self._policy = policy
        self._until = policy.until(policy.clock.now())
        self._source: Any = None
        self._is_behind = False

    def run(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, if it comes in time."""
        clock, threads = self._policy.clock, self._policy.threads
        left = self._until - clock.now()
        if left <= 0:
            raise self._policy.error(self._until)
        token = DEADLINE.set(self._until)
        try:
            if threads is None:
                return work()
            future = threads.run(work)
        finally:
            DEADLINE.reset(token)
        if self._waited(future, left, threads):
            return future.result()
        raise self._policy.error(self._until)

    def _waited(self, future: Future[Any], left: float, threads: Threads) -> bool:
        try:
            return self._policy.clock.until(future, None if left == inf else left)
        finally:
            if not future.done():
                self._is_behind = True
                threads.abandon(future)
                future.add_done_callback(lambda _: close(self._source))

    def events(self, inner: Any, request: Any) -> Iterator[Any]:
        """The events of a stream, each in time."""
        self._source = self.run(lambda: iter(inner.stream(request)))
        try:
            while (event := self.run(lambda: next(self._source, None))) is not None:
                yield event
        finally:
            if not self._is_behind:  # else the thread that is in it closes it
                close(self._source)


class _Bounded(Shared):
    def __init__(self, policy: Bound, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        return _Call(self._policy).run(lambda: self._inner.complete(request))

    def stream(self, request: Any) -> Iterator[Any]:
        return _Call(self._policy).events(self._inner, request)


class _AsyncBounded(Shared):
    def __init__(self, policy: Bound, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        now = self._policy.clock.now()
        with _Cut(self._policy, self._policy.until(now), now):
            return await self._inner.complete(request)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        until = self._policy.until(self._policy.clock.now())
        source = self._inner.stream(request)
        try:
            while True:
                # Not around the yield: what the reader does meanwhile is not ours to cancel.
                with _Cut(self._policy, until, self._policy.clock.now()):
                    event = await anext(source, None)
                if event is None:
                    return
                yield event
        finally:
            await aclose(source)


class _Cut:
    """A block in a task that is cancelled at an instant, and then raises the policy's error."""

    __slots__ = ("_alarm", "_left", "_policy", "_rang", "_requests", "_task", "_token", "_until")

    def __init__(self, policy: Bound, until: float, now: float) -> None:
        self._policy, self._until, self._left = policy, until, until - now
        self._rang = False

    def __enter__(self) -> None:
        left, task = self._left, asyncio.current_task()
        if left <= 0 or task is None:
            raise self._policy.error(self._until)
        self._task, self._requests = task, task.cancelling()
        self._alarm: Alarm | None = None
        if left < inf:
            self._alarm = self._policy.clock.alarm(left, self._ring)
        self._token = DEADLINE.set(self._until)

    def _ring(self) -> None:
        self._rang = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        DEADLINE.reset(self._token)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None  # which holds this object
        # Cancelled by us alone: anyone else's cancellation stays one.
        is_ours = self._rang and self._task.uncancel() <= self._requests
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._policy.error(self._until) from error
