"""The one ledger of a compile: what it has spent, and whether there is room for one call more.

Every call is reserved before it is made and settled after. What is reserved and not yet settled
counts as spent, so that calls made side by side cannot cross the budget.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..clock import Clock
from ..errors import BudgetExceeded, RunStopped
from .budget import Budget, Spent

__all__ = ["NOTHING", "Ask", "Ledger", "running_loop"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What an attempt may take: tokens in and out, and US dollars, `None` for an unknown price.

    `loop` is the identity of the event loop whose task makes it, 0 for a thread.

    >>> Ask(1200).to_json()
    {'tokens': 1200, 'usd': None}
    """

    tokens: int
    usd: float | None = None
    loop: int = 0

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Ask:
        """What a record of a call that went out says of it."""
        return cls(body["tokens"], body["usd"])

    def to_json(self) -> dict[str, Any]:
        """Its part of a record."""
        return {"tokens": self.tokens, "usd": self.usd}


NOTHING: Final = Ask(0, 0.0)
_MOST_UNPRICED = 8  # calls whose price nobody knows that may be lost before the first answer
_UNPRICED: Final = RunStopped(
    "the price of a call is unknown, so the usd budget cannot be kept: "
    "give a budget in calls or tokens",
    cause=BudgetExceeded("unknown price under a usd budget"),
)


class Ledger:
    """Counts a compile's spending and refuses what would cross its budget. Safe under threads.

    >>> from compilm.clock import ManualClock
    >>> ledger = Ledger(Budget(calls=1), ManualClock())
    >>> ask = ledger.reserve(Ask(10))
    >>> ledger.settle(ask, tokens=12, usd=0.0)
    >>> try:
    ...     ask = ledger.reserve(Ask(10))
    ... except RunStopped as stop:
    ...     print(stop.reason)
    budget: 1 calls
    """

    def __init__(self, budget: Budget, clock: Clock, *, before_s: float = 0.0) -> None:
        self.budget = budget
        self._clock = clock
        self._start = clock.now() - before_s
        self._changed = threading.Condition()  # protects everything below
        self._rollouts = self._calls = self._tokens = 0
        self._usd: float | None = 0.0
        self._dearest = 0.0  # of the calls that were answered: what stands for an unknown price
        self._unpriced = 0  # calls that may have been billed before any price was known
        self._flying: list[Ask] = []
        self._lost: list[Ask] = []
        self._stop: RunStopped | None = None
        self._held = 0

    def spent(self) -> Spent:
        """What has been used until now; calls in flight are not in it."""
        with self._changed:
            usd = None if self._usd is None else round(self._usd, 10)
            return Spent(self._rollouts, self._calls, self._tokens, usd, self._seconds())

    @property
    def lost(self) -> int:
        """Calls that were sent by a process that died before it could write the answer down."""
        return len(self._lost)

    def hold(self, calls: int) -> None:
        """Keep `calls` back: nothing but the end of the compile may use them."""
        with self._changed:
            self._held = calls

    def unhold(self, calls: int) -> None:
        """Give `calls` of those that are kept back to whoever asks."""
        with self._changed:
            self._held = max(0, self._held - calls)

    def stop(self, stop: RunStopped) -> None:
        """From now on every reservation is refused with `stop`; the first stop stays."""
        with self._changed:
            self._stop = self._stop or stop
            self._changed.notify_all()

    def check(self) -> None:
        """Nothing, or the `RunStopped` that every reservation is refused with."""
        with self._changed:
            if self._stop is not None:
                raise RunStopped(self._stop.reason, cause=self._stop.cause)

    def check_prices(self) -> None:
        """`RunStopped` where a call without a price cannot be allowed."""
        with self._changed:
            if self.budget.usd is not None and self._stop is None:
                raise self._refusal(_UNPRICED)

    def resume(self) -> None:
        """Take calls again after a stop that left part of the budget."""
        with self._changed:
            self._stop = None

    def count_rollout(self) -> None:
        """One more execution of the program on one example."""
        with self._changed:
            self._rollouts += 1

    def release(self, ask: Ask) -> None:
        """Give back a reservation whose call was not made."""
        with self._changed:
            self._flying.remove(ask)
            self._changed.notify_all()

    def replay(self, *, tokens: int, usd: float | None) -> None:
        """A call that an earlier process of this run paid for."""
        with self._changed:
            self._calls += 1
            self._add(tokens, usd)
            self._dearest = max(self._dearest, usd or 0.0)

    def replay_lost(self, ask: Ask) -> None:
        """A call by an earlier process of this run whose answer was lost: it may have been billed.

        It takes what was reserved for it.
        """
        with self._changed:
            self._lost.append(ask)

    def reserve(
        self, ask: Ask | Callable[[], Ask], *, calls: int = 1, may_wait: bool = True
    ) -> Ask:
        """Room for `calls` attempts that take `ask` together, which is given back, or `RunStopped`.

        Waits while calls in flight decide whether there is room; what is asked for is worked out
        anew then. An event loop that has tasks in flight is refused: they could not go on. So is
        what may not wait, as a call that is made inside another.
        """
        here = running_loop()
        with self._changed:
            now = ask() if callable(ask) else ask
            while not self._take(now, calls, here, may_wait=may_wait):
                self._changed.wait(timeout=0.5)
                now = ask() if callable(ask) else ask
        return now

    def reserve_now(self, ask: Ask) -> bool:
        """As `reserve` for one attempt, but `False` instead of a wait: an event loop asks again."""
        with self._changed:
            return self._take(ask, 1)

    def settle(self, ask: Ask, *, tokens: int, usd: float | None) -> None:
        """The reserved call was made and used so much."""
        with self._changed:
            self._flying.remove(ask)
            self._calls += 1
            self._add(tokens, usd)
            self._dearest = max(self._dearest, usd or 0.0)
            self._changed.notify_all()
            if self._usd is None and self.budget.usd is not None:
                self._stop = self._stop or _UNPRICED

    def fail(self, ask: Ask, took: Ask) -> None:
        """The reserved call was made, failed, and may have been billed `took`."""
        with self._changed:
            self._flying.remove(ask)
            self._fail(took)
            self._changed.notify_all()

    def replay_failed(self, took: Ask) -> None:
        """As `fail`, of an earlier process of this run."""
        with self._changed:
            self._fail(took)

    def _fail(self, took: Ask) -> None:
        self._calls += 1
        self._unpriced += took.usd is None and not self._dearest
        if self._unpriced > _MOST_UNPRICED and self.budget.usd is not None:
            self._stop = self._stop or _UNPRICED
        self._add(took.tokens, self._price(took))

    def _add(self, tokens: int, usd: float | None) -> None:
        self._tokens += tokens
        self._usd = None if usd is None or self._usd is None else self._usd + usd

    def _price(self, ask: Ask) -> float:
        return self._dearest if ask.usd is None else ask.usd

    def _take(self, ask: Ask, calls: int, blocked: int = 0, *, may_wait: bool = True) -> bool:
        if self._stop is not None:
            raise RunStopped(self._stop.reason, cause=self._stop.cause)
        if self._usd is None and self.budget.usd is not None:
            raise self._refusal(_UNPRICED)
        crossed, certain = self._crossed(ask, calls)
        if not crossed:
            self._flying += [ask, *[NOTHING] * (calls - 1)]
        elif certain or not may_wait or not self._flying or self._holds(blocked):
            raise self._refusal(_out_of(crossed))
        return not crossed

    def _holds(self, loop: int) -> bool:
        """Whether tasks of this event loop are in flight."""
        return loop != 0 and any(one.loop == loop for one in self._flying)

    def _refusal(self, stop: RunStopped) -> RunStopped:
        self._stop = stop
        self._changed.notify_all()
        return RunStopped(stop.reason, cause=stop.cause)

    def _seconds(self) -> float:
        return self._clock.now() - self._start

    def _crossed(self, ask: Ask, calls: int) -> tuple[str, bool]:
        """The ceiling that more calls would cross, and whether calls in flight cannot change it."""
        limit = self.budget
        calls += self._calls + len(self._lost) + len(self._flying) + self._held
        if limit.calls is not None and calls > limit.calls:
            return f"{limit.calls} calls", True
        if limit.seconds is not None and self._seconds() >= limit.seconds:
            return f"{limit.seconds:g} seconds", True
        if limit.tokens is not None:
            lost, flying = ((one.tokens for one in asks) for asks in (self._lost, self._flying))
            over = _over(limit.tokens, [self._tokens, ask.tokens, *lost], flying)
            if over is not None:
                left = limit.tokens - self._tokens - sum(one.tokens for one in self._lost)
                return _told(f"{limit.tokens} tokens", left, ask.tokens, limit.tokens), over
        if limit.usd is not None and self._usd is not None:
            if self._flying and not self._dearest and ask.usd is None:
                return f"{limit.usd:g} usd", False  # the first answer will tell what a call costs
            price = self._price(ask)
            owed, aside = (map(self._price, asks) for asks in (self._lost, self._flying))
            over = _over(limit.usd, [self._usd, price, *owed], aside)
            if over is not None:
                room = limit.usd - self._usd - math.fsum(map(self._price, self._lost))
                return _told(f"{limit.usd:g} usd", room, price, limit.usd), over
        return "", True


def _told(ceiling: str, left: float, ask: float, limit: float) -> str:
    """The ceiling; where much is left, why that is not enough."""
    if left < limit / 10:
        return ceiling
    return f"{ceiling}: {left:.4g} are left, and one call may take {ask:.4g}"


def _over(limit: float, certain: Iterable[float], flying: Iterable[float]) -> bool | None:
    """Whether the limit is crossed whatever calls in flight take; `None` where it cannot be."""
    taken = math.fsum(certain)
    if taken > limit:
        return True
    return False if taken + math.fsum(flying) > limit else None


def running_loop() -> int:
    """The identity of the event loop that this thread runs; 0 where it runs none."""
    try:
        return id(asyncio.get_running_loop())
    except RuntimeError:
        return 0


def _out_of(what: str) -> RunStopped:
    return RunStopped(f"budget: {what}", cause=BudgetExceeded(f"the budget of {what} is used up"))
