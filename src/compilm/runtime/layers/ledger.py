"""The ledger: what was asked, sent, used and paid, by role, predictor, model and tenant.

It stands in a stack twice. On top it counts calls, as a program makes them: answered, found in a
cache, failed, and how long they took. Right above each provider it counts attempts, whatever
became of them above: what a fallback did not accept and what lost a race were paid for as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Any

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, Layer
from ...prices import Charge, Prices, Tokens
from ...programs.calling import calling
from .answers import usage_of
from .around import around
from .billing import TENANT, may_be_billed
from .book import Book, Entry

__all__ = ["Bill", "Ledger", "billed"]

_KEYS = ("role", "predictor", "model", "tenant")
_COUNTS = tuple(one.name for one in fields(Entry) if one.name not in _KEYS)
_OTHERS = "(others)"


class _Row:
    """The figures of an `Entry`, to count into; whoever holds one has a lock around it."""

    __slots__ = _COUNTS

    def __init__(self) -> None:
        self.calls = self.hits = self.failures = self.attempts = self.errors = self.lost = 0
        self.input = self.cached = self.written = self.output = self.unpriced = 0
        self.seconds = self.longest = self.provider_seconds = 0.0
        self.known_usd = self.spared_usd = self.prompt_usd = 0.0

    def call(self, seconds: float, is_failure: bool, is_hit: bool, spared_usd: float) -> None:
        """One more call that is over."""
        self.calls += 1
        self.failures += is_failure
        self.seconds += seconds
        if seconds > self.longest:
            self.longest = seconds
        if is_hit:
            self.hits += 1
            self.spared_usd += spared_usd

    def failure(self, seconds: float, is_lost: bool) -> None:
        """One more attempt that failed."""
        self.attempts += 1
        self.provider_seconds += seconds
        self.errors += 1
        self.lost += is_lost

    def answer(self, seconds: float, charge: Charge) -> None:
        """One more attempt that was answered."""
        tokens, usd, spared_usd = charge
        self.attempts += 1
        self.provider_seconds += seconds
        if usd is None:
            self.unpriced += 1
        else:
            self.known_usd += usd
            self.prompt_usd += spared_usd
        if tokens is not None:
            self.input += tokens.input
            self.cached += tokens.cached
            self.written += tokens.written
            self.output += tokens.output

    def entry(self, *keys: str) -> Entry:
        """As a value."""
        named: dict[str, Any] = dict(zip(_KEYS, keys, strict=False))
        return Entry(**named, **{name: getattr(self, name) for name in _COUNTS})


class Bill:
    """What the calls of a block have used until now, over all ledgers. Safe under threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects _row
        self._row = _Row()

    @property
    def total(self) -> Entry:
        """The figures, as one entry without keys."""
        with self._lock:
            return self._row.entry()

    def add(self, count: Callable[[_Row], None]) -> None:
        """Count into it."""
        with self._lock:
            count(self._row)


_BILLS: ContextVar[tuple[Bill, ...]] = ContextVar("compilm_bills", default=())


@contextmanager
def billed() -> Iterator[Bill]:
    """What is called inside, in its threads and tasks too, is added up: what one answer costs.

    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> pair = Ledger().attempts("default", "openai/gpt-5-mini")(CountingEngine().pair)
    >>> with billed() as bill:
    ...     answer = pair.sync.complete(request("hi"))
    >>> bill.total.attempts, bill.total.tokens, bill.total.money
    (1, 15, '$0.0000')
    """
    bill = Bill()
    token = _BILLS.set((*_BILLS.get(), bill))
    try:
        yield bill
    finally:
        _BILLS.reset(token)


class Ledger:
    """Counts what passes the layers it gives. Exact under threads and tasks.

    prices: what models cost. most: entries that are kept; what comes under new names after that
    is counted under the tenant `(others)`, so that nothing grows without bound.

    >>> from compilm.engine import stack
    >>> from compilm.testing.layer_kit import CountingEngine, request
    >>> ledger = Ledger()
    >>> model = "openai/gpt-5-mini"
    >>> over = ledger.calls("default", [model]), ledger.attempts("default", model)
    >>> pair = stack(CountingEngine().pair, *over)
    >>> answers = [pair.sync.complete(request("hi")) for _ in range(1000)]
    >>> total = ledger.book().total
    >>> total.calls, total.attempts, total.tokens, total.money
    (1000, 1000, 15000, '$0.0125')
    """

    def __init__(
        self, prices: Prices | None = None, clock: Clock = SYSTEM_CLOCK, *, most: int = 10_000
    ) -> None:
        self.prices, self.clock = prices or Prices(), clock
        self._most = most
        self._lock = threading.Lock()  # protects _rows and what is in them
        self._rows: dict[tuple[str, str, str, str], _Row] = {}

    def calls(self, role: str, models: Sequence[str]) -> Layer:
        """The layer for the top of a stack over these models, in order of fallback."""
        return _Calls(self, role, tuple(models))

    def attempts(self, role: str, model: str) -> Layer:
        """The layer for one provider; `model` is what it is asked for, as `provider/model`."""
        return _Attempts(self, role, model)

    def book(self) -> Book:
        """What was counted until now; calls in flight are not in it."""
        with self._lock:
            return Book(tuple(row.entry(*key) for key, row in self._rows.items()))

    def add(self, role: str, model: str, count: Callable[[_Row], None]) -> None:
        """Count a call or attempt of this context."""
        key = (role, calling() or "", model, TENANT.get())
        with self._lock:
            count(self._rows.get(key) or self._row(key))
        for bill in _BILLS.get():
            bill.add(count)

    def _row(self, key: tuple[str, str, str, str]) -> _Row:
        if len(self._rows) >= self._most:
            key = (*key[:3], _OTHERS)
        return self._rows.setdefault(key, _Row())


@dataclass(frozen=True, slots=True)
class _Calls:
    """The layer that counts calls."""

    ledger: Ledger
    role: str
    models: tuple[str, ...]

    def __call__(self, inner: EnginePair) -> EnginePair:
        return around(self, inner)

    def enter(self, request: Any) -> float:  # noqa: ARG002 - the protocol's signature
        """The instant at which it begins."""
        return self.ledger.clock.now()

    def leave(self, ticket: float, answer: Any, error: BaseException | None) -> None:
        """Count it."""
        seconds = self.ledger.clock.now() - ticket
        used = None if answer is None else usage_of(answer)
        spared = 0.0 if used is None else self._spared(used, answer)
        is_failure, is_hit = isinstance(error, Exception), used is not None
        self.ledger.add(self.role, "", lambda row: row.call(seconds, is_failure, is_hit, spared))

    def _spared(self, used: dict[str, int], answer: Any) -> float:
        """What a hit would have cost: of the model that answered then, else of the first."""
        answered = getattr(answer, "model", None) or ""
        known = (one for one in self.models if answered.startswith(one.partition("/")[2]))
        price = self.ledger.prices.find(next(known, self.models[0]))
        tokens = Tokens(used.get("input_tokens", 0), used.get("output_tokens", 0))
        return 0.0 if price is None else price.usd(tokens)


@dataclass(frozen=True, slots=True)
class _Attempts:
    """The layer that counts attempts at one provider."""

    ledger: Ledger
    role: str
    model: str

    def __call__(self, inner: EnginePair) -> EnginePair:
        return around(self, inner)

    def enter(self, request: Any) -> tuple[Any, float]:
        """The request, which tells what its price depends on, and the instant."""
        return request, self.ledger.clock.now()

    def leave(self, ticket: tuple[Any, float], answer: Any, error: BaseException | None) -> None:
        """Count it."""
        request, start = ticket
        seconds = self.ledger.clock.now() - start
        if error is None:
            charge = self.ledger.prices.charge(answer, self.model, request)
            self.ledger.add(self.role, self.model, lambda row: row.answer(seconds, charge))
        else:
            is_lost = may_be_billed(error)
            self.ledger.add(self.role, self.model, lambda row: row.failure(seconds, is_lost))
