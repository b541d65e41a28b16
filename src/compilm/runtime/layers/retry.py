"""Retry: exponential backoff with full jitter, for failures that may pass by themselves.

The wait before attempt k is uniform in 0 … min(cap, base·2^(k-1)) (Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog 2015). A provider's `Retry-After` is honored up to the cap.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy import lm15

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """A layer that repeats an attempt up to `attempts` times in all; waits are seconds.

    Repeated are rate limits, timeouts, server and transport errors; everything else passes at
    once, and so does the last error.

    >>> Retry(attempts=2).wait(1, retry_after=90.0)
    30.0
    """

    attempts: int = 4
    base: float = 1.0
    cap: float = 30.0
    clock: Clock = SYSTEM_CLOCK
    rng: random.Random = field(default_factory=random.Random)

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Retrying(self, inner.sync), _AsyncRetrying(self, inner))

    def wait(self, failures: int, *, retry_after: float | None = None) -> float:
        """Seconds to wait after this many failures, all told."""
        if retry_after is not None and retry_after >= 0:
            return min(float(retry_after), self.cap)
        return self.rng.uniform(0.0, min(self.cap, self.base * 2.0 ** (failures - 1)))

    def again(self, error: Exception, failures: int) -> bool:
        """Whether to try once more after this error."""
        passing = isinstance(error, lm15.RETRYABLE_ERRORS) or dspy.is_retryable_lm_error(error)
        return passing and failures < self.attempts


class _Retrying:
    def __init__(self, policy: Retry, inner: Any) -> None:
        self._policy, self._inner = policy, inner

    def complete(self, request: Any) -> Any:
        failures = 0
        while True:
            try:
                return self._inner.complete(request)
            except Exception as error:  # border: classified here, passed on unless it may pass
                failures += 1
                if not self._policy.again(error, failures):
                    raise
                hint = getattr(error, "retry_after", None)
            self._policy.clock.sleep(self._policy.wait(failures, retry_after=hint))

    def stream(self, request: Any) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))


class _AsyncRetrying:
    def __init__(self, policy: Retry, inner: EnginePair) -> None:
        self._policy, self._inner = policy, inner.asynchronous

    async def complete(self, request: Any) -> Any:
        failures = 0
        while True:
            try:
                return await self._inner.complete(request)
            except Exception as error:  # border: classified here, passed on unless it may pass
                failures += 1
                if not self._policy.again(error, failures):
                    raise
                hint = getattr(error, "retry_after", None)
            await self._policy.clock.asleep(self._policy.wait(failures, retry_after=hint))

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(await self.complete(request)):
            yield event
