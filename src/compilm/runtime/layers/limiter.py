"""The limiter: calls start in the order of arrival, when place, request and tokens are free.

One queue for all three, and only its head looks at the clock: a large call cannot be passed by
small ones, and whatever becomes free early is used early.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from typing import Any

from ...clock import SYSTEM_CLOCK, Clock
from ...engine import EnginePair, remaining
from ...policies.buckets import Bucket, Places
from ...policies.futures import auntil, in_a_loop
from .around import around
from .outcomes import Kind, kind_of, left_alone, limit_reached, retry_after_of

__all__ = ["Gate", "Limiter", "Ticket"]

_GIVES_BACK: frozenset[Kind] = frozenset({"refused", "limited", "elsewhere", "account", "own"})
_SURE = 3  # limited calls in a row that mean everyone, where calls were answered before
_SAVED_UP = 10.0  # seconds' worth of a bucket: a limit per minute is crossed by a sixth at most


@dataclass(eq=False, slots=True)
class Ticket:
    """One call at a gate: the tokens it is expected to take, and its place in the queue."""

    tokens: float
    started: float = 0.0
    turn: Future[None] | None = None  # done when it should look again


class Gate:
    """The limits of one account at one provider: calls at once, requests and tokens a minute.

    `adaptive` starts at `concurrency` and lowers it where the provider answers with rate limits.
    Safe under threads; holds its lock for a few operations and never while it waits.

    >>> gate = Gate("openai", requests=6)
    >>> [gate.join(Ticket(0.0), now=0.0, left=60.0) for _ in range(2)]
    [None, 10.0]
    """

    def __init__(
        self,
        name: str = "the provider",
        *,
        concurrency: int | None = 32,
        requests: float | None = None,
        tokens: float | None = None,
        adaptive: bool = False,
        longest_pause: float = 60.0,
    ) -> None:
        self.name, self.longest_pause = name, longest_pause
        self.places = Places(concurrency, adaptive)
        self._requests, self._tokens = _bucket(requests), _bucket(tokens)
        self._lock = threading.Lock()  # protects what is above and below
        self._queue: deque[Ticket] = deque()
        self._ahead = 0.0  # tokens of the queue
        self._paused_until = self._limited_to = -inf  # the latest start of a limited call
        self._in_a_row = _SURE  # limited calls; until one is answered, the first is enough

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited here."""
        return self._tokens is not None

    @property
    def waiting(self) -> int:
        """How many calls are in the queue."""
        return len(self._queue)

    def paused(self, now: float) -> float:
        """Seconds for which the provider is left alone, as it asked for; 0 where it is not."""
        return max(0.0, self._paused_until - now)

    def rests(self, now: float) -> bool:
        """Whether another provider is better asked: this one wants a pause, or bears no more."""
        return self._paused_until > now or self.places.is_short

    def join(self, ticket: Ticket, now: float, left: float) -> float | None:
        """Start the call (`None`), or queue it and say how long to wait: see `look`.

        Raises `LimitReached`, and books nothing, where it could not start within `left` seconds.
        """
        with self._lock:
            if not self._queue and not self.places.is_full and self._alone(ticket, now) <= 0:
                self._start(ticket, now)
                return None
            wait = self._expected(ticket, now)
            if wait >= left and wait > 0:
                raise limit_reached(self.name, wait, left)
            self._queue.append(ticket)
            self._ahead += ticket.tokens
            return self._look(ticket, now)

    def look(self, ticket: Ticket, now: float, left: float) -> float | None:
        """Start the call if it is its turn, else say how long to wait (`inf`: until told so).

        Raises `LimitReached`, and takes it from the queue, where nothing is left.
        """
        with self._lock:
            wait = self._look(ticket, now)
            if wait is not None and (left <= 0 or inf > wait >= left):
                self._drop(ticket)
                raise limit_reached(self.name, 0.0 if wait == inf else wait, left)
            return wait

    def press(self, ticket: Ticket, now: float, left: float) -> float | None:
        """Start the call out of line, or say how long its limits per minute make it wait.

        For a caller that blocks an event loop: those before it, and those who have the places,
        may be tasks that cannot go on while it waits. One loop adds one call at most.
        """
        with self._lock:
            wait = self._alone(ticket, now)
            if wait <= 0:
                self._start(ticket, now)
                return None
            if wait >= left:
                raise limit_reached(self.name, wait, left)
            return wait

    def withdraw(self, ticket: Ticket) -> None:
        """The caller is gone before its call was started: nothing was used."""
        with self._lock:
            if ticket in self._queue:
                self._drop(ticket)

    def leave(
        self, ticket: Ticket, now: float, *, tokens: float | None, kind: Kind | None,
        retry_after: float | None = None,
    ) -> None:  # fmt: skip
        """A started call ended: by an answer that took `tokens`, by a failure, or by neither."""
        with self._lock:
            if kind == "limited":
                self._limited(ticket, now, min(retry_after or 0.0, self.longest_pause))
            elif tokens is not None and kind is None:
                self._answered(ticket)
            self.places.taken -= 1
            used = 0.0 if kind in _GIVES_BACK else ticket.tokens if tokens is None else tokens
            if self._tokens is not None and used != ticket.tokens:
                self._tokens.take(used - ticket.tokens, now)
            self._call_head()

    def _limited(self, ticket: Ticket, now: float, pause: float) -> None:
        """One alone, among calls that are answered, closes the gate to nobody else."""
        self.places.limited()
        self._in_a_row += 1
        if self._in_a_row >= _SURE:
            self._paused_until = max(self._paused_until, now + pause)
        self._limited_to = max(self._limited_to, ticket.started)

    def _answered(self, ticket: Ticket) -> None:
        """What began after the calls that were limited was not: the gate is open again."""
        self.places.answered()
        if ticket.started > self._limited_to:
            self._in_a_row, self._paused_until = 0, -inf

    def _expected(self, ticket: Ticket, now: float) -> float:
        """How long the buckets alone will make it wait, behind the queue of now."""
        waits = [self._paused_until - now, 0.0]
        if self._requests is not None:
            waits.append(self._requests.wait_behind(1.0, len(self._queue), now))
        if self._tokens is not None:
            waits.append(self._tokens.wait_behind(ticket.tokens, self._ahead, now))
        return max(waits)

    def _alone(self, ticket: Ticket, now: float) -> float:
        """How long it must wait if nobody is before it and a place is free."""
        wait = self._paused_until - now
        if self._requests is not None:
            wait = max(wait, self._requests.wait(1.0, now))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(ticket.tokens, now))
        return wait

    def _look(self, ticket: Ticket, now: float) -> float | None:
        wait = inf
        if self._queue[0] is ticket and not self.places.is_full:
            wait = self._alone(ticket, now)
        if wait <= 0:
            self._start(ticket, now)
            self._drop(ticket)
            return None
        if ticket.turn is None or ticket.turn.done():
            ticket.turn = Future()
        return wait

    def _start(self, ticket: Ticket, now: float) -> None:
        ticket.started = now
        self.places.taken += 1
        if self._requests is not None:
            self._requests.take(1.0, now)
        if self._tokens is not None:
            self._tokens.take(ticket.tokens, now)

    def _drop(self, ticket: Ticket) -> None:
        self._queue.remove(ticket)
        self._ahead = self._ahead - ticket.tokens if self._queue else 0.0
        self._call_head()

    def _call_head(self) -> None:
        turn = self._queue[0].turn if self._queue else None
        if turn is not None and not turn.done():
            turn.set_result(None)


def _bucket(a_minute: float | None) -> Bucket | None:
    if a_minute is None:
        return None
    rate = a_minute / 60.0
    return Bucket(rate, max(1.0, rate * _SAVED_UP))


@dataclass(slots=True)
class Limiter:
    """A layer: each call waits in line for its turn at the gate, never past its deadline.

    Tokens are expected to be characters / 3 plus `max_tokens`, or the longest answer so far
    (256 at first); afterwards they are corrected by what the provider reports. A rate limit
    closes the gate for its `Retry-After`, or until one is answered that came after it: calls wait,
    or where it `yields`, since another may be asked instead, are refused at once.

    >>> from compilm.clock import ManualClock
    >>> from compilm.testing.layer_kit import CountingEngine, ask, request
    >>> clock = ManualClock()
    >>> pair = Limiter(Gate("openai", requests=60), clock)(CountingEngine().pair)
    >>> for _ in range(12):
    ...     answer = ask(pair, request())
    >>> round(clock.now(), 3)  # ten at once, then one a second
    2.0
    """

    gate: Gate
    clock: Clock = SYSTEM_CLOCK
    yields: bool = False
    _longest: int = 256

    def __call__(self, inner: EnginePair) -> EnginePair:
        return around(self, inner)

    def enter(self, request: Any) -> Ticket:
        """Wait in this thread for the turn of a call."""
        ticket = Ticket(self._estimate(request))
        if in_a_loop():
            return self._press(ticket)
        wait = self._join(ticket)
        while wait is not None and ticket.turn is not None:
            left = remaining(self.clock.now())
            try:
                if wait < inf:
                    self.clock.doze(ticket.turn, wait)
                else:
                    self.clock.until(ticket.turn, None if left == inf else left)
            except BaseException:  # border: its place in the queue is free; it passes
                self.gate.withdraw(ticket)
                raise
            wait = self._look(ticket)
        return ticket

    async def aenter(self, request: Any) -> Ticket:
        """As `enter`, in a task."""
        ticket = Ticket(self._estimate(request))
        wait = self._join(ticket)
        while wait is not None and ticket.turn is not None:
            try:
                if wait < inf:
                    await self.clock.adoze(ticket.turn, wait)
                else:
                    await auntil(self.clock, ticket.turn, remaining(self.clock.now()))
            except BaseException:  # border: as above
                self.gate.withdraw(ticket)
                raise
            wait = self._look(ticket)
        return ticket

    def _press(self, ticket: Ticket) -> Ticket:
        while True:
            now = self._now(ticket)
            wait = self.gate.press(ticket, now, remaining(now))
            if wait is None:
                return ticket
            self.clock.sleep(wait)

    def _join(self, ticket: Ticket) -> float | None:
        now = self._now(ticket)
        return self.gate.join(ticket, now, remaining(now))

    def _look(self, ticket: Ticket) -> float | None:
        now = self._now(ticket)
        return self.gate.look(ticket, now, remaining(now))

    def _now(self, ticket: Ticket) -> float:
        """The instant, if the gate is not closed to one that yields."""
        now = self.clock.now()
        if self.yields and (pause := self.gate.paused(now)):
            self.gate.withdraw(ticket)
            raise left_alone(self.gate.name, pause)
        return now

    def leave(self, ticket: Ticket, answer: Any, error: BaseException | None) -> None:
        """Give the place back and correct the tokens."""
        used, usage = None, None if answer is None else answer.usage
        if usage is not None and usage.output_tokens is not None:
            self._longest = max(self._longest, usage.output_tokens)
            used = float((usage.input_tokens or 0) + usage.output_tokens)
        elif error is None:
            used = ticket.tokens
        self.gate.leave(
            ticket,
            self.clock.now(),
            tokens=used,
            kind=kind_of(error) if isinstance(error, Exception) else None,
            retry_after=retry_after_of(error) if error is not None else None,
        )

    def _estimate(self, request: Any) -> float:
        """Tokens that a call may take, in and out; 0 where nobody counts them."""
        if not self.gate.counts_tokens:
            return 0.0
        answer = request.config.max_tokens or self._longest
        return _characters(request) / 3.0 + float(answer)


def _characters(request: Any) -> int:
    system = request.system or ""
    count = len(system) if isinstance(system, str) else _in_parts(system)
    for message in request.messages:
        count += _in_parts(message.parts)
    return count


def _in_parts(parts: Iterable[Any]) -> int:
    count = 0
    for part in parts:
        if (text := getattr(part, "text", None)) is not None:
            count += len(text)
    return count
