"""When a call is late, and what becomes of one in the caller's own task that is."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from contextvars import ContextVar
from math import inf
from typing import Any

import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.engine import EnginePair, stack
from compilm.errors import DeadlineExceeded, NoneAnswered
from compilm.policies.threads import Threads
from compilm.runtime.layers.deadline import Deadline, within
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.hedging import After, Late
from compilm.testing.layer_kit import CountingEngine, aask, ask, request


def told(late: Late, seconds: list[float]) -> Late:
    for each in seconds:
        late.answered(0, each)
    return late


class TestLate:
    def test_late_is_four_times_the_median_of_the_last_64(self) -> None:
        late = told(Late(), [9.0] * 16 + [0.5] * 33 + [2.0] * 31)
        assert late.begins(0) == 2.0
        assert told(late, [2.0] * 8).begins(0) == 8.0

    def test_nothing_is_late_until_16_have_answered(self) -> None:
        late = told(Late(), [1.0] * 15)
        assert late.begins(0) == inf
        assert told(late, [1.0]).begins(0) == 4.0

    def test_models_are_told_apart_and_nothing_is_late_at_once(self) -> None:
        late = told(Late(), [0.001] * 16)
        assert (late.begins(0), late.begins(1)) == (0.5, inf)

    @pytest.mark.parametrize("hung", [0.0, 0.3])
    def test_those_that_are_given_up_do_not_move_what_is_usual(self, hung: float) -> None:
        draw, late = random.Random(0), told(Late(), [1.0] * 16)
        for _ in range(2000):
            patience, seconds = late.begins(0), draw.uniform(0.5, 1.5)
            if draw.random() < hung:
                late.given_up(0, patience)
            else:
                late.answered(0, seconds)
        assert 3.0 < late.begins(0) < 5.5

    def test_where_all_are_given_up_what_is_usual_stays(self) -> None:
        late = told(Late(), [1.0] * 16)
        for _ in range(500):
            late.given_up(0, late.begins(0))
        assert late.begins(0) == 4.0
        assert told(late, [3.0] * 64).begins(0) == 12.0

    def test_callers_who_leave_early_say_nothing(self) -> None:
        late = told(Late(), [1.0] * 16)
        for _ in range(64):
            late.given_up(0, 0.1)
        assert late.begins(0) == 4.0

    def test_a_tenth_of_the_calls_is_asked_twice_at_most(self) -> None:
        late = Late()
        asked = sum([late.begins(0) > 0 and late.allows() for _ in range(1000)])
        assert asked in (131, 132)  # 32 of them are saved up at first

    def test_after_a_quiet_time_32_may_follow_at_once(self) -> None:
        late = Late()
        for _ in range(1000):
            late.begins(0)
        assert [late.allows() for _ in range(33)] == [True] * 32 + [False]
        late.unasked()
        assert [late.allows() for _ in range(2)] == [True, False]


def test_given_seconds_are_kept_to_whatever_is_heard() -> None:
    after = After(3.0)
    after.answered(0, 99.0)
    after.given_up(0, 99.0)
    assert (after.begins(0), all(after.allows() for _ in range(99))) == (3.0, True)


def test_failures_and_streams_say_nothing_of_what_is_usual() -> None:
    class Heard(Late):
        def answered(self, place: int, seconds: float) -> None:
            heard.append(("answered", place))
            super().answered(place, seconds)

        def given_up(self, place: int, seconds: float) -> None:
            heard.append(("given up", place))

    heard: list[tuple[str, int]] = []
    first = CountingEngine(lambda asked: lm15.ServerError("down") if asked.model == "m" else "ok")
    target = Target("b", CountingEngine().pair, model="m2")
    pair = Fallback([target], hedge=Heard())(first.pair)
    down = lm15.Request("m", (lm15.Message.user("hi"),))
    assert aask(pair, down).model == "m2"
    assert aask(pair, request("hi")).model == "kit/model"

    async def streamed() -> list[str]:
        return [event.type async for event in pair.asynchronous.stream(request("hi"))]

    assert asyncio.run(streamed())[-1] == "end"
    assert heard == [("answered", 1), ("answered", 0)]


class Slow:
    """Two models behind a `Fallback` that has learned: the first is held once it says so."""

    def __init__(self, late: Late | None = None, first: Any = None, second: Any = None) -> None:
        self.clock, self.late = ManualClock(), told(late or Late(), [0.5] * 16)
        self.first, self.second = CountingEngine(first), CountingEngine(second)
        self.first.gate = asyncio.Event()
        target = Target("b", self.second.pair, model="m2")
        layer = Fallback([target], name="a", hedge=self.late, clock=self.clock)
        self.pair = layer(self.first.pair)

    async def begun(self, seconds: float) -> asyncio.Task[Any]:
        call = asyncio.ensure_future(self.pair.asynchronous.complete(request("hi")))
        while not self.first.inside or not self.clock.waiting:
            await asyncio.sleep(0)
        await self.pass_(seconds)
        return call

    async def pass_(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for _ in range(9):
            await asyncio.sleep(0)

    @property
    def rest(self) -> tuple[int, int]:
        """What is left behind: calls inside, and alarms."""
        return self.first.inside + self.second.inside, self.clock.waiting


def test_what_takes_four_times_the_usual_is_asked_for_elsewhere() -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow()
        early = await slow.begun(1.9)
        assert slow.second.calls == 0
        await slow.pass_(0.2)
        return (await early).model, slow.first.calls, slow.second.calls, slow.rest

    assert asyncio.run(race()) == ("m2", 1, 1, (0, 0))


def test_a_caller_that_was_cut_in_on_is_not_cancelled() -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow()

        async def twice() -> tuple[str, int]:
            answer = await slow.pair.asynchronous.complete(request("hi"))
            await asyncio.sleep(0)  # a cancellation that was left over would end it here
            task = asyncio.current_task()
            assert task is not None
            return answer.model, task.cancelling()

        call = asyncio.ensure_future(twice())
        while not slow.first.inside:
            await asyncio.sleep(0)
        await slow.pass_(2.0)
        return await call

    assert asyncio.run(race()) == ("m2", 0)


def test_where_no_more_may_be_asked_twice_the_first_is_waited_for() -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow(Late(share=0.0))
        assert all(slow.late.allows() for _ in range(32))  # those that are saved up at first
        call = await slow.begun(2.0)
        await slow.pass_(60.0)
        slow.first.gate.set()
        return (await call).model, slow.second.calls, slow.rest

    assert asyncio.run(race()) == ("kit/model", 0, (0, 0))


@pytest.mark.parametrize("error", [lm15.ServerError("down"), lm15.InvalidRequestError("no")])
def test_one_that_is_late_and_fails_leaves_the_answer_to_the_other(error: Exception) -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow(first=lambda _: error)
        slow.second.gate = asyncio.Event()
        call = await slow.begun(2.0)
        slow.first.gate.set()
        await slow.pass_(0.1)
        slow.second.gate.set()
        return (await call).model, slow.rest

    assert asyncio.run(race()) == ("m2", (0, 0))


def test_if_both_fail_the_error_tells_of_both() -> None:
    async def race() -> tuple[Any, ...]:
        limited = lm15.RateLimitError("slow down")
        slow = Slow(first=lambda _: lm15.ServerError("down"), second=lambda _: limited)
        call = await slow.begun(2.0)
        slow.first.gate.set()
        with pytest.raises(NoneAnswered, match="none of 2 answered") as raised:
            await call
        return tuple(name for name, _ in raised.value.failures), slow.rest

    assert asyncio.run(race()) == (("b", "a"), (0, 0))


@pytest.mark.parametrize("seconds", [1.0, 2.0])
def test_a_caller_that_leaves_leaves_nobody_running(seconds: float) -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow()
        slow.second.gate = asyncio.Event()
        call = await slow.begun(seconds)
        call.cancel()
        await asyncio.wait([call])
        return call.cancelled(), slow.rest

    assert asyncio.run(race()) == (True, (0, 0))


def test_a_caller_that_leaves_as_the_other_wins_stays_cancelled() -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow()
        slow.second.gate = asyncio.Event()
        call = await slow.begun(2.0)
        slow.second.gate.set()
        while slow.second.inside:
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        return call.cancelled(), slow.rest

    assert asyncio.run(race()) == (True, (0, 0))


@pytest.mark.parametrize("steps", range(12))
def test_whoever_is_first_by_a_step_of_the_loop_one_answer_comes(steps: int) -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow()
        slow.second.gate = asyncio.Event()
        call = await slow.begun(2.0)
        slow.second.gate.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        slow.first.gate.set()
        answer = await call
        await asyncio.sleep(0)
        return answer.text, slow.rest

    assert asyncio.run(race()) == ("hi", (0, 0))


def test_a_call_that_is_asked_beside_it_sees_the_same_context() -> None:
    seen: list[str] = []
    who: ContextVar[str] = ContextVar("who", default="nobody")

    async def race() -> None:
        slow = Slow(second=lambda _: seen.append(who.get()) or "ok")
        who.set("the caller")
        call = await slow.begun(2.0)
        await call

    asyncio.run(race())
    assert seen == ["the caller"]


def test_in_threads_only_given_seconds_count() -> None:
    late = told(Late(), [0.001] * 16)
    first, second = CountingEngine(), CountingEngine()
    pair: EnginePair = Fallback([Target("b", second.pair)], hedge=late)(first.pair)
    assert ask(pair, request("hi")).text == "hi"
    assert aask(pair, request("hi")).text == "hi"
    assert (first.calls, second.calls) == (2, 0)


def test_what_is_late_after_the_deadline_ends_with_it_and_asks_nobody() -> None:
    async def race(late: Late) -> tuple[Any, ...]:
        slow = Slow(late)
        with within(1.5, slow.clock):
            call = asyncio.ensure_future(slow.pair.asynchronous.complete(request()))
        while not slow.first.inside or not slow.clock.waiting:
            await asyncio.sleep(0)
        await slow.pass_(1.5)
        (error,) = await asyncio.gather(call, return_exceptions=True)
        return isinstance(error, DeadlineExceeded), slow.second.calls, slow.rest

    assert asyncio.run(race(Late())) == (True, 0, (0, 0))
    assert asyncio.run(race(Late(times_usual=inf))) == (True, 0, (0, 0))


@pytest.mark.parametrize("is_answer_first", [True, False])
def test_what_came_while_the_loop_stood_still_is_not_asked_for_again(is_answer_first: bool) -> None:
    async def race() -> tuple[Any, ...]:
        slow = Slow(Late(share=0.0))
        call = await slow.begun(1.0)
        if is_answer_first:
            slow.first.gate.set()
        slow.clock.advance(1.0)
        slow.first.gate.set()
        return (await call).model, slow.second.calls, [slow.late.allows() for _ in range(33)]

    assert asyncio.run(race()) == ("kit/model", 0, [True] * 32 + [False])


def test_an_interrupt_ends_the_race_too() -> None:
    class Interrupt(BaseException):
        pass

    async def race() -> tuple[Any, ...]:
        slow = Slow(first=lambda _: Interrupt())
        slow.second.gate = asyncio.Event()
        call = await slow.begun(2.0)
        slow.first.gate.set()
        with pytest.raises(Interrupt):
            await call
        await slow.pass_(0.0)
        return slow.rest

    assert asyncio.run(race()) == (0, 0)


def test_a_failure_of_one_does_not_put_off_when_another_is_late() -> None:
    async def race() -> list[int]:
        clock, down = ManualClock(), lm15.ServerError("down")
        engines = [CountingEngine(lambda _: down), CountingEngine(), CountingEngine()]
        for engine in engines:
            engine.gate = asyncio.Event()
        others = [Target(str(n), engine.pair) for n, engine in enumerate(engines[1:])]
        pair = Fallback(others, hedge=2.0, clock=clock)(engines[0].pair)
        call = asyncio.ensure_future(pair.asynchronous.complete(request()))
        asked = []
        for seconds in (0.0, 2.0, 1.5, 0.5):
            await asyncio.sleep(0)
            clock.advance(seconds)
            if clock.now() == 3.5:
                engines[0].gate.set()
            for _ in range(20):
                await asyncio.sleep(0)
            asked.append(sum(engine.calls for engine in engines))
        call.cancel()
        await asyncio.wait([call])
        return asked

    assert asyncio.run(race()) == [1, 2, 2, 3]


def test_a_call_that_is_over_is_held_by_nothing() -> None:
    def held() -> int:
        return sum(type(each).__name__ in ("TaskRace", "_Cut") for each in gc.get_objects())

    async def some() -> int:
        first, second = CountingEngine(), CountingEngine()
        layers = Deadline(9.0), Fallback([Target("b", second.pair)], hedge=told(Late(), [1.0] * 16))
        pair = stack(first.pair, *layers)
        gc.collect()
        gc.disable()
        try:
            before = held()
            for _ in range(20):
                await pair.asynchronous.complete(request("hi"))
            return held() - before
        finally:
            gc.enable()

    assert asyncio.run(some()) == 0


def test_where_there_is_no_thread_for_another_the_first_is_waited_for() -> None:
    class Few(Threads):
        left = 1

        def run(self, call: Any) -> Any:
            if not self.left:
                raise RuntimeError("can't start new thread")
            self.left -= 1
            return super().run(call)

    clock, second = ManualClock(), CountingEngine()
    held = threading.Event()

    class Held:
        def complete(self, asked: Any) -> Any:
            while not clock.waiting:
                pass  # the one who asks is about to wait
            clock.advance(2.0)
            held.wait(0.05)
            return CountingEngine().answer(asked)

    layer = Fallback([Target("b", second.pair)], hedge=2.0, clock=clock, threads=Few())
    pair: Any = layer(EnginePair(Held(), second.pair.asynchronous))  # type: ignore[arg-type]
    assert (ask(pair, request("hi")).text, second.calls) == ("hi", 0)
