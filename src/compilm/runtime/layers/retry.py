"""Retry: exponential backoff with full jitter, for failures that may pass by themselves.

The wait after a failure is `full_jitter`'s, counted from the start of the attempt, as gRPC's
connection backoff is: who waited 45 s for nothing has waited. A provider's `Retry-After` is
honored up to the cap, from its answer on.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...policies.backoff import full_jitter
from .around import Shared
from .notes import note
from .outcomes import asked, kind_of, retry_after_of
from .streams import aclose, aopening, close, opening

__all__ = ["Retry"]

_PASSING = frozenset({"limited", "failed", "garbled"})
_LEAST = 0.05  # seconds: what costs no attempt costs time, or it would never end


@dataclass(frozen=True, slots=True)
class Retry:
    """A layer that repeats an attempt up to `attempts` times in all; waits are seconds.

    Repeated are rate limits, timeouts, server and transport errors, and answers that cannot be
    read; a refusal of ours, if it says to ask again within `soon`. Everything else passes at once,
    and so does the last error. Where there is a deadline, a refusal is no attempt, and a chain of
    which half was refused is half of one: nobody else was asked. No wait is begun that would end
    after the deadline. A stream is asked for again until its first delta, not after.

    >>> Retry(attempts=2).wait(1, retry_after=90.0)
    30.0
    """

    attempts: int = 4
    base: float = 1.0
    cap: float = 30.0
    soon: float = 5.0
    clock: Clock = SYSTEM_CLOCK
    rng: random.Random = field(default_factory=random.Random)

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Retrying(self, inner.sync), _AsyncRetrying(self, inner.asynchronous))

    def wait(self, failures: float, *, retry_after: float | None = None) -> float:
        """Seconds to wait after this many failures, all told."""
        if retry_after is not None and retry_after >= 0:
            return min(float(retry_after), self.cap)
        return full_jitter(self.rng, failures, base=self.base, cap=self.cap)

    def counted(self, error: Exception, left: float) -> float:
        """How many of `attempts` this failure is; without a deadline nothing else ends refusals."""
        return 1.0 if left == inf else asked(error)

    def again(
        self, error: Exception, failures: float, left: float = inf, took: float = 0.0
    ) -> float | None:
        """Seconds to wait before trying once more, if `left` allows it; `None` gives up.

        `took`: how long the attempt did, which is a wait too.
        """
        if self.attempts == 1 or failures > self.attempts - 1:
            return None
        wait = self._passes(error, failures, took)
        return wait if wait is not None and wait < left else None

    def _passes(self, error: Exception, failures: float, took: float) -> float | None:
        """Seconds after which it may have passed, if it may."""
        kind, hint = kind_of(error), retry_after_of(error)
        if kind == "refused":
            is_soon = not asked(error) and hint is not None and hint <= self.soon
            return max(hint or 0.0, _LEAST) if is_soon else None
        if kind not in _PASSING:
            return None
        wait = self.wait(failures, retry_after=hint)
        return wait if hint is not None else max(0.0, wait - took)

    def run(self, attempt: Callable[[], Any]) -> Any:
        """What the first attempt gives that does not fail."""
        failures = 0.0
        while True:
            began = self.clock.now()
            try:
                return attempt()
            except Exception as error:  # border: classified here, passed on unless it may pass
                now = self.clock.now()
                left = remaining(now)
                failures += self.counted(error, left)
                wait = self.again(error, failures, left, now - began)
                if wait is None:
                    raise
                note("retry", wait=wait, error=type(error).__name__)
            self.clock.sleep(wait)

    async def arun(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """As `run`, in a task."""
        failures = 0.0
        while True:
            began = self.clock.now()
            try:
                return await attempt()
            except Exception as error:  # border: classified here, passed on unless it may pass
                now = self.clock.now()
                left = remaining(now)
                failures += self.counted(error, left)
                wait = self.again(error, failures, left, now - began)
                if wait is None:
                    raise
                note("retry", wait=wait, error=type(error).__name__)
            await self.clock.asleep(wait)


class _Retrying(Shared):
    def __init__(self, policy: Retry, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        return self._policy.run(lambda: self._inner.complete(request))

    def stream(self, request: Any) -> Iterator[Any]:
        def opened() -> tuple[list[Any], Any]:
            source = self._inner.stream(request)
            return opening(source), source

        head, source = self._policy.run(opened)
        try:
            yield from head
            yield from source
        finally:
            close(source)


class _AsyncRetrying(Shared):
    def __init__(self, policy: Retry, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        return await self._policy.arun(lambda: self._inner.complete(request))

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        async def opened() -> tuple[list[Any], Any]:
            source = self._inner.stream(request)
            return await aopening(source), source

        head, source = await self._policy.arun(opened)
        try:
            for event in head:
                yield event
            async for event in source:
                yield event
        finally:
            await aclose(source)
