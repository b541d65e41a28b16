"""Turns: of several processes that share a store, one asks for an answer, the others wait for it.

Without, a key that ends is asked for by every process at once. The turn is a lock with an end, so
that a process that dies holds nobody up for long; who waits longest asks by itself.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...policies.futures import in_a_loop
from ..caches.lease import KEY, Claim, Leases, keyed
from .around import Shared

__all__ = ["Keeper", "Turns"]

_FIRST, _GROWTH, _LONGEST = 0.02, 1.5, 0.25  # seconds between two looks
_NONE = Claim(None, False)


class Keeper(Protocol):
    """What knows how an answer is kept: the exact cache above."""

    def late(self, value: bytes) -> Any:
        """The answer that another process kept while this one waited; `None` if it is none."""
        ...

    def keep(self, key: str, response: Any) -> None:
        """Keep an answer before anyone else has the turn."""
        ...

    async def akeep(self, key: str, response: Any) -> None:
        """As `keep`, in a task."""
        ...

    def failed(self, error: Exception) -> None:
        """The store could not do it."""
        ...


@dataclass(frozen=True, slots=True)
class Turns:
    """A layer below the cache and the coalescing: one process at a time asks for a key.

    Who has not the turn looks again until there is an answer or the turn is free, for `patience`
    seconds at most and never past its deadline; then it asks. A turn lasts `lease` seconds at
    most. Streams wait for nobody, nor does a blocking call in a running loop. A store that fails
    never fails a call.
    """

    store: Leases
    keeper: Keeper
    clock: Clock = SYSTEM_CLOCK
    lease: float = 10.0
    patience: float = 10.0
    _own: str = field(default_factory=lambda: uuid4().hex, repr=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Turning(self, inner.sync), _AsyncTurning(self, inner.asynchronous))

    def token(self) -> str:
        """A name that no other claim has, not even one of a fork."""
        return f"{self._own} {os.getpid()} {next(self._numbers)}"

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before each further look."""
        now = self.clock.now()
        until, pause = now + min(self.patience, remaining(now)), _FIRST
        while (left := until - self.clock.now()) > 0:
            yield min(pause, left)
            pause = min(pause * _GROWTH, _LONGEST)


class _Turning(Shared):
    def __init__(self, policy: Turns, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        key, policy = KEY.get(), self._policy
        # In a running loop a thread must not wait: whoever has the turn may be a task of it.
        if key is None or in_a_loop():
            return self._inner.complete(request)
        token = policy.token()
        claim = self._claimed(key, token)
        try:
            if (late := _late(policy, claim)) is not None:
                return late
            with keyed(None):
                response = self._inner.complete(request)
            if claim.is_mine:
                policy.keeper.keep(key, response)
            return response
        finally:
            if claim.is_mine:
                self._release(key, token)

    def _claimed(self, key: str, token: str) -> Claim:
        """The turn or an answer, perhaps after a wait; neither of them means: ask."""
        policy = self._policy
        try:
            claim = policy.store.claim(key, token, policy.lease)
            for pause in policy.pauses():
                if claim.is_mine or claim.value is not None:
                    break
                policy.clock.sleep(pause)
                claim = policy.store.claim(key, token, policy.lease)
            return claim
        except Exception as error:  # border: a store that fails never fails a call
            policy.keeper.failed(error)
            return _NONE

    def _release(self, key: str, token: str) -> None:
        try:
            self._policy.store.release(key, token)
        except Exception as error:  # border: a turn that is not given back ends by itself
            self._policy.keeper.failed(error)

    def stream(self, request: Any) -> Iterator[Any]:
        return iter(self._inner.stream(request))


class _AsyncTurning(Shared):
    def __init__(self, policy: Turns, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        key, policy = KEY.get(), self._policy
        if key is None:
            return await self._inner.complete(request)
        token = policy.token()
        claim = await self._claimed(key, token)
        try:
            if (late := _late(policy, claim)) is not None:
                return late
            with keyed(None):
                response = await self._inner.complete(request)
            if claim.is_mine:
                await policy.keeper.akeep(key, response)
            return response
        finally:
            if claim.is_mine:
                await self._release(key, token)

    async def _claimed(self, key: str, token: str) -> Claim:
        policy = self._policy
        try:
            claim = await policy.store.aclaim(key, token, policy.lease)
            for pause in policy.pauses():
                if claim.is_mine or claim.value is not None:
                    break
                await policy.clock.asleep(pause)
                claim = await policy.store.aclaim(key, token, policy.lease)
            return claim
        except Exception as error:  # border: as above
            policy.keeper.failed(error)
            return _NONE

    async def _release(self, key: str, token: str) -> None:
        try:
            await self._policy.store.arelease(key, token)
        except Exception as error:  # border: as above
            self._policy.keeper.failed(error)

    def stream(self, request: Any) -> AsyncIterator[Any]:
        found: AsyncIterator[Any] = self._inner.stream(request)
        return found


def _late(policy: Turns, claim: Claim) -> Any:
    return None if claim.value is None else policy.keeper.late(claim.value)
