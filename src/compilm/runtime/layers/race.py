"""Several models asked side by side, each once the one before is late: the first answer wins.

A thread that blocks cannot be told to stop, so in threads each call is in one of its own. In tasks
the first call stays in the caller's, since most are answered in time and need no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from math import inf
from typing import Any, NoReturn, TypeVar, cast

from ...clock import Alarm, Clock
from ...engine import remaining
from ...errors import Refused
from ...policies.threads import Threads
from .hedging import Hedge
from .outcomes import deadline_exceeded
from .round import Round

__all__ = ["Racing", "TaskRace", "race"]

Call = TypeVar("Call", bound="Future[Any] | asyncio.Future[Any]")


class Racing:
    """One round of calls, and what is known of it: whom to ask next, and when.

    `members` are the places in the chain of those at the places of the round.
    """

    __slots__ = ("_began", "_beside", "_ends_at", "_late_at", "_patience", "clock", "hedge",
                 "members", "round")  # fmt: skip

    def __init__(self, round_: Round, members: list[int], hedge: Hedge, clock: Clock) -> None:
        self.round, self.members, self.hedge, self.clock = round_, members, hedge, clock
        now = clock.now()
        # Here, and not where an alarm rings: that is in nobody's context.
        self._ends_at = now + remaining(now)
        self._late_at = self._patience = inf  # when the call that began last is late, and after
        self._began: dict[int, float] = {}  # by place
        self._beside: tuple[int, ...] = ()  # the places of those asked beside others

    @property
    def left(self) -> float:
        """Seconds to the deadline."""
        return self._ends_at - self.clock.now()

    @property
    def patience(self) -> float:
        """Seconds until the call that began last is late, or time is over."""
        until = self._ends_at
        if self._late_at < until and self.round.may_hedge:
            until = self._late_at
        return max(0.0, until - self.clock.now())

    def start(self) -> tuple[int, int]:
        """The next call's place in the round, and its member of the chain."""
        is_beside = bool(self._began) and self.round.out > 0
        place = self.round.start()
        if is_beside:
            self._beside += (place,)
        member = self.members[place]
        self._patience = self.hedge.begins(member)
        now = self._began[place] = self.clock.now()
        self._late_at = now + self._patience
        return place, member

    def answered(self, place: int) -> None:
        """The hedge hears how long an answer took."""
        self.hedge.answered(self.members[place], self.clock.now() - self._began[place])

    def given_up(self, place: int) -> None:
        """The hedge hears after how long a call was not waited for any longer."""
        self.hedge.given_up(self.members[place], self.clock.now() - self._began[place])

    def may_start(self) -> bool:
        """Whether another is asked now beside those who are out; if not, it may be later."""
        if not self.round.may_hedge or self.clock.now() < self._late_at:
            return False
        if self.hedge.allows():
            return True
        self._late_at = self.clock.now() + self._patience
        return False

    def failed(self, place: int, error: Exception) -> None:
        """Note a failure, and raise what the round ends with if it does."""
        if place in self._beside and isinstance(error, Refused):
            self.hedge.unasked()
        self.round.go_on(place, error, self.left)

    def first(self, calls: Iterable[Call]) -> tuple[Call | None, bool]:
        """The first that is done, and whether the waiting is over; raises at the deadline."""
        done = next((call for call in calls if call.done()), None)
        if done is None and self.left <= 0:
            self.over()
        return done, done is not None or self.may_start()

    def over(self) -> NoReturn:
        """The deadline has passed."""
        raise deadline_exceeded(f"while {self.round.out} providers were asked")


def race(racing: Racing, ask: Callable[[int], Any], threads: Threads) -> Any:
    """What the first of the members answers; whoever is late is left behind in its thread."""
    calls: dict[Future[Any], int] = {}
    is_late = True
    try:
        while True:
            if is_late or racing.round.out == 0:
                place, member = racing.start()
                try:
                    calls[threads.run(partial(ask, member))] = place
                except RuntimeError as error:  # no thread to be had: those who are out may answer
                    racing.failed(place, error)
            done = _first(racing, calls)
            is_late = done is None
            if done is not None:
                place = calls.pop(done)
                try:
                    return _answer(racing, done, place)
                except Exception as error:  # border: classified by the round, which may go on
                    racing.failed(place, error)
    finally:
        for call, place in calls.items():
            racing.given_up(place)
            threads.abandon(call)


def _answer(racing: Racing, done: Call, place: int) -> Any:
    """What a call gave that is done; raises what it failed with."""
    answer = done.result()
    racing.answered(place)
    return answer


def _first(racing: Racing, calls: Mapping[Future[Any], int]) -> Future[Any] | None:
    """The first call that is done, or `None` when it is time for the next one."""
    while True:
        one = Future[None]()
        for call in calls:
            call.add_done_callback(partial(_ring, one))
        seconds = racing.patience
        racing.clock.until(one, None if seconds == inf else seconds)
        done, is_over = racing.first(calls)
        if is_over:
            return done


def _ring(one: Future[None], _: Future[Any]) -> None:
    with suppress(InvalidStateError):  # another was first
        one.set_result(None)


class TaskRace(Racing):
    """The same in tasks. The first call is made in the caller's own; once it is late, a race of it
    and of others goes on in another task, of which the caller awaits the answer."""

    __slots__ = ("_alarm", "_ask", "_call", "_context", "_is_cut", "_is_over", "_others", "_place",
                 "_requests", "_task")  # fmt: skip

    async def run(self, ask: Callable[[int], Awaitable[Any]]) -> Any:
        """What the first of the members answers; the others are cancelled, and waited for."""
        self._ask, self._context = ask, copy_context()
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._requests = self._task.cancelling()
        self._others: asyncio.Task[Any] | None = None
        self._is_cut = False
        while True:
            self._place, member = self.start()
            self._begin()
            try:
                answer = await ask(member)
            except Exception as error:  # border: classified by the round, as above
                self._end()
                if self._others is None:
                    self.failed(self._place, error)
                    continue
                self._tell(None, error)
            except BaseException as error:  # border: it passes, where it is not the race's own
                self._end()
                if not await self._is_own(error):
                    raise
            else:
                self._end()
                if self._others is None:
                    self.answered(self._place)
                    return answer
                self._tell(answer, None)
            assert self._others is not None
            return await self._others

    def _begin(self) -> None:
        """The call is made from here on."""
        seconds, self._is_over = self.patience, False
        self._alarm: Alarm | None = None
        if seconds < inf:
            self._alarm = self.clock.alarm(seconds, self._ring)

    def _end(self) -> None:
        """The call is over."""
        self._is_over = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None  # which holds this object

    def _ring(self) -> None:
        """The call is late, or time is over."""
        if self._is_over:
            return
        if self.left > 0 and not self.may_start():
            self._begin()
            return
        loop = asyncio.get_running_loop()
        self._call: asyncio.Future[Any] = loop.create_future()
        self._call.add_done_callback(self._given_up)
        self._others = loop.create_task(self._joined(self._call), context=self._context)

    def _given_up(self, call: asyncio.Future[Any]) -> None:
        """The race is over; if that was not heard of before, the caller's call is cut."""
        if call.cancelled() and not self._is_over:
            self._is_cut = True
            self._task.cancel()

    def _tell(self, answer: Any, error: Exception | None) -> None:
        """Tell the race how the call ended, unless it has been given up by now."""
        if self._is_cut:
            self._task.uncancel()
        if self._call.done():
            return
        if error is None:
            self._call.set_result(answer)
        else:
            self._call.set_exception(error)
            self._call.exception()  # heard, should the race be left before it hears of it

    async def _is_own(self, error: BaseException) -> bool:
        """Whether the race alone cut the call. If not, nobody waits for the race any more."""
        is_left = isinstance(error, asyncio.CancelledError)
        is_own = self._is_cut and self._task.uncancel() <= self._requests and is_left
        if self._others is None:
            self.given_up(self._place)
        elif not is_own:
            self._others.cancel()
            if is_left:  # else it is no time to wait
                await asyncio.gather(self._others, return_exceptions=True)
        return is_own

    async def _joined(self, lead: asyncio.Future[Any]) -> Any:
        """The race, from when its first call is late."""
        calls: dict[asyncio.Future[Any], int] = {lead: self._place}
        try:
            if self.left <= 0:
                self.over()
            await asyncio.sleep(0)
            is_late = not lead.done()  # as it is not, if it came while the loop stood still
            if not is_late:
                self.hedge.unasked()
            while True:
                if is_late or self.round.out == 0:
                    place, member = self.start()
                    calls[asyncio.ensure_future(self._ask(member))] = place
                done = await self._first(calls)
                is_late = done is None
                if done is not None:
                    place = calls.pop(done)
                    try:
                        return _answer(self, done, place)
                    except Exception as error:  # border: as above
                        self.failed(place, error)
        finally:
            for call, place in calls.items():
                self.given_up(place)
                call.cancel()
            if calls:  # what they hold is free again before anyone goes on
                await asyncio.gather(*calls, return_exceptions=True)

    async def _first(self, calls: Mapping[asyncio.Future[Any], int]) -> asyncio.Future[Any] | None:
        """The first call that is done, or `None` when it is time for the next one."""
        while True:
            bell = asyncio.get_running_loop().create_future()
            seconds = self.patience
            alarm = None if seconds == inf else self.clock.alarm(seconds, bell.cancel)
            try:
                await asyncio.wait({*calls, bell}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                bell.cancel()
                if alarm is not None:
                    alarm.cancel()
            done, is_over = self.first(calls)
            if is_over:
                return done
