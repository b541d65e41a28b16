"""A chain of providers: the next is asked when one fails, refuses, is slow, or answers badly."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any, TypeVar

from dspy import lm15

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...errors import DeadlineExceeded
from .around import Shared
from .outcomes import Kind, deadline_exceeded, kind_of, none_answered
from .streams import aclose, aopening, close, opening
from .threads import Threads

__all__ = ["Fallback", "Round", "Target"]

Call = TypeVar("Call", bound="Future[Any] | asyncio.Task[Any]")
_NEXT: frozenset[Kind] = frozenset(
    {"refused", "limited", "failed", "garbled", "elsewhere", "account"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """A provider of a chain: its name in errors, its engines, and its model if it is another.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> Target("openai", CountingEngine().pair, model="gpt-5-mini").asked(request("hi")).model
    'gpt-5-mini'
    """

    name: str
    pair: EnginePair
    model: str | None = None

    def asked(self, request: Any) -> Any:
        """The request as this provider is asked it."""
        return request if self.model is None else replace(request, model=self.model)


class Round:
    """One round over a chain, as a state: who is next, who is out, who failed, how it ends.

    >>> round = Round(("a", "b"))
    >>> round.start(), round.failed(0, lm15.ServerError("down"), left=9.0), round.start()
    (0, None, 1)
    >>> type(round.failed(1, lm15.ServerError("down"), left=9.0)).__name__
    'NoneAnswered'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._started = 0
        self.failures: list[tuple[str, Exception]] = []

    @property
    def is_open(self) -> bool:
        """Whether there is one more to ask."""
        return self._started < len(self._names)

    @property
    def out(self) -> int:
        """How many are asked and have not failed."""
        return self._started - len(self.failures)

    def start(self) -> int:
        """The place of the one that is asked now."""
        self._started += 1
        return self._started - 1

    def failed(self, place: int, error: Exception, left: float) -> Exception | None:
        """Note a failure: what the round ends with, or `None` if it goes on."""
        self.failures.append((self._names[place], error))
        if kind_of(error) not in _NEXT:
            return error
        is_over = self.out == 0 and (not self.is_open or left <= 0)
        return self._end() if is_over else None

    def _end(self) -> Exception:
        last = self.failures[-1][1]
        if len(self.failures) == 1:
            return last
        told = none_answered(self.failures)
        kinds = {kind_of(error) for _, error in self.failures}
        if isinstance(last, DeadlineExceeded) or kinds == {"elsewhere"}:
            # Callers look for these very classes: time is over, or the request is too much.
            last.add_note(str(told))
            return last
        return told


@dataclass(frozen=True, slots=True)
class Fallback:
    """A layer: the engine below is asked first, then each of `others`, each once, in order.

    The next is asked when a call fails in a way that another provider may not (the table is in
    design/runtime.md), when `accept` refuses an answer, and, with `hedge`, when there is no
    answer after so many seconds: then both go on, the first answer wins and the other call is
    cancelled (a thread is left behind). The answer's `model` says who gave it. A stream falls
    back until its first delta; what fails after it passes. One failure passes as it is; of
    several, `NoneAnswered` holds all.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> down = CountingEngine(lambda _: lm15.ServerError("down"))
    >>> chain = Fallback([Target("second", CountingEngine().pair, model="m2")], name="first")
    >>> answer = chain(down.pair).sync.complete(request("hi"))
    >>> answer.text, answer.model, down.calls
    ('hi', 'm2', 1)
    """

    others: Sequence[Target]
    name: str = "first"
    hedge: float | None = None
    accept: Callable[[Any], bool] | None = None
    clock: Clock = SYSTEM_CLOCK
    threads: Threads = field(default_factory=Threads, repr=False)

    def __call__(self, inner: EnginePair) -> EnginePair:
        chain = (Target(self.name, inner), *self.others)
        return EnginePair(_Falling(self, chain), _AsyncFalling(self, chain))

    def checked(self, response: Any) -> Any:
        """An answer that is accepted; one that is not is a failure like another."""
        if self.accept is not None and not self.accept(response):
            told = f"its answer was not accepted ({response.finish_reason})"
            raise lm15.ProviderError(told, provider_code="rejected")
        return response

    def left(self) -> float:
        """Seconds to the deadline of this call."""
        return remaining(self.clock.now())

    def patience(self, is_open: bool) -> float:
        """Seconds to wait for an answer before the next is asked too, or time is over."""
        hedge = self.hedge if is_open and self.hedge is not None else inf
        return min(hedge, self.left())


class _Chain(Shared):
    def __init__(self, policy: Fallback, chain: tuple[Target, ...]) -> None:
        super().__init__(None)
        self._policy, self._chain = policy, chain

    def _round(self) -> Round:
        return Round([target.name for target in self._chain])

    def _go_on(self, round_: Round, place: int, error: Exception) -> None:
        """Note a failure, and raise what the round ends with if it does."""
        ended = round_.failed(place, error, self._policy.left())
        if ended is error:
            raise ended
        if ended is not None:
            raise ended from error

    def _done(self, calls: Iterable[Call], is_open: bool) -> Call | None:
        """The first call that is done; `None` where there is none, and time for another."""
        done = next((call for call in calls if call.done()), None)
        if done is None and (not is_open or self._policy.left() <= 0):
            raise deadline_exceeded(f"while {len(list(calls))} providers were asked")
        return done

    def close(self) -> None:
        """Close every engine of the chain."""
        for target in self._chain:
            close(target.pair.sync)

    async def aclose(self) -> None:
        """Close every asynchronous engine of the chain."""
        for target in self._chain:
            await aclose(target.pair.asynchronous)


class _Falling(_Chain):
    def complete(self, request: Any) -> Any:
        if self._policy.hedge is not None:
            return self._race(request)
        return self._each(lambda target: self._asked(target, request))

    def _asked(self, target: Target, request: Any) -> Any:
        return self._policy.checked(target.pair.sync.complete(target.asked(request)))

    def _each(self, attempt: Callable[[Target], Any]) -> Any:
        round_ = self._round()
        while True:
            place = round_.start()
            try:
                return attempt(self._chain[place])
            except Exception as error:  # border: classified by the round, which raises or goes on
                self._go_on(round_, place, error)

    def _race(self, request: Any) -> Any:
        round_, threads = self._round(), self._policy.threads
        calls: dict[Future[Any], int] = {}
        done: Future[Any] | None = None
        try:
            while True:
                if done is None or round_.out == 0:
                    place = round_.start()
                    calls[threads.run(partial(self._asked, self._chain[place], request))] = place
                done = self._first(calls, round_.is_open)
                if done is not None:
                    place = calls.pop(done)
                    try:
                        return done.result()
                    except Exception as error:  # border: classified by the round, as above
                        self._go_on(round_, place, error)
        finally:
            for call in calls:
                threads.abandon(call)

    def _first(self, calls: Mapping[Future[Any], int], is_open: bool) -> Future[Any] | None:
        """The first call that is done, or `None` when it is time for the next one."""
        clock, one = self._policy.clock, Future[None]()
        for call in calls:
            call.add_done_callback(lambda _: _ring(one))
        seconds = self._policy.patience(is_open)
        clock.until(one, None if seconds == inf else seconds)
        return self._done(calls, is_open)

    def stream(self, request: Any) -> Iterator[Any]:
        def opened(target: Target) -> tuple[list[Any], Any]:
            source = target.pair.sync.stream(target.asked(request))
            return opening(source), source

        head, source = self._each(opened)
        try:
            yield from head
            yield from source
        finally:
            close(source)


def _ring(one: Future[None]) -> None:
    with suppress(InvalidStateError):  # another was first
        one.set_result(None)


class _AsyncFalling(_Chain):
    async def complete(self, request: Any) -> Any:
        if self._policy.hedge is not None:
            return await self._race(request)
        return await self._each(lambda target: self._asked(target, request))

    async def _asked(self, target: Target, request: Any) -> Any:
        answer = await target.pair.asynchronous.complete(target.asked(request))
        return self._policy.checked(answer)

    async def _each(self, attempt: Callable[[Target], Awaitable[Any]]) -> Any:
        round_ = self._round()
        while True:
            place = round_.start()
            try:
                return await attempt(self._chain[place])
            except Exception as error:  # border: classified by the round, which raises or goes on
                self._go_on(round_, place, error)

    async def _race(self, request: Any) -> Any:
        round_ = self._round()
        calls: dict[asyncio.Task[Any], int] = {}
        done: asyncio.Task[Any] | None = None
        try:
            while True:
                if done is None or round_.out == 0:
                    place = round_.start()
                    calls[asyncio.ensure_future(self._asked(self._chain[place], request))] = place
                done = await self._first(calls, round_.is_open)
                if done is not None:
                    place = calls.pop(done)
                    try:
                        return done.result()
                    except Exception as error:  # border: classified by the round, as above
                        self._go_on(round_, place, error)
        finally:
            for call in calls:
                call.cancel()
            if calls:  # what they hold is free again before anyone goes on
                await asyncio.gather(*calls, return_exceptions=True)

    async def _first(
        self, calls: Mapping[asyncio.Task[Any], int], is_open: bool
    ) -> asyncio.Task[Any] | None:
        """The first call that is done, or `None` when it is time for the next one."""
        bell = asyncio.get_running_loop().create_future()
        seconds = self._policy.patience(is_open)
        alarm = None if seconds == inf else self._policy.clock.alarm(seconds, bell.cancel)
        try:
            await asyncio.wait({*calls, bell}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            bell.cancel()
            if alarm is not None:
                alarm.cancel()
        return self._done(calls, is_open)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        async def opened(target: Target) -> tuple[list[Any], Any]:
            source = target.pair.asynchronous.stream(target.asked(request))
            return await aopening(source), source

        head, source = await self._each(opened)
        try:
            for event in head:
                yield event
            async for event in source:
                yield event
        finally:
            await aclose(source)
