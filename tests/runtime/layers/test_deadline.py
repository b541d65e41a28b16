"""Deadline and timeout: whatever hangs, the caller is told in time, in threads and in tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.clock import SYSTEM_CLOCK, ManualClock
from compilm.engine import DEADLINE, EnginePair, Layer, remaining, stack
from compilm.errors import DeadlineExceeded
from compilm.runtime.layers.deadline import Deadline, within
from compilm.runtime.layers.retry import Retry
from compilm.runtime.layers.timeout import Timeout
from compilm.testing.layer_kit import CountingEngine, LayerKit, ask, request


class TestDeadline(LayerKit):
    @pytest.fixture(params=[None, 60.0])
    def layer(self, request: pytest.FixtureRequest) -> Layer:
        return Deadline(request.param)


class TestTimeout(LayerKit):
    @pytest.fixture(params=[False, True])
    def layer(self, request: pytest.FixtureRequest) -> Layer:
        return Timeout(60.0, guard=request.param)


class Hanging:
    """An engine that takes `seconds` of the clock and then never answers until it is let go.

    As a stream it gives one event every `seconds`, without end.
    """

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.let_go, self.gone = threading.Event(), threading.Event()
        self.events = 0
        self.pair = EnginePair(_HangingSync(self), _HangingAsync(self))

    def event(self) -> Any:
        self.clock.advance(self.seconds)
        self.events += 1
        return lm15.StreamDeltaEvent(lm15.TextDelta("x"))


class _HangingSync:
    def __init__(self, state: Hanging) -> None:
        self._state = state

    def complete(self, asked: Any) -> Any:
        self._state.clock.advance(self._state.seconds)
        self._state.let_go.wait()
        self._state.gone.set()
        return None

    def stream(self, asked: Any) -> Iterator[Any]:
        try:
            yield lm15.StreamStartEvent()
            while True:
                yield self._state.event()
        finally:
            self._state.gone.set()


class _HangingAsync:
    def __init__(self, state: Hanging) -> None:
        self._state = state

    async def complete(self, asked: Any) -> Any:
        try:
            self._state.clock.advance(self._state.seconds)
            await asyncio.Event().wait()
        finally:
            self._state.gone.set()

    async def stream(self, asked: Any) -> AsyncIterator[Any]:
        try:
            yield lm15.StreamStartEvent()
            while True:
                yield self._state.event()
                await asyncio.sleep(0)
        finally:
            self._state.gone.set()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    state = Hanging(ManualClock(), 5.0)
    yield state
    state.let_go.set()


async def awaited(pair: EnginePair) -> Any:
    return await pair.asynchronous.complete(request())


async def streamed(pair: EnginePair) -> list[Any]:
    return [event async for event in pair.asynchronous.stream(request())]


def test_a_blocked_engine_is_left_behind_at_the_deadline(hanging: Hanging) -> None:
    deadline = Deadline(3.0, guard=True, clock=hanging.clock)
    with pytest.raises(DeadlineExceeded):
        ask(deadline(hanging.pair), request())
    assert deadline.threads is not None
    assert (hanging.clock.now(), deadline.threads.abandoned, hanging.gone.is_set()) == (5, 1, False)
    hanging.let_go.set()
    hanging.gone.wait()
    while deadline.threads.abandoned:
        pass  # the thread is about to say that it is free


def test_a_task_is_cancelled_at_the_deadline(hanging: Hanging) -> None:
    with pytest.raises(DeadlineExceeded):
        asyncio.run(awaited(Deadline(3.0, clock=hanging.clock)(hanging.pair)))
    assert hanging.gone.is_set()
    assert hanging.clock.waiting == 0


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_stream_that_drips_is_cut_as_a_whole(how: str, guard: bool) -> None:
    slow = Hanging(ManualClock(), 1.0)
    pair = Deadline(3.0, guard=guard, clock=slow.clock)(slow.pair)
    with pytest.raises(DeadlineExceeded):
        list(pair.sync.stream(request())) if how == "sync" else asyncio.run(streamed(pair))
    assert slow.events == 3
    assert slow.gone.wait(5)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_timed_out_attempt_may_be_tried_again_until_the_deadline(
    hanging: Hanging, how: str
) -> None:
    clock = hanging.clock
    layers = [Deadline(14.0, clock=clock), Retry(base=0.0, clock=clock)]
    pair = stack(hanging.pair, *layers, Timeout(4.0, guard=True, clock=clock))
    with pytest.raises(lm15.TimeoutError) as raised:
        ask(pair, request()) if how == "sync" else asyncio.run(awaited(pair))
    # three attempts of 5 s by this clock, the third cut by the deadline
    assert isinstance(raised.value, DeadlineExceeded)
    assert clock.now() == 15.0


def test_a_timeout_says_which_and_dspy_may_retry_it(hanging: Hanging) -> None:
    pair = Timeout(4.0, clock=hanging.clock)(hanging.pair)
    with pytest.raises(lm15.TimeoutError, match="no answer within 4 s") as raised:
        asyncio.run(awaited(pair))
    assert not isinstance(raised.value, DeadlineExceeded)


def test_a_deadline_within_another_only_shrinks() -> None:
    clock = ManualClock()
    with within(5.0, clock):
        with within(9.0, clock):
            assert remaining(clock.now()) == 5.0
        with within(2.0, clock):
            assert remaining(clock.now()) == 2.0
        assert remaining(clock.now()) == 5.0
    assert DEADLINE.get() is None


@pytest.mark.parametrize("guard", [False, True])
def test_the_engine_below_sees_the_nearest_bound(guard: bool) -> None:
    seen: list[float] = []
    clock = ManualClock(100.0)
    engine = CountingEngine(lambda _: seen.append(remaining(clock.now())) or "yes")
    pair = stack(engine.pair, Deadline(9.0, clock=clock), Timeout(4.0, guard, clock))
    with within(7.0, clock):
        ask(pair, request())
        list(pair.sync.stream(request()))
        asyncio.run(awaited(pair))
    assert seen == [4.0, 4.0, 4.0]
    assert DEADLINE.get() is None


def test_a_caller_who_cancels_gets_its_own_cancellation(hanging: Hanging) -> None:
    hanging.seconds = 0.0

    async def cancelled() -> bool:
        task = asyncio.ensure_future(awaited(Deadline(3.0, clock=hanging.clock)(hanging.pair)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled())
    assert hanging.clock.waiting == 0


def test_a_cancellation_at_the_same_instant_is_not_swallowed(hanging: Hanging) -> None:
    hanging.seconds = 0.0

    async def cancelled() -> bool:
        task = asyncio.ensure_future(awaited(Deadline(3.0, clock=hanging.clock)(hanging.pair)))
        await asyncio.sleep(0)
        hanging.clock.advance(3.0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled())


def test_what_the_reader_of_a_stream_does_is_not_cancelled() -> None:
    clock = ManualClock()

    async def read() -> int:
        count = 0
        try:
            async for _ in Deadline(3.0, clock=clock)(CountingEngine().pair).asynchronous.stream(
                request()
            ):
                clock.advance(5.0)
                await asyncio.sleep(0)  # here a stray cancellation would arrive
                count += 1
        except DeadlineExceeded:
            return count
        return -1

    assert asyncio.run(read()) == 1


def test_dspy_tells_it_as_a_timeout() -> None:
    clock = ManualClock()
    pair = Deadline(3.0, clock=clock)(CountingEngine().pair)
    lm = dspy.LM("kit/model", engine=pair.sync, num_retries=0, cache=False)
    with within(-1.0, clock), pytest.raises(dspy.LMTimeoutError, match="deadline"):
        lm("hi")


def test_a_late_answer_without_a_guard_is_still_an_answer() -> None:
    clock = ManualClock()
    engine = CountingEngine(lambda _: clock.advance(9.0) or "late")
    assert ask(Deadline(3.0, clock=clock)(engine.pair), request()).text == "late"


def test_an_interrupt_while_a_guarded_call_is_out_passes_at_once(hanging: Hanging) -> None:
    class Interrupted(ManualClock):
        def until(self, future: Any, seconds: float | None) -> bool:
            raise KeyboardInterrupt

    timeout = Timeout(guard=True, clock=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        ask(timeout(hanging.pair), request())
    assert timeout.threads is not None
    assert timeout.threads.abandoned == 1


def test_the_clock_is_the_systems_unless_told() -> None:
    assert (Deadline().clock, Timeout().clock, Timeout().seconds) == (SYSTEM_CLOCK,) * 2 + (45.0,)
