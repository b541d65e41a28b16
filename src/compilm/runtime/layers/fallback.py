"""A chain of providers: the next is asked when one fails, refuses, is slow, or answers badly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from dspy import lm15

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...policies.threads import Threads
from .around import Shared
from .hedging import After, Hedge
from .order import Order, watching
from .race import Racing, TaskRace, race
from .resume import Resumption, blaming
from .round import Round
from .streams import aclose, aopening, chained, close, opening

__all__ = ["Fallback", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A provider of a chain: its name in errors, its engines, and its model if it is another.

    `prefills` says that it goes on from the beginning of an answer that a request ends with.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> Target("openai", CountingEngine().pair, model="gpt-5-mini").asked(request("hi")).model
    'gpt-5-mini'
    """

    name: str
    pair: EnginePair
    model: str | None = None
    prefills: bool = False

    def asked(self, request: Any) -> Any:
        """The request as this provider is asked it."""
        return request if self.model is None else replace(request, model=self.model)


@dataclass(frozen=True, slots=True)
class Fallback:
    """A layer: the engine below is asked first, then each of `others`, each once, in order.

    The next is asked when a call fails in a way that another provider may not (the table is in
    design/runtime.md), when `accept` refuses an answer, and, with `hedge` (seconds, or what tells
    them), when the answer is late: then both go on, the first answer wins and the other call is
    cancelled (a thread is left behind). Beside the last of a chain, one that failed in a way that
    passes, or was refused, is asked again, twice at most. The answer's `model` says who gave it. A
    stream falls back until its first delta; what fails after it passes, or with `resume` is gone on
    with, if it is plain text: the next provider, or else the same, is asked for the rest. One
    failure passes as it is; of several, `NoneAnswered` holds all. `order` ranks the chain anew for
    each call.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> down = CountingEngine(lambda _: lm15.ServerError("down"))
    >>> chain = Fallback([Target("second", CountingEngine().pair, model="m2")], name="first")
    >>> answer = chain(down.pair).sync.complete(request("hi"))
    >>> answer.text, answer.model, down.calls
    ('hi', 'm2', 1)
    """

    others: Sequence[Target]
    name: str = "first"
    hedge: float | Hedge | None = None
    accept: Callable[[Any], bool] | None = None
    order: Order | None = None
    resume: bool = False
    prefills: bool = False
    clock: Clock = SYSTEM_CLOCK
    threads: Threads = field(default_factory=Threads, repr=False)

    def __call__(self, inner: EnginePair) -> EnginePair:
        targets = (Target(self.name, inner, prefills=self.prefills), *self.others)
        return EnginePair(_Falling(self, targets), _AsyncFalling(self, targets))

    def checked(self, response: Any) -> Any:
        """An answer that is accepted; one that is not is a failure like another."""
        if self.accept is not None and not self.accept(response):
            told = f"its answer was not accepted ({response.finish_reason})"
            raise lm15.ProviderError(told, provider_code="rejected")
        return response

    def heard(self, place: int, request: Any, answer: Any) -> None:
        """Tell the order what an answer, or the end of its stream, used."""
        if self.order is not None:
            self.order.used(place, request, answer.usage)

    def left(self) -> float:
        """Seconds to the deadline of this call."""
        return remaining(self.clock.now())


class _Chain(Shared):
    def __init__(self, policy: Fallback, targets: tuple[Target, ...]) -> None:
        super().__init__(None)
        self._policy, self._chain = policy, targets
        hedge = policy.hedge
        self._hedge = After(hedge) if isinstance(hedge, (int, float)) else hedge

    def _round(self, request: Any, *, is_stream: bool = False) -> tuple[Round, list[int]]:
        """A round over the chain, and which of its members is at each place of the round."""
        order, members = self._policy.order, list(range(len(self._chain)))
        if order is not None:
            members = order.ranked(request, self._policy.clock.now(), is_stream=is_stream)
        return Round([self._chain[member].name for member in members]), members

    def _telling(self, request: Any) -> Resumption:
        """The stream as the caller will see it; each of the chain may break once."""
        return Resumption(request, len(self._chain) if self._policy.resume else 0)

    def _rest(
        self, told: Resumption, members: list[int], member: int, error: Exception
    ) -> tuple[Round, list[int]]:
        """The round that goes on with a stream which broke; the error, where none does."""
        if self._policy.left() <= 0 or not told.broke(self._chain[member].name, error):
            raise error
        # Those before it have just failed; the one that broke is better than none.
        left = [*members[members.index(member) + 1 :], member]
        return Round([self._chain[each].name for each in left]), left

    def _watched(self, member: int, *, is_stream: bool = False) -> Any:
        return watching(self._policy.order, member, self._policy.clock, is_stream=is_stream)

    def _go_on(self, round_: Round, place: int, error: Exception) -> None:
        """Note a failure, and raise what the round ends with if it does."""
        round_.go_on(place, error, self._policy.left())

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
        if self._hedge is not None and self._hedge.in_threads:
            racing = Racing(*self._round(request), self._hedge, self._policy.clock)
            return race(racing, partial(self._asked, request), self._policy.threads)
        return self._each(self._round(request), partial(self._asked, request))

    def _asked(self, request: Any, member: int) -> Any:
        target = self._chain[member]
        asked = target.asked(request)
        with self._watched(member):
            answer = self._policy.checked(target.pair.sync.complete(asked))
        self._policy.heard(member, asked, answer)
        return answer

    def _each(self, begun: tuple[Round, list[int]], attempt: Callable[[int], Any]) -> Any:
        round_, members = begun
        while True:
            place = round_.start()
            try:
                return attempt(members[place])
            except Exception as error:  # border: classified by the round, which raises or goes on
                self._go_on(round_, place, error)

    def stream(self, request: Any) -> Iterator[Any]:
        told, begun = self._telling(request), self._round(request, is_stream=True)
        broken: Exception | None = None
        while True:
            with blaming(broken):
                member, head, source = self._each(begun, partial(self._opened, told))
            try:
                for event in chain(head, source):
                    if event.type == "end":
                        self._policy.heard(member, request, event)
                    yield from told.shown(event)
                return
            except Exception as error:  # border: it is gone on with, or it passes
                begun, broken = self._rest(told, begun[1], member, error), error
            finally:
                close(source)

    def _opened(self, told: Resumption, member: int) -> tuple[int, list[Any], Any]:
        target = self._chain[member]
        with self._watched(member, is_stream=True):
            asked = target.asked(told.asked(prefills=target.prefills))
            source = target.pair.sync.stream(asked)
            return member, opening(source), source


class _AsyncFalling(_Chain):
    async def complete(self, request: Any) -> Any:
        if self._hedge is not None:
            racing = TaskRace(*self._round(request), self._hedge, self._policy.clock)
            return await racing.run(partial(self._asked, request))
        return await self._each(self._round(request), partial(self._asked, request))

    async def _asked(self, request: Any, member: int) -> Any:
        target = self._chain[member]
        asked = target.asked(request)
        with self._watched(member):
            answer = self._policy.checked(await target.pair.asynchronous.complete(asked))
        self._policy.heard(member, asked, answer)
        return answer

    async def _each(
        self, begun: tuple[Round, list[int]], attempt: Callable[[int], Awaitable[Any]]
    ) -> Any:
        round_, members = begun
        while True:
            place = round_.start()
            try:
                return await attempt(members[place])
            except Exception as error:  # border: classified by the round, which raises or goes on
                self._go_on(round_, place, error)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        told, begun = self._telling(request), self._round(request, is_stream=True)
        broken: Exception | None = None
        while True:
            with blaming(broken):
                member, head, source = await self._each(begun, partial(self._opened, told))
            try:
                async for event in chained(head, source):
                    if event.type == "end":
                        self._policy.heard(member, request, event)
                    for each in told.shown(event):
                        yield each
                return
            except Exception as error:  # border: it is gone on with, or it passes
                begun, broken = self._rest(told, begun[1], member, error), error
            finally:
                await aclose(source)

    async def _opened(self, told: Resumption, member: int) -> tuple[int, list[Any], Any]:
        target = self._chain[member]
        with self._watched(member, is_stream=True):
            asked = target.asked(told.asked(prefills=target.prefills))
            source = target.pair.asynchronous.stream(asked)
            return member, await aopening(source), source
