"""The two layers under every call of a compile: what is paid is counted, what is paid is kept.

`Metered` sits right above the provider: it reserves each attempt in the ledger, says in the
journal that it goes out, and settles it. `Recorded` sits on top of the stack: it answers from the
journal what was answered before, lets one of several equal calls in flight go through, and writes
the answer down before anyone sees it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy import lm15

from .. import canonical
from ..engine import SAMPLE, EnginePair
from ..errors import ProviderRejected, RunStopped
from ..prices import Charge, Prices, Size, prompt_tokens
from ..prices.table import hosts_tools, is_long
from ..programs import models
from .ledger import NOTHING, Ask, Ledger, running_loop
from .records import Writer

__all__ = ["SCOPE", "Answer", "Answers", "Metered", "Recorded", "Scope"]

_REJECTIONS = ("LMAuthError", "LMBillingError", "AuthError", "BillingError")
_NO_KEY = ("LMNotConfiguredError", "NotConfiguredError")
_SLACK, _SHORT = 2, 256  # an answer is at most so many times the longest yet, or has so few tokens
_PATIENCE = 0.02  # seconds between two looks at a ledger that calls in flight will decide


@dataclass(slots=True)
class Scope:
    """What one piece of work asked of models, noted even where the program swallows a failure.

    keys: the calls asked for, answered from the journal or paid; unmanaged: calls of LMs that a
    program or metric reaches through a global, which are counted but cannot be replayed.
    """

    keys: list[str] = field(default_factory=list)
    unmanaged: int = 0
    failures: list[str] = field(default_factory=list)


SCOPE: ContextVar[Scope | None] = ContextVar("compilm_rollout_scope", default=None)
_LAST: ContextVar[tuple[lm15.Request, str] | None] = ContextVar("compilm_last_key", default=None)


class Metered:
    """A layer: each attempt is reserved, announced, made once and settled."""

    def __init__(
        self,
        role: str,
        model: str,
        ledger: Ledger,
        writer: Writer,
        prices: Prices,
        size: Size | None = None,
    ) -> None:
        self._role, self._model, self._prices = role, model, prices
        self._ledger, self._writer, self._size = ledger, writer, size or Size()
        self._price = prices.find(model)  # the dearest of those that answered

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_MeteredEngine(self, inner.sync), _AsyncMeteredEngine(self, inner))

    def start(self, request: lm15.Request) -> Ask:
        """Reserve and announce one attempt; what is reserved."""
        return self._announced(self._ledger.reserve(lambda: self._ask(request)), request)

    async def astart(self, request: lm15.Request) -> Ask:
        """As `start`; a task that is canceled here leaves nothing reserved."""
        while not self._ledger.reserve_now(ask := self._ask(request, running_loop())):
            await asyncio.sleep(_PATIENCE)
        return self._announced(ask, request)

    def _announced(self, ask: Ask, request: lm15.Request) -> Ask:
        try:
            self._writer.call_sent(role=self._role, request=_key(request), ask=ask)
        except BaseException:  # border: what is not written down does not go out; it passes
            self._ledger.release(ask)
            raise
        return ask

    def _ask(self, request: lm15.Request, loop: int = 0) -> Ask:
        """What the attempt may take.

        An answer may have `max_tokens`, or what `Size` says without. Once some have come, it is
        expected to be at most twice as long as the longest: for models that think, `max_tokens`
        is a hundred times what they take.
        """
        _, sent, answer = self._size.expected(request)
        if self._size.longest:
            answer = min(answer, max(_SHORT, _SLACK * self._size.longest))
        if self._price is None or hosts_tools(request):
            return Ask(sent + answer, loop=loop)
        usd = self._price.most(sent, answer, is_long=is_long(request))
        return Ask(sent + answer, usd, loop)

    def answered(self, response: lm15.Response, request: lm15.Request, ask: Ask) -> None:
        """Settle an attempt that was answered."""
        price = self._prices.of_answer(self._model, response.model)
        if self._price is None or (price is not None and price.output > self._price.output):
            self._price = price
        used, usd, _ = self._prices.charge(response, self._model, request)
        if used is not None:
            self._size.saw(prompt_tokens(request), used)
        tokens = used.total if used else 0
        self._ledger.settle(ask, tokens=tokens or ask.tokens, usd=usd)

    def failed(self, error: BaseException, ask: Ask, request: lm15.Request) -> None:
        """Settle an attempt that failed: it is a call, and where it may be billed takes it all."""
        took = ask if models.is_lost(error) else NOTHING
        self._ledger.fail(ask, took)
        self._writer.call_failed(role=self._role, request=_key(request), error=error, took=took)
        kind = type(error).__name__
        if kind in _REJECTIONS or kind in _NO_KEY:
            why = "refuses this account" if kind in _REJECTIONS else "has no key: set its variable"
            cause = ProviderRejected(f"{self._model} {why}: {kind}")
            stop = RunStopped(f"{self._role}: {cause}", cause=cause)
            self._ledger.stop(stop)
            raise stop from error


class _MeteredEngine:
    def __init__(self, meter: Metered, inner: Any) -> None:
        self._meter, self._inner = meter, inner

    def complete(self, request: lm15.Request) -> lm15.Response:
        ask = self._meter.start(request)
        try:
            response: lm15.Response = self._inner.complete(request)
        except BaseException as error:  # border: whatever ends an attempt, it is settled; it passes
            self._meter.failed(error, ask, request)
            raise
        self._meter.answered(response, request, ask)
        return response

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))


class _AsyncMeteredEngine:
    def __init__(self, meter: Metered, inner: EnginePair) -> None:
        self._meter, self._inner = meter, inner.asynchronous

    async def complete(self, request: lm15.Request) -> lm15.Response:
        ask = await self._meter.astart(request)
        try:
            response: lm15.Response = await self._inner.complete(request)
        except BaseException as error:  # border: whatever ends an attempt, it is settled; it passes
            self._meter.failed(error, ask, request)
            raise
        self._meter.answered(response, request, ask)
        return response

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(await self.complete(request)):
            yield event


@dataclass(frozen=True, slots=True)
class Answer:
    """A paid answer: the response as plain JSON, its tokens (in, out) and its price if known."""

    response: dict[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None

    @classmethod
    def of(cls, response: lm15.Response, charge: Charge) -> Answer:
        sent, got = (charge.tokens.prompt, charge.tokens.output) if charge.tokens else (None, None)
        return cls(models.response_to_json(response), sent, got, charge.usd)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Answer:
        """The answer in the body of a `call` record."""
        return cls(**{name: body[name] for name in cls.__slots__})

    def to_json(self) -> dict[str, Any]:
        """The answer's part of a `call` record."""
        return {name: getattr(self, name) for name in self.__slots__}

    def again(self) -> lm15.Response:
        """The response, for one more who asked the same."""
        return models.response_from_json(self.response)

    @property
    def tokens(self) -> int:
        """Tokens in and out; 0 where the provider did not say."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)


class Answers:
    """The answers a run has paid for, by key, and the calls in flight. Safe under threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects both
        self._known: dict[str, Answer] = {}
        self._flying: dict[str, Future[Answer | None]] = {}

    def learn(self, key: str, answer: Answer) -> None:
        """An answer that the journal holds."""
        self._known[key] = answer

    def known(self, key: str) -> Answer | None:
        """The answer to the call `key`, if it was given."""
        return self._known.get(key)

    def claim(self, key: str) -> Answer | Future[Answer | None] | None:
        """The answer, the call in flight that will bring it, or `None`: the caller makes it."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                return known
            flying = self._flying.get(key)
            if flying is None:
                # Running from the start: a waiter that is canceled must not cancel it for others.
                future: Future[Answer | None] = Future()
                future.set_running_or_notify_cancel()
                self._flying[key] = future
            return flying

    def settle(self, key: str, outcome: Answer | BaseException) -> None:
        """Hand the outcome to everyone who waits; only answers are remembered.

        Where the one who asked was canceled, there is none: they find `None` and ask again.
        """
        with self._lock:
            future = self._flying.pop(key)
            if isinstance(outcome, Answer):
                self._known[key] = outcome
        if isinstance(outcome, Answer):
            future.set_result(outcome)
        elif isinstance(outcome, (Exception, RunStopped)):
            future.set_exception(outcome)
        else:
            future.set_result(None)


class Recorded:
    """A layer: answers from the journal, single flight, and every answer written before use."""

    def __init__(
        self, role: str, lm: dspy.LM, answers: Answers, writer: Writer, prices: Prices
    ) -> None:
        self.role, self.model, self._prices = role, str(lm.model), prices
        self._identity = models.identity(lm)
        self._answers, self._writer = answers, writer

    def __call__(self, inner: EnginePair) -> EnginePair:
        return EnginePair(_RecordedEngine(self, inner.sync), _AsyncRecordedEngine(self, inner))

    def key(self, request: lm15.Request) -> str:
        """The call's key: who is asked, what, and for which sample. The scope notes it."""
        sample = SAMPLE.get()
        rollout, index = (sample.rollout_id, sample.index) if sample else (None, 0)
        if sample:
            sample.index += 1
        key = canonical.digest([self._identity, _key(request), rollout, index])
        scope = SCOPE.get()
        if scope is not None:
            scope.keys.append(key)
        return key

    def claim(self, key: str) -> Answer | Future[Answer | None] | None:
        return self._answers.claim(key)

    def answered(self, key: str, request: lm15.Request, response: lm15.Response) -> None:
        answer = Answer.of(response, self._prices.charge(response, self.model, request))
        named = {"key": key, "role": self.role, "request": _key(request), "model": response.model}
        self._writer.call(**named, **answer.to_json())
        self._answers.settle(key, answer)

    def failed(self, key: str, error: BaseException) -> None:
        self.noted(error)
        self._answers.settle(key, error)

    def noted(self, error: BaseException) -> None:
        scope = SCOPE.get()
        if scope is not None and models.is_infrastructure(error):
            scope.failures.append(type(error).__name__)


class _RecordedEngine:
    def __init__(self, layer: Recorded, inner: Any) -> None:
        self._layer, self._inner = layer, inner

    def complete(self, request: lm15.Request) -> lm15.Response:
        layer = self._layer
        key = layer.key(request)
        found = layer.claim(key)
        while isinstance(found, Future):
            try:
                found = found.result() or layer.claim(key)
            except BaseException as error:  # border: the leader's end is ours too; it passes
                layer.noted(error)
                raise
        if found is not None:
            return found.again()
        try:
            response: lm15.Response = self._inner.complete(request)
            layer.answered(key, request, response)
        except BaseException as error:  # border: who waits for this call is told; it passes
            layer.failed(key, error)
            raise
        return response

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))


class _AsyncRecordedEngine:
    def __init__(self, layer: Recorded, inner: EnginePair) -> None:
        self._layer, self._inner = layer, inner.asynchronous

    async def complete(self, request: lm15.Request) -> lm15.Response:
        layer = self._layer
        key = layer.key(request)
        found = layer.claim(key)
        while isinstance(found, Future):
            try:
                found = await asyncio.wrap_future(found) or layer.claim(key)
            except BaseException as error:  # border: the leader's end is ours too; it passes
                layer.noted(error)
                raise
        if found is not None:
            return found.again()
        try:
            response: lm15.Response = await self._inner.complete(request)
            layer.answered(key, request, response)
        except BaseException as error:  # border: who waits for this call is told; it passes
            layer.failed(key, error)
            raise
        return response

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(await self.complete(request)):
            yield event


def _key(request: lm15.Request) -> str:
    """The digest of what is asked; of the same request again, as both layers ask, the same one."""
    last = _LAST.get()
    if last is None or last[0] is not request:
        last = request, models.request_digest(request)
        _LAST.set(last)
    return last[1]
