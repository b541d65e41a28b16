"""Single flight: equal requests that are out at the same time are asked once.

Equal are the same request and the same sample of it: two samples are two answers that somebody
wants to compare, and are never made one.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from types import TracebackType
from typing import Any, NamedTuple

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...errors import DeadlineExceeded, Refused
from ...policies.futures import auntil, in_a_loop
from ...programs import models
from .around import Shared
from .notes import note
from .outcomes import deadline_exceeded
from .samples import counted, is_named

__all__ = ["Coalesce", "Flight", "Flights", "Landing", "call_key"]


class Landing(NamedTuple):
    """How a flight ended for its followers: an answer, an error, or (neither) with nobody's."""

    response: Any = None
    error: BaseException | None = None
    trace: TracebackType | None = None


class Flight:
    """One call that is out: its key, and what it will bring to those who wait."""

    __slots__ = ("key", "landing")

    def __init__(self, key: object) -> None:
        self.key = key
        self.landing: Future[Landing] | None = None  # made by the first follower


class Flights:
    """The calls that are out, by key. Safe under threads.

    >>> flights = Flights()
    >>> (flight, leads), (same, leads_too) = flights.claim("k"), flights.claim("k")
    >>> leads, leads_too, flight is same
    (True, False, True)
    >>> flights.land(flight, Landing("answer"))
    >>> flight.landing.result().response, len(flights)
    ('answer', 0)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _flying and the landings of its flights
        self._flying: dict[object, Flight] = {}

    def __len__(self) -> int:
        return len(self._flying)

    def claim(self, key: object) -> tuple[Flight, bool]:
        """The flight of this key, and whether the caller leads it: makes the call and lands it."""
        with self._lock:
            own = Flight(key)
            flight = self._flying.setdefault(key, own)
            if flight is own:
                return own, True
            if flight.landing is None:
                # Running from the start: one who is cancelled must not cancel it for others.
                flight.landing = Future()
                flight.landing.set_running_or_notify_cancel()
            return flight, False

    def land(self, flight: Flight, landing: Landing) -> None:
        """The call ended, and whoever waits is told."""
        with self._lock:
            del self._flying[flight.key]
            told = flight.landing
        if told is not None:
            told.set_result(landing)


class _Key:
    """A request and its sample. As exact as their digest, at a tenth of its cost."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, request: Any, rollout: int | None, index: int) -> None:
        self._parts = (request, rollout, index)
        try:
            self._hash = hash(self._parts)
        except TypeError:  # a schema or an extension is in it, as a dict
            self._parts = (models.request_digest(request), rollout, index)
            self._hash = hash(self._parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._parts == other._parts


def call_key(request: Any) -> object | None:
    """What makes two calls one; `None` for a call that is never one with another.

    That is the whole request and its sample. Above temperature 0 only a `rollout_id` says that
    two calls mean the same sample: without, each call is its own.

    >>> from compilm.testing.layer_kit import request
    >>> call_key(request("a")) == call_key(request("a")) != call_key(request("b"))
    True
    >>> print(call_key(request("a", temperature=1.0)))
    None
    """
    sample = counted()
    return _Key(request, sample.rollout_id, sample.index) if is_named(sample, request) else None


@dataclass(frozen=True, slots=True)
class Coalesce:
    """A layer: of several equal calls that are out, one is made, and all get its answer.

    Whoever is first asks. If it is cancelled, refused, or late by its own deadline, the next
    takes over; any other failure is everyone's. Each waits no longer than its own deadline.
    Streams are not made one.

    >>> import asyncio
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> engine = CountingEngine()
    >>> pair = Coalesce()(engine.pair)
    >>> async def sixty_four():
    ...     calls = (pair.asynchronous.complete(request("hi")) for _ in range(64))
    ...     return {answer.text for answer in await asyncio.gather(*calls)}
    >>> asyncio.run(sixty_four()), engine.calls
    ({'hi'}, 1)
    """

    clock: Clock = SYSTEM_CLOCK
    flights: Flights = field(default_factory=Flights, repr=False)

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Coalescing(self, inner.sync), _AsyncCoalescing(self, inner.asynchronous))

    def landed(self, flight: Flight, response: Any, error: BaseException | None) -> None:
        """Tell the followers, unless what happened concerns the leader alone."""
        own = error is not None and (
            not isinstance(error, Exception) or isinstance(error, (Refused, DeadlineExceeded))
        )
        if own:
            landing = Landing()
        else:
            landing = Landing(response, error, error.__traceback__ if error else None)
        self.flights.land(flight, landing)

    def left(self) -> float:
        """Seconds that this caller waits for somebody else's call."""
        return remaining(self.clock.now())


def _taken(flight: Flight) -> Any:
    """What a flight brought, for one who followed it; `None` if it has to be made again."""
    assert flight.landing is not None
    response, error, trace = flight.landing.result()
    if error is not None:
        # The one error object is raised by many: its traceback must not grow with each.
        raise error.with_traceback(trace)
    return response


class _Coalescing(Shared):
    def __init__(self, policy: Coalesce, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    def complete(self, request: Any) -> Any:
        policy, key = self._policy, call_key(request)
        # In a running loop a thread must not wait: its leader may be a task of that very loop.
        if key is None or in_a_loop():
            return self._inner.complete(request)
        while True:
            flight, leads = policy.flights.claim(key)
            if leads:
                return self._lead(flight, request)
            note("coalesce.followed")
            left = policy.left()
            assert flight.landing is not None
            if not policy.clock.until(flight.landing, None if left == inf else left):
                raise deadline_exceeded("while an equal call was out")
            if (response := _taken(flight)) is not None:
                return response

    def _lead(self, flight: Flight, request: Any) -> Any:
        try:
            response = self._inner.complete(request)
        except BaseException as error:  # border: the followers are told; it passes
            self._policy.landed(flight, None, error)
            raise
        self._policy.landed(flight, response, None)
        return response

    def stream(self, request: Any) -> Iterator[Any]:
        return iter(self._inner.stream(request))


class _AsyncCoalescing(Shared):
    def __init__(self, policy: Coalesce, inner: Any) -> None:
        super().__init__(inner)
        self._policy = policy

    async def complete(self, request: Any) -> Any:
        policy, key = self._policy, call_key(request)
        if key is None:
            return await self._inner.complete(request)
        while True:
            flight, leads = policy.flights.claim(key)
            if leads:
                return await self._lead(flight, request)
            note("coalesce.followed")
            assert flight.landing is not None
            if not await auntil(policy.clock, flight.landing, policy.left()):
                raise deadline_exceeded("while an equal call was out")
            if (response := _taken(flight)) is not None:
                return response

    async def _lead(self, flight: Flight, request: Any) -> Any:
        try:
            response = await self._inner.complete(request)
        except BaseException as error:  # border: as above
            self._policy.landed(flight, None, error)
            raise
        self._policy.landed(flight, response, None)
        return response

    def stream(self, request: Any) -> AsyncIterator[Any]:
        found: AsyncIterator[Any] = self._inner.stream(request)
        return found
