"""What may be spent and what is: hard limits a day, a call and a tenant, as a state machine.

Every attempt is reserved before it is sent and settled after. What is reserved counts as spent,
so that calls made side by side cannot cross a limit together. Amounts are whole numbers (money in
billionths of a dollar): sums are exact, and what is given back is what was taken.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...errors import ConfigError
from .outcomes import budget_exceeded

__all__ = ["Amount", "Limits", "Purse", "Reserved", "Tally", "nano"]

_DAY = 86_400.0  # seconds
_NANO = 1e9
_SOON = 1.0  # seconds after which calls in flight may have given back what they did not use


class Amount(NamedTuple):
    """Requests to a model, tokens in and out, and money in billionths of a US dollar."""

    calls: int = 0
    tokens: int = 0
    nanousd: int = 0


def nano(usd: float) -> int:
    """US dollars in whole billionths, rounded up.

    >>> nano(0.25)
    250000000
    """
    return math.ceil(usd * _NANO)


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings; `None` is none. A day is one of UTC; a call has all its attempts in it.

    >>> Limits(usd_per_day=5.0, tokens_per_call=20_000)
    Limits(calls_per_day=None, tokens_per_day=None, usd_per_day=5.0, tokens_per_call=20000, ...
    """

    calls_per_day: int | None = None
    tokens_per_day: int | None = None
    usd_per_day: float | None = None
    tokens_per_call: int | None = None
    usd_per_call: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 <= value < math.inf):
                raise ConfigError(f"a limit of {name} is {value!r}: give a number, 0 or more")

    @classmethod
    def of(cls, table: Mapping[str, float]) -> Limits:
        """The limits in a table by name; `ConfigError` for an unknown one.

        >>> Limits.of({"usd_per_day": 5.0}).usd_per_day
        5.0
        """
        if unknown := sorted(set(table) - set(cls.__slots__)):
            known = ", ".join(cls.__slots__)
            raise ConfigError(f"there is no limit {unknown[0]!r}; there are {known}")
        named: dict[str, Any] = dict(table)
        return cls(**named)

    @property
    def counts_money(self) -> bool:
        """Whether prices must be known to keep them."""
        return self.usd_per_day is not None or self.usd_per_call is not None

    @property
    def counts_size(self) -> bool:
        """Whether it matters how large a call is."""
        tokens = self.tokens_per_day is not None or self.tokens_per_call is not None
        return tokens or self.counts_money

    @property
    def is_per_call(self) -> bool:
        """Whether the attempts of one call are added up."""
        return self.tokens_per_call is not None or self.usd_per_call is not None

    def day(self) -> tuple[float, float, float]:
        """The most of each kind in a day."""
        return _most(self.calls_per_day), _most(self.tokens_per_day), _money(self.usd_per_day)

    def call(self) -> tuple[float, float, float]:
        """The most of each kind in a call."""
        return math.inf, _most(self.tokens_per_call), _money(self.usd_per_call)

    def __str__(self) -> str:
        named = ((name, getattr(self, name)) for name in self.__slots__)
        return ", ".join(_told(name, value) for name, value in named if value is not None)


def _told(name: str, limit: float) -> str:
    kind, _, period = name.split("_")
    return f"{f'${limit:g}' if kind == 'usd' else f'{limit:,} {kind}'} a {period}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _most(limit: int | None) -> float:
    return math.inf if limit is None else limit


def _money(usd: float | None) -> float:
    return math.inf if usd is None else math.floor(usd * _NANO)


class Tally:
    """What is taken from one limit, and what of it is spent; the rest is held by calls in flight.

    Whoever has one has a lock around it.
    """

    __slots__ = ("calls", "nanousd", "spent_calls", "spent_nanousd", "spent_tokens", "tokens")

    def __init__(self) -> None:
        self.calls = self.tokens = self.nanousd = 0
        self.spent_calls = self.spent_tokens = self.spent_nanousd = 0

    @property
    def spent(self) -> Amount:
        """What was used; calls in flight are not in it."""
        return Amount(self.spent_calls, self.spent_tokens, self.spent_nanousd)

    def crossed(self, most: tuple[float, float, float], ask: Amount) -> str:
        """The kind that would be crossed by so much more; empty where none is."""
        if self.calls + ask.calls > most[0]:
            return "calls"
        if self.tokens + ask.tokens > most[1]:
            return "tokens"
        return "usd" if self.nanousd + ask.nanousd > most[2] else ""

    def take(self, ask: Amount) -> None:
        """Take so much aside."""
        self.calls += ask.calls
        self.tokens += ask.tokens
        self.nanousd += ask.nanousd

    def settle(self, ask: Amount, used: Amount) -> None:
        """Of what was taken aside, so much was used."""
        calls, tokens, nanousd = used
        self.calls += calls - ask.calls
        self.tokens += tokens - ask.tokens
        self.nanousd += nanousd - ask.nanousd
        self.spent_calls += calls
        self.spent_tokens += tokens
        self.spent_nanousd += nanousd


class Reserved(NamedTuple):
    """What was taken aside for one attempt, and where."""

    ask: Amount
    tallies: list[Tally]


class Purse:
    """The limits of a whole process, and of each tenant; days end at midnight, UTC.

    Counts are in memory: a restart begins a new day. Safe under threads.

    >>> purse = Purse(Limits(tokens_per_day=100))
    >>> one = purse.reserve(Amount(1, 60), now=0.0)
    >>> purse.settle(one, Amount(1, 20))
    >>> purse.spent(now=0.0)
    Amount(calls=1, tokens=20, nanousd=0)
    >>> purse.reserve(Amount(1, 81), now=10.0)
    Traceback (most recent call last):
    compilm.errors.BudgetExceeded: the budget of 100 tokens a day is used up: ...
    >>> purse.reserve(Amount(1, 81), now=86_400.0).ask.tokens
    81
    """

    def __init__(self, limits: Limits, per_tenant: Limits | None = None) -> None:
        self.limits, self.per_tenant = limits, per_tenant or Limits()
        if self.per_tenant.is_per_call:
            raise ConfigError("a tenant's limits are per day; what one call may take, all share")
        self._lock = threading.Lock()  # protects what is below, and every tally
        self._ends, self._whole = -math.inf, Tally()
        self._tenants: dict[str, Tally] = {}
        self._has_tenants = self.per_tenant != Limits()
        # Whether prices must be known to keep the limits, and whether it matters how large a call
        # is: asked for each call.
        self.counts_money = limits.counts_money or self.per_tenant.counts_money
        self.counts_size = limits.counts_size or self.per_tenant.counts_size
        self._mosts = limits.day(), self.per_tenant.day(), limits.call()

    def __str__(self) -> str:
        told = [str(self.limits)] if self.limits != Limits() else []
        told += [f"{self.per_tenant} and tenant"] if self.per_tenant != Limits() else []
        return "; ".join(told)

    def reserve(
        self, ask: Amount, now: float, tenant: str = "", call: Tally | None = None
    ) -> Reserved:
        """Take so much aside, at second `now` since 1970; `BudgetExceeded` where there is less.

        `call` is what the other attempts of the same call have used.
        """
        with self._lock:
            if now >= self._ends:
                self._turn(now)
            checked = [(self._whole, self._mosts[0], self.limits)]
            if self._has_tenants:
                theirs = self._tenants.setdefault(tenant, Tally())
                checked.append((theirs, self._mosts[1], self.per_tenant))
            for tally, most, limits in checked:
                if crossed := tally.crossed(most, ask):
                    whose = "" if limits is self.limits else tenant
                    wait = self._wait(tally, most, ask, now)
                    raise _refusal(limits, f"{crossed}_per_day", whose, wait)
            tallies = [tally for tally, _, _ in checked]
            if call is not None:
                if crossed := call.crossed(self._mosts[2], ask):
                    raise _refusal(self.limits, f"{crossed}_per_call", "", None)
                tallies.append(call)
            for tally in tallies:
                tally.take(ask)
        return Reserved(ask, tallies)

    def settle(self, reserved: Reserved, used: Amount) -> None:
        """The attempt is over and used so much; it counts for the day in which it began."""
        with self._lock:
            for tally in reserved.tallies:
                tally.settle(reserved.ask, used)

    def spent(self, now: float, tenant: str | None = None) -> Amount:
        """What was used today; calls in flight are not in it.

        Of one tenant it is known where tenants have limits.
        """
        with self._lock:
            if now >= self._ends:
                self._turn(now)
            found = self._whole if tenant is None else self._tenants.get(tenant, Tally())
            return found.spent

    def _turn(self, now: float) -> None:
        """A new day has tallies of its own; what is in flight settles in the old ones."""
        self._ends = (now // _DAY + 1) * _DAY
        self._whole, self._tenants = Tally(), {}

    def _wait(
        self, tally: Tally, most: tuple[float, float, float], ask: Amount, now: float
    ) -> float:
        """Seconds after which asking again can help: soon, where calls in flight hold the rest."""
        without = zip(tally.spent, ask, most, strict=True)
        is_held = all(spent + more <= limit for spent, more, limit in without)
        return _SOON if is_held else self._ends - now


def _refusal(limits: Limits, name: str, tenant: str, wait: float | None) -> Exception:
    one = Limits(**{name: getattr(limits, name)})
    return budget_exceeded(str(one), tenant, wait, is_held=wait == _SOON)
