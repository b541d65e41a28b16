"""The budget: no attempt is sent for which there is no room under a hard limit.

It stands below the caches and below everything that asks again, right above each provider: what
is found costs nothing, and each retry, fallback and hedge is reserved by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair
from ...errors import ConfigError
from ...prices import Price, Size, tokens_of
from ...prices.table import hosts_tools, is_long
from .around import Shared, around
from .billing import TENANT, may_be_billed
from .outcomes import unpriced_tools
from .purse import Amount, Purse, Reserved, Tally, nano
from .streams import aclose, close

__all__ = ["Budget", "PerCall"]

_CALL: ContextVar[Tally | None] = ContextVar("compilm_budget_call", default=None)


class _Ticket(NamedTuple):
    """An attempt that is out: what is reserved for it, and the size of its prompt."""

    reserved: Reserved
    request: Any
    plain: int


@dataclass(frozen=True, slots=True)
class Budget:
    """A layer: an attempt at `model` is reserved in the purse, sent, and settled.

    Reserved are the tokens that `Size` expects and their price; settled is what the provider
    reports. Where it reports nothing, or the attempt was lost on the way, what was reserved
    counts as used. So the limits are crossed by no more than a provider bills beyond
    `max_tokens`, and beyond the tokens that were expected of the prompt. Raises
    `BudgetExceeded` before anything is sent; `ConfigError`, when it is made, where there is a
    limit in money and no price.

    >>> from compilm.runtime.layers.purse import Limits
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> purse = Purse(Limits(calls_per_day=1))
    >>> pair = Budget(purse, "openai/gpt-5-mini")(CountingEngine().pair)
    >>> pair.sync.complete(request("hi")).text
    'hi'
    >>> pair.sync.complete(request("hi"))
    Traceback (most recent call last):
    compilm.errors.BudgetExceeded: the budget of 1 calls a day is used up: ...
    """

    purse: Purse
    model: str
    price: Price | None = None
    clock: Clock = SYSTEM_CLOCK
    size: Size = field(default_factory=Size, repr=False)

    def __post_init__(self) -> None:
        if self.purse.counts_money and self.price is None:
            raise ConfigError(
                f"there is a budget in usd, and the price of {self.model!r} is not known: give it "
                f'as [prices."{self.model}"], or a budget in calls or tokens'
            )

    def __call__(self, inner: EnginePair) -> EnginePair:
        return around(self, inner)

    def enter(self, request: Any) -> _Ticket:
        """Take aside what the attempt may need."""
        plain, ask = self._ask(request)
        now, whose = self.clock.wall(), TENANT.get()
        return _Ticket(self.purse.reserve(ask, now, whose, _CALL.get()), request, plain)

    def leave(self, ticket: _Ticket, answer: Any, error: BaseException | None) -> None:
        """Settle it."""
        reserved = ticket.reserved
        if error is None:
            used = self._used(ticket, answer)
        else:
            used = reserved.ask if may_be_billed(error) else Amount(1)
        self.purse.settle(reserved, used)

    def _ask(self, request: Any) -> tuple[int, Amount]:
        """The size of the prompt, and what to take aside."""
        if not self.purse.counts_size:
            return 0, Amount(1)
        plain, sent, answered = self.size.expected(request)
        if not self.purse.counts_money or self.price is None:
            return plain, Amount(1, sent + answered)
        if request.tools and hosts_tools(request):
            raise unpriced_tools()
        usd = self.price.most(sent, answered, is_long=is_long(request))
        return plain, Amount(1, sent + answered, nano(usd))

    def _used(self, ticket: _Ticket, answer: Any) -> Amount:
        tokens = tokens_of(answer.usage, self.model) if self.purse.counts_size else None
        if tokens is None:
            return ticket.reserved.ask
        self.size.saw(ticket.plain, tokens)
        if not self.purse.counts_money or self.price is None:
            return Amount(1, tokens.total)
        usd = self.price.usd(tokens, is_long=is_long(ticket.request))
        return Amount(1, tokens.total, nano(usd))


class PerCall:
    """A layer for the top of a stack: the attempts below are of one call, and add up.

    >>> from compilm.engine import stack
    >>> from compilm.runtime.layers.purse import Limits
    >>> from compilm.runtime.layers.retry import Retry
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> from dspy import lm15
    >>> late = CountingEngine(lambda _: lm15.TimeoutError("late"))
    >>> budget = Budget(Purse(Limits(tokens_per_call=2000)), "openai/gpt-5-mini")
    >>> pair = stack(late.pair, PerCall(), Retry(base=0.0), budget)
    >>> pair.sync.complete(request("hi"))  # what timed out may be billed, so it counts
    Traceback (most recent call last):
    compilm.errors.BudgetExceeded: this call would take more than its budget of 2,000 tokens a ...
    >>> late.calls
    1
    """

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_Call(inner.sync), _AsyncCall(inner.asynchronous))


@contextmanager
def _within(tally: Tally) -> Iterator[None]:
    token = _CALL.set(tally)
    try:
        yield
    finally:
        _CALL.reset(token)


class _Call(Shared):
    def complete(self, request: Any) -> Any:
        with _within(Tally()):
            return self._inner.complete(request)

    def stream(self, request: Any) -> Iterator[Any]:
        tally, source = Tally(), iter(self._inner.stream(request))
        try:
            while True:
                # Not around the yield: what the reader asks meanwhile is another call.
                with _within(tally):
                    event = next(source, None)
                if event is None:
                    return
                yield event
        finally:
            close(source)


class _AsyncCall(Shared):
    async def complete(self, request: Any) -> Any:
        with _within(Tally()):
            return await self._inner.complete(request)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        tally, source = Tally(), self._inner.stream(request)
        try:
            while True:
                with _within(tally):
                    event = await anext(source, None)
                if event is None:
                    return
                yield event
        finally:
            await aclose(source)
