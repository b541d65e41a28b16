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
from dataclasses import dataclass, field
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

__all__ = ["Racing", "race", "task_race"]

Call = TypeVar("Call", bound="Future[Any] | asyncio.Future[Any]")


@dataclass(slots=True)
class Racing:
    """One round of calls, and what is known of it: whom to ask next, and when.

    `members` are the places in the chain of those at the places of the round.
    """

    round: Round
    members: list[int]
    hedge: Hedge
    clock: Clock
    _beside: list[int] = field(default_factory=list)  # the places of those asked beside others
    _patience: float = inf
    _late_at: float = inf  # when the call that began last is late
    _ends_at: float = inf

    def __post_init__(self) -> None:
        # Here, and not where an alarm rings: that is in nobody's context.
        now = self.clock.now()
        self._ends_at = now + remaining(now)

    @property
    def left(self) -> float:
        """Seconds to the deadline."""
        return self._ends_at - self.clock.now()

    @property
    def patience(self) -> float:
        """Seconds until the call that began last is late, or time is over."""
        until = min(self._late_at, self._ends_at) if self.round.may_hedge else self._ends_at
        return max(0.0, until - self.clock.now())

    def start(self) -> tuple[int, int]:
        """The next call's place in the round, and its member of the chain."""
        is_beside, place = self.round.out > 0, self.round.start()
        if is_beside:
            self._beside.append(place)
        member = self.members[place]
        self._patience = self.hedge.begins(member)
        self._late_at = self.clock.now() + self._patience
        return place, member

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
            self.hedge.refused()
        ended = self.round.failed(place, error, self.left)
        if ended is error:
            raise ended
        if ended is not None:
            raise ended from error

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
                    return done.result()
                except Exception as error:  # border: classified by the round, which may go on
                    racing.failed(place, error)
    finally:
        for call in calls:
            threads.abandon(call)


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


async def task_race(racing: Racing, ask: Callable[[int], Awaitable[Any]]) -> Any:
    """What the first of the members answers; the other calls are cancelled, and waited for."""
    while True:
        place, member = racing.start()
        lead = _Lead(racing, place, ask)
        try:
            return await lead.answer(member)
        except Exception as error:  # border: classified by the round, as above
            if lead.is_joined:  # by others, who have heard of it
                raise
            racing.failed(place, error)


class _Lead:
    """A call in the caller's own task; once it is late it is one of a race, run by another task."""

    __slots__ = ("_alarm", "_ask", "_call", "_context", "_is_cut", "_is_over", "_others", "_place",
                 "_racing", "_requests", "_task")  # fmt: skip

    def __init__(self, racing: Racing, place: int, ask: Callable[[int], Awaitable[Any]]) -> None:
        self._racing, self._place, self._ask = racing, place, ask
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._requests = self._task.cancelling()
        self._context = copy_context()
        self._others: Any = None  # the task that runs the race
        self._alarm: Alarm | None = None
        self._is_over = self._is_cut = False

    @property
    def is_joined(self) -> bool:
        """Whether it was late, and a race was made of it."""
        return self._others is not None

    async def answer(self, member: int) -> Any:
        """What it answers, or the race that it is a part of."""
        self._set_alarm()
        try:
            answer = await self._ask(member)
        except asyncio.CancelledError:
            # Cut by the race alone: anyone else's cancellation stays one.
            if not self._is_cut or self._task.uncancel() > self._requests:
                await self._leave()
                raise
        except Exception as error:  # border: the race classifies it, where there is one
            if self._others is None:
                raise
            self._ended(None, error)
        except BaseException:  # border: the race ends by itself, and it passes
            if self._is_cut:
                self._task.uncancel()
            if self._others is not None:
                self._others.cancel()
            raise
        else:
            if self._others is None:
                return answer
            self._ended(answer, None)
        finally:
            self._is_over = True
            self._stop_alarm()
        return await self._others

    def _set_alarm(self) -> None:
        seconds, clock = self._racing.patience, self._racing.clock
        self._alarm = None if seconds == inf else clock.alarm(seconds, self._ring)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None  # which holds this object

    def _ring(self) -> None:
        """It is late, or time is over."""
        if self._is_over:
            return
        if self._racing.left > 0 and not self._racing.may_start():
            self._set_alarm()
            return
        loop = asyncio.get_running_loop()
        self._call: asyncio.Future[Any] = loop.create_future()
        self._call.add_done_callback(self._given_up)
        race = _joined(self._racing, self._ask, self._call, self._place)
        self._others = loop.create_task(race, context=self._context)

    def _given_up(self, call: asyncio.Future[Any]) -> None:
        """The race is over; if that was not heard of before, this call is cut."""
        if call.cancelled() and not self._is_over:
            self._is_cut = True
            self._task.cancel()

    def _ended(self, answer: Any, error: Exception | None) -> None:
        """Tell the race, unless it has given this call up by now."""
        if self._is_cut:
            self._task.uncancel()
        if self._call.done():
            return
        if error is None:
            self._call.set_result(answer)
        else:
            self._call.set_exception(error)
            self._call.exception()  # heard, should the race be left before it hears of it

    async def _leave(self) -> None:
        """The caller is gone: nobody waits for the race."""
        self._is_over = True
        if self._others is not None:
            self._others.cancel()
            await asyncio.gather(self._others, return_exceptions=True)


async def _joined(
    racing: Racing, ask: Callable[[int], Awaitable[Any]], lead: asyncio.Future[Any], place: int
) -> Any:
    """The race, from when its first call is late."""
    calls: dict[asyncio.Future[Any], int] = {lead: place}
    try:
        if racing.left <= 0:
            racing.over()
        await asyncio.sleep(0)
        is_late = not lead.done()  # as it is not, if it came while the loop stood still
        if not is_late:
            racing.hedge.refused()
        while True:
            if is_late or racing.round.out == 0:
                place, member = racing.start()
                calls[asyncio.ensure_future(ask(member))] = place
            done = await _task_first(racing, calls)
            is_late = done is None
            if done is not None:
                place = calls.pop(done)
                try:
                    return done.result()
                except Exception as error:  # border: as above
                    racing.failed(place, error)
    finally:
        for call in calls:
            call.cancel()
        if calls:  # what they hold is free again before anyone goes on
            await asyncio.gather(*calls, return_exceptions=True)


async def _task_first(
    racing: Racing, calls: Mapping[asyncio.Future[Any], int]
) -> asyncio.Future[Any] | None:
    """The first call that is done, or `None` when it is time for the next one."""
    while True:
        bell = asyncio.get_running_loop().create_future()
        seconds = racing.patience
        alarm = None if seconds == inf else racing.clock.alarm(seconds, bell.cancel)
        try:
            await asyncio.wait({*calls, bell}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            bell.cancel()
            if alarm is not None:
                alarm.cancel()
        done, is_over = racing.first(calls)
        if is_over:
            return done
