"""The manual clock moves when told; the system's clock is the system's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from compilm.clock import SYSTEM_CLOCK, Clock, ManualClock


def test_the_system_clock_goes_on_and_sleeps() -> None:
    before, wall = SYSTEM_CLOCK.now(), SYSTEM_CLOCK.wall()
    SYSTEM_CLOCK.sleep(0.0)
    asyncio.run(SYSTEM_CLOCK.asleep(0.0))
    assert SYSTEM_CLOCK.now() >= before
    assert SYSTEM_CLOCK.wall() >= wall


def test_sleeping_moves_a_manual_clock_without_waiting() -> None:
    clock = ManualClock(start=100.0)
    clock.sleep(3600.0)
    asyncio.run(clock.asleep(1.0))
    clock.advance(0.5)
    assert (clock.now(), clock.wall(), clock.slept) == (3701.5, 3701.5, [3600.0, 1.0])


@pytest.mark.parametrize("clock", [SYSTEM_CLOCK, ManualClock()])
def test_what_is_done_already_is_not_waited_for(clock: Clock) -> None:
    done: Future[int] = Future()
    done.set_result(1)
    assert clock.until(done, 1e9)
    clock.doze(done, 1e9)
    asyncio.run(clock.adoze(done, 1e9))
    cancelled: Future[int] = Future()
    cancelled.cancel()
    assert clock.until(cancelled, None)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
@pytest.mark.parametrize("clock", [SYSTEM_CLOCK, ManualClock()])
def test_no_time_is_no_wait(clock: Clock, seconds: float) -> None:
    assert not clock.until(Future(), seconds)


def test_a_wait_ends_when_somebody_moves_the_clock() -> None:
    clock, pending = ManualClock(), Future[int]()
    found: list[bool] = []
    waiter = threading.Thread(target=lambda: found.append(clock.until(pending, 3.0)))
    waiter.start()
    while not clock.waiting:
        pass
    clock.advance(2.9)
    assert (found, clock.waiting) == ([], 1)
    clock.advance(0.2)
    waiter.join()
    assert (found, clock.waiting) == ([False], 0)


def test_who_waits_for_time_moves_a_manual_clock() -> None:
    clock = ManualClock()
    clock.doze(Future(), 2.0)
    asyncio.run(clock.adoze(Future(), 1.0))
    assert (clock.now(), clock.slept) == (3.0, [2.0, 1.0])


@pytest.mark.parametrize("clock", [SYSTEM_CLOCK, ManualClock()])
def test_an_alarm_rings_unless_it_is_cancelled(clock: Clock) -> None:
    async def rung() -> list[str]:
        heard: list[str] = []
        clock.alarm(0.0, lambda: heard.append("due"))
        clock.alarm(0.0, lambda: heard.append("late")) if clock is SYSTEM_CLOCK else None
        clock.alarm(1e-9, lambda: heard.append("never")).cancel()
        if isinstance(clock, ManualClock):
            clock.alarm(1.0, lambda: heard.append("late"))
            clock.advance(1.0)
        for _ in range(5):
            await asyncio.sleep(0)
        return heard

    assert asyncio.run(rung()) == ["due", "late"]
