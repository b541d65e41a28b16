"""Alarms that share a timer ring like those that have one each."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from math import inf, nan
from typing import Any

import pytest

from compilm.alarms import SharedAlarm, set_alarm


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose time is moved, never waited for; it counts the timers that are set."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.timers = 0.0, 0

    def time(self) -> float:
        return self.moved

    def call_at(self, when: float, *given: Any, **named: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, *given, **named)


def _run(test: Callable[[_Loop], Awaitable[None]]) -> None:
    async def whole() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Loop)
        await test(loop)

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(whole())


async def _moved(loop: _Loop, to: float) -> None:
    loop.moved = to
    for _ in range(3):
        await asyncio.sleep(0)


def test_alarms_of_one_moment_share_a_timer_and_ring_in_time() -> None:
    async def test(loop: _Loop) -> None:
        heard: list[float] = []
        for number in range(100):
            set_alarm(2.0 + number / 1e6, lambda: heard.append(loop.time()))
        assert loop.timers == 1
        await _moved(loop, 2.0)
        assert heard == []  # none is early
        await _moved(loop, 2.0 + 1 / 64)
        assert len(heard) == 100

    _run(test)


def test_one_that_is_cancelled_never_rings_not_even_by_one_of_its_moment() -> None:
    async def test(loop: _Loop) -> None:
        heard: list[str] = []
        both: list[SharedAlarm | asyncio.TimerHandle] = []

        def ring(name: str, other: int) -> None:
            heard.append(name)
            both[other].cancel()

        both.append(set_alarm(3.0, lambda: ring("one", 1)))
        both.append(set_alarm(3.0, lambda: ring("two", 0)))
        set_alarm(3.0, lambda: heard.append("never")).cancel()
        await _moved(loop, 4.0)
        assert heard in (["one"], ["two"])
        both[0].cancel()  # long after: nothing to undo

    _run(test)


def test_a_moment_that_came_is_made_anew() -> None:
    async def test(loop: _Loop) -> None:
        heard: list[int] = []
        for number in range(3):
            set_alarm(1.0, lambda number=number: heard.append(number))  # type: ignore[misc]
            await _moved(loop, loop.moved + 1.0 + 1 / 64)
        assert (heard, loop.timers) == ([0, 1, 2], 3)

    _run(test)


def test_what_is_far_off_may_be_a_quarter_of_a_second_late() -> None:
    async def test(loop: _Loop) -> None:
        heard: list[float] = []
        for number in range(100):
            set_alarm(120.0 + number / 1000, lambda: heard.append(loop.time()))
        assert loop.timers == 1
        await _moved(loop, 120.099)
        assert heard == []
        await _moved(loop, 120.25)
        assert len(heard) == 100

    _run(test)


@pytest.mark.parametrize(("seconds", "rings"), [(0.01, True), (-1.0, True), (1e9, False)])
def test_what_is_due_soon_or_hardly_ever_has_a_timer_of_its_own(
    seconds: float, rings: bool
) -> None:
    async def test(loop: _Loop) -> None:
        heard: list[float] = []
        set_alarm(seconds, lambda: heard.append(loop.time()))
        assert loop.timers == 1
        await _moved(loop, 0.01)
        assert heard == [0.01] * rings

    _run(test)


@pytest.mark.parametrize("seconds", [inf, nan, 1e308])
def test_seconds_without_an_end_are_taken(seconds: float) -> None:
    async def test(loop: _Loop) -> None:
        set_alarm(seconds, lambda: None).cancel()

    _run(test)


def test_one_that_fails_does_not_keep_the_others_from_ringing() -> None:
    async def test(loop: _Loop) -> None:
        heard: list[int] = []
        loop.set_exception_handler(lambda *_: heard.append(0))
        for number in range(1, 6):
            set_alarm(2.0, lambda number=number: heard.append(number // (number % 2)))  # type: ignore[misc]
        loop.moved = 3.0
        for _ in range(9):
            await asyncio.sleep(0)
        assert sorted(heard) == [0, 0, 1, 3, 5]

    _run(test)


def test_a_moment_keeps_nothing_of_who_set_its_alarms() -> None:
    class Held:
        pass

    async def test(loop: _Loop) -> None:
        own: ContextVar[Held] = ContextVar("own")

        async def call() -> weakref.ref[Held]:
            held = Held()
            own.set(held)
            set_alarm(60.0, lambda: held).cancel()
            return weakref.ref(held)

        left = await asyncio.ensure_future(call())
        await asyncio.sleep(0)  # the loop holds a task until the step that it woke is over
        gc.collect()
        assert left() is None

    _run(test)


def test_a_loop_that_ended_is_let_go() -> None:
    left: list[weakref.ref[_Loop]] = []

    async def test(loop: _Loop) -> None:
        set_alarm(60.0, lambda: None).cancel()
        left.append(weakref.ref(loop))

    _run(test)
    gc.collect()
    assert left[0]() is None


def test_each_loop_rings_its_own() -> None:
    heard: list[str] = []

    async def left_behind() -> None:
        set_alarm(2.0, lambda: heard.append("never: its loop ended"))

    async def test(loop: _Loop) -> None:
        set_alarm(2.0, lambda: heard.append("second"))
        await _moved(loop, 3.0)

    asyncio.run(left_behind())
    _run(test)
    assert heard == ["second"]
