"""What may be spent and what is: hard limits a day, a call and a tenant, as a state machine.

Every attempt is reserved before it is sent and settled after. What is reserved counts as spent,
so that calls made side by side cannot cross a limit together. Amounts are whole numbers (money in
billionths of a dollar): sums are exact, and what is given back is what was taken.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import ConfigError
from .outcomes import budget_exceeded

__all__ = ["Amount", "Limits", "Purse", "Reserved", "Tally", "nano"]

_DAY = 86_400.0  # seconds
_NANO = 1e9


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

    @property
    def counts_money(self) -> bool:
        """Whether prices must be known to keep them."""
        return self.usd_per_day is not None or self.usd_per_call is not None

    @property
    def counts_size(self) -> bool:
        """Whether it matters how large a call is."""
        return self.counts_money or not (self.tokens_per_day is self.tokens_per_call is None)

    @property
    def is_per_call(self) -> bool:
        """Whether the attempts of one call are added up."""
        return not (self.tokens_per_call is self.usd_per_call is None)

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
    """What is spent and what is held against one limit; whoever holds one has a lock around it."""

    __slots__ = ("calls", "held_calls", "held_nanousd", "held_tokens", "nanousd", "tokens")

    def __init__(self) -> None:
        self.calls = self.tokens = self.nanousd = 0
        self.held_calls = self.held_tokens = self.held_nanousd = 0

    def crossed(self, most: tuple[float, float, float], ask: Amount) -> str:
        """The kind that would be crossed by so much more; empty where none is."""
        if self.calls + self.held_calls + ask.calls > most[0]:
            return "calls"
        if self.tokens + self.held_tokens + ask.tokens > most[1]:
            return "tokens"
        return "usd" if self.nanousd + self.held_nanousd + ask.nanousd > most[2] else ""

    def hold(self, ask: Amount, sign: int = 1) -> None:
        """Take this aside, or with -1 give it back."""
        self.held_calls += sign * ask.calls
        self.held_tokens += sign * ask.tokens
        self.held_nanousd += sign * ask.nanousd

    def spend(self, used: Amount) -> None:
        """This was used."""
        self.calls += used.calls
        self.tokens += used.tokens
        self.nanousd += used.nanousd


class Reserved(NamedTuple):
    """What was taken aside for one attempt, and where."""

    ask: Amount
    tallies: tuple[Tally, ...]


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
        self._day, self._whole = -1, Tally()
        self._tenants: dict[str, Tally] = {}
        self._mosts = limits.day(), self.per_tenant.day(), limits.call()

    def __str__(self) -> str:
        told = [str(self.limits)] if self.limits != Limits() else []
        told += [f"{self.per_tenant} and tenant"] if self.per_tenant != Limits() else []
        return "; ".join(told)

    @property
    def counts_money(self) -> bool:
        """Whether prices must be known to keep the limits."""
        return self.limits.counts_money or self.per_tenant.counts_money

    @property
    def counts_size(self) -> bool:
        """Whether it matters how large a call is."""
        return self.limits.counts_size or self.per_tenant.counts_size

    def reserve(
        self, ask: Amount, now: float, tenant: str = "", call: Tally | None = None
    ) -> Reserved:
        """Take so much aside, at second `now` since 1970; `BudgetExceeded` where there is less.

        `call` is what the other attempts of the same call have used.
        """
        with self._lock:
            self._turn(now)
            theirs = self._tenants.get(tenant)
            if theirs is None:
                theirs = self._tenants[tenant] = Tally()
            whole, each, one = self._mosts
            if crossed := self._whole.crossed(whole, ask):
                raise self._refusal(self.limits, f"{crossed}_per_day", now)
            if crossed := theirs.crossed(each, ask):
                raise self._refusal(self.per_tenant, f"{crossed}_per_day", now, tenant)
            if call is not None and (crossed := call.crossed(one, ask)):
                raise self._refusal(self.limits, f"{crossed}_per_call", None)
            tallies = (self._whole, theirs) if call is None else (self._whole, theirs, call)
            for tally in tallies:
                tally.hold(ask)
        return Reserved(ask, tallies)

    def settle(self, reserved: Reserved, used: Amount) -> None:
        """The attempt is over and used so much; it counts for the day in which it began."""
        with self._lock:
            for tally in reserved.tallies:
                tally.hold(reserved.ask, -1)
                tally.spend(used)

    def spent(self, now: float, tenant: str | None = None) -> Amount:
        """What was used today, by all or by one tenant; calls in flight are not in it."""
        with self._lock:
            self._turn(now)
            found = self._whole if tenant is None else self._tenants.get(tenant, Tally())
            return Amount(found.calls, found.tokens, found.nanousd)

    def _turn(self, now: float) -> None:
        """A new day has tallies of its own; what is in flight settles in the old ones."""
        day = int(now // _DAY)
        if day > self._day:
            self._day, self._whole, self._tenants = day, Tally(), {}

    def _refusal(self, limits: Limits, name: str, now: float | None, tenant: str = "") -> Exception:
        one = Limits(**{name: getattr(limits, name)})
        wait = None if now is None else _DAY - now % _DAY
        return budget_exceeded(str(one), tenant, wait)
