"""The manual clock moves when told; the system's clock is the system's."""

from __future__ import annotations

import asyncio

from compilm.clock import SYSTEM_CLOCK, ManualClock


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
