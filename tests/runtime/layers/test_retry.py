"""Retry: what may pass is tried again after a bounded wait, everything else passes at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import dspy
import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.clock import SYSTEM_CLOCK, ManualClock
from compilm.engine import EnginePair, Layer
from compilm.errors import NoneAnswered, Refused, RunStopped
from compilm.programs import models
from compilm.runtime.layers.deadline import within
from compilm.runtime.layers.outcomes import circuit_open, none_answered
from compilm.runtime.layers.retry import Retry
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit

HI = lm15.Request(model="scripted/model", messages=(lm15.Message.user("hi"),))
Ask = Callable[[EnginePair], Any]


def sync(pair: EnginePair) -> Any:
    return pair.sync.complete(HI)


def asynchronous(pair: EnginePair) -> Any:
    return asyncio.run(pair.asynchronous.complete(HI))


def retrying(script: list[Any], **settings: Any) -> tuple[EnginePair, Any, ManualClock]:
    clock, lm = ManualClock(), scripted_lm(script)
    return Retry(clock=clock, **settings)(models.as_engine(lm)), lm.engine, clock


both = pytest.mark.parametrize("ask", [sync, asynchronous])


@both
def test_a_passing_failure_is_tried_again(ask: Ask) -> None:
    pair, engine, clock = retrying([lm15.ServerError("down"), lm15.RateLimitError("slow"), "yes"])
    assert ask(pair).text == "yes"
    assert engine.calls == 3
    assert len(clock.slept) == 2


@both
@pytest.mark.parametrize(
    "error",
    [
        lm15.RateLimitError("slow"),
        lm15.ServerError("down"),
        lm15.TimeoutError("late"),
        lm15.TransportError("cut"),
    ],
)
def test_after_the_last_attempt_the_error_passes(ask: Ask, error: Exception) -> None:
    pair, engine, clock = retrying([error], attempts=3)
    with pytest.raises(dspy.LMError):
        ask(pair)
    assert (engine.calls, len(clock.slept)) == (3, 2)


@both
@pytest.mark.parametrize(
    "error",
    [
        lm15.AuthError("key"),
        lm15.BillingError("empty"),
        lm15.InvalidRequestError("no"),
        lm15.ContextLengthError("long"),
        ValueError("a bug"),
        RunStopped("budget"),
        KeyboardInterrupt(),
    ],
)
def test_what_cannot_pass_is_told_at_once(ask: Ask, error: BaseException) -> None:
    pair, engine, clock = retrying([error])
    with pytest.raises(BaseException):  # noqa: B017 - of whatever class dspy makes of it
        ask(pair)
    assert (engine.calls, clock.slept) == (1, [])


@pytest.mark.parametrize(("hint", "waited"), [(2.5, 2.5), (0.0, 0.0), (900.0, 30.0)])
@both
def test_a_provider_that_says_when_is_heard_up_to_the_cap(
    ask: Ask, hint: float, waited: float
) -> None:
    pair, _, clock = retrying([lm15.RateLimitError("slow", retry_after=hint), "yes"])
    assert ask(pair).text == "yes"
    assert clock.slept == [waited]


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.none() | st.floats(),
    st.floats(0, 10),
    st.floats(0, 100),
    st.integers(0, 99),
)
def test_every_wait_is_bounded(
    failures: int, hint: float | None, base: float, cap: float, seed: int
) -> None:
    policy = Retry(base=base, cap=cap, rng=random.Random(seed))
    assert 0 <= policy.wait(failures, retry_after=hint) <= cap
    if hint is None:
        assert policy.wait(failures) <= base * 2.0 ** (failures - 1)


def test_waits_grow_and_differ_from_caller_to_caller() -> None:
    first, second = (Retry(rng=random.Random(seed)) for seed in (1, 2))
    assert first.wait(3) != second.wait(3)
    waits = [[first.wait(k) for _ in range(200)] for k in (1, 4)]
    assert max(waits[0]) <= 1.0 < max(waits[1]) <= 8.0


@both
def test_a_wait_that_would_cross_the_deadline_is_not_begun(ask: Ask) -> None:
    pair, engine, clock = retrying([lm15.RateLimitError("slow", retry_after=5.0)])
    with within(12.0, clock), pytest.raises(dspy.LMRateLimitError, match="slow"):
        ask(pair)
    assert (engine.calls, clock.slept) == (3, [5.0, 5.0])


@both
@pytest.mark.parametrize(("hint", "calls"), [(5.0, 2), (5.1, 1), (None, 1)])
def test_a_refusal_is_waited_for_if_it_is_short(ask: Ask, hint: float | None, calls: int) -> None:
    replies: list[Any] = [Refused("circuit open", retry_after=hint)]
    engine = CountingEngine(lambda _: replies.pop() if replies else "yes")
    pair = Retry(clock=ManualClock())(engine.pair)
    if calls == 2:
        assert ask(pair).text == "yes"
    else:
        with pytest.raises(Refused):
            ask(pair)
    assert engine.calls == calls


def refused(seconds: float) -> Exception:
    return circuit_open("a", "it failed", seconds)


@both
def test_a_refusal_is_no_attempt_while_time_remains(ask: Ask) -> None:
    """Two attempts in all, one of which is left after eleven refusals."""
    replies: list[Any] = [refused(1.0)] * 6 + [lm15.ServerError("down")] + [refused(2.0)] * 5
    engine, clock = CountingEngine(lambda _: replies.pop(0) if replies else "yes"), ManualClock()
    with within(60.0, clock):
        assert ask(Retry(2, clock=clock)(engine.pair)).text == "yes"
    assert engine.calls == 13
    assert [s for s in clock.slept if s >= 1.0] == [1.0] * 6 + [2.0] * 5


@both
@pytest.mark.parametrize("hint", [0.0, 1e-12, 1.0, 5.0])
def test_refusals_without_end_end_at_the_deadline_and_each_waits(ask: Ask, hint: float) -> None:
    engine, clock = CountingEngine(lambda _: refused(hint)), ManualClock()
    with within(20.0, clock), pytest.raises(Refused):
        ask(Retry(clock=clock)(engine.pair))
    assert min(clock.slept) >= 0.05
    assert 14.9 < clock.now() < 20.0
    assert engine.calls == len(clock.slept) + 1


@both
def test_refusals_without_a_deadline_are_attempts(ask: Ask) -> None:
    engine = CountingEngine(lambda _: refused(1.0))
    with pytest.raises(Refused):
        ask(Retry(3, clock=ManualClock())(engine.pair))
    assert engine.calls == 3


@both
def test_one_attempt_waits_for_no_refusal(ask: Ask) -> None:
    engine, clock = CountingEngine(lambda _: refused(1.0)), ManualClock()
    with within(20.0, clock), pytest.raises(Refused):
        ask(Retry(1, clock=clock)(engine.pair))
    assert (engine.calls, clock.slept) == (1, [])


@pytest.mark.parametrize(("size", "rounds"), [(1, 3), (2, 5), (3, 7)])
def test_a_round_of_which_one_alone_was_asked_is_its_share_of_an_attempt(
    size: int, rounds: int
) -> None:
    """Never more requests than three full rounds would have been."""
    failures = [("a", lm15.ServerError("down"))] + [("b", refused(1.0))] * (size - 1)
    engine, clock = CountingEngine(lambda _: none_answered(failures)), ManualClock()
    with within(600.0, clock), pytest.raises(NoneAnswered):
        sync(Retry(3, clock=clock)(engine.pair))
    assert engine.calls == rounds <= 3 * size


def test_an_answer_that_cannot_be_read_is_asked_for_again() -> None:
    pair, engine, _ = retrying([lm15.ProviderError("not JSON"), "yes"])
    assert sync(pair).text == "yes"
    assert engine.calls == 2


class TestRetryAsALayer(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Retry()


def test_one_attempt_is_no_retry() -> None:
    pair, engine, _ = retrying([lm15.ServerError("down")], attempts=1)
    with pytest.raises(dspy.LMServerError):
        sync(pair)
    assert engine.calls == 1


def test_streams_give_the_answer_that_came_in_the_end() -> None:
    pair, _, _ = retrying([lm15.ServerError("down"), "yes", lm15.ServerError("down"), "no"])

    async def events() -> list[Any]:
        return [event async for event in pair.asynchronous.stream(HI)]

    assert [e.type for e in pair.sync.stream(HI)] == [e.type for e in asyncio.run(events())]


def test_the_clock_is_the_systems_unless_told() -> None:
    assert Retry().clock is SYSTEM_CLOCK


@both
@pytest.mark.parametrize(("took", "hint"), [(0.05, None), (45.0, None), (45.0, 2)])
def test_the_time_that_an_attempt_took_is_part_of_the_wait_after_it(
    ask: Ask, took: float, hint: int | None
) -> None:
    """Who waited 45 s for nothing waits no longer, unless the provider says so."""
    clock, drawn = ManualClock(), Retry(rng=random.Random(1)).wait(1)
    error = lm15.TransportError("reset") if hint is None else lm15.RateLimitError("", retry_after=2)
    replies: list[Any] = [error, "yes"]

    def reply(_: Any) -> Any:
        clock.advance(took)
        return replies.pop(0)

    pair = Retry(clock=clock, rng=random.Random(1))(CountingEngine(reply).pair)
    assert ask(pair).text == "yes"
    assert clock.slept == [pytest.approx(max(0.0, drawn - took) if hint is None else 2.0)]
