"""The budget: nothing is sent for which there is no room, whoever asks beside whom."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.clock import ManualClock
from compilm.engine import EnginePair, Layer, stack
from compilm.errors import BudgetExceeded, ConfigError
from compilm.prices import Price
from compilm.programs.models import role_lm
from compilm.runtime.caches import MemoryStore
from compilm.runtime.layers.billing import tenant
from compilm.runtime.layers.budget import Budget, PerCall
from compilm.runtime.layers.cache import Cache
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.purse import Limits, Purse, nano
from compilm.runtime.layers.retry import Retry
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask])
MINI = "openai/gpt-5-mini"
PRICE = Price(input=1.0, output=10.0)


class TestBudget(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        limits = Limits(calls_per_day=10**9, tokens_per_day=10**12, usd_per_day=1e6)
        return Budget(Purse(limits, Limits(usd_per_day=1e6)), MINI, PRICE)


class TestPerCall(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return PerCall()


def budgeted(engine: CountingEngine, clock: ManualClock | None = None, **limits: Any) -> Any:
    purse = Purse(Limits(**limits))
    clock = clock or ManualClock()
    return Budget(purse, MINI, PRICE, clock)(engine.pair), purse


class Billing(CountingEngine):
    """Bills each call as many tokens as its request says: in, then out."""

    def answer(self, asked: lm15.Request) -> lm15.Response:
        sent, got = map(int, asked.messages[-1].text.split()[:2])
        usage = lm15.Usage(input_tokens=sent, output_tokens=got)
        return replace(super().answer(asked), usage=usage)


@both
def test_what_does_not_fit_is_not_sent(how: Any) -> None:
    engine = CountingEngine()
    pair, purse = budgeted(engine, calls_per_day=2)
    how(pair, request())
    how(pair, request())
    with pytest.raises(BudgetExceeded, match="budget of 2 calls a day is used up"):
        how(pair, request())
    assert (engine.calls, purse.spent(0.0).calls) == (2, 2)


@both
def test_a_new_day_begins_at_midnight(how: Any) -> None:
    clock, engine = ManualClock(start=86_400.0 * 20 - 3600.0), CountingEngine()
    pair, _ = budgeted(engine, clock, calls_per_day=1)
    how(pair, request())
    with pytest.raises(BudgetExceeded, match=r"a new day begins in 1\.0 h") as refused:
        how(pair, request())
    assert refused.value.retry_after == 3600.0
    clock.advance(3600.0)
    how(pair, request())
    assert engine.calls == 2


def test_what_calls_in_flight_hold_is_free_again_soon() -> None:
    purse = Purse(Limits(tokens_per_day=1000), Limits(tokens_per_day=900))
    budget = Budget(purse, MINI, clock=ManualClock())
    for who in ("", "acme"):
        with tenant(who):
            flying = budget.enter(request(max_tokens=700))
            with pytest.raises(BudgetExceeded, match="calls in flight hold the rest") as refused:
                budget.enter(request(max_tokens=400))
            assert refused.value.retry_after == 1.0
            budget.leave(flying, CountingEngine().answer(request()), None)
            budget.leave(budget.enter(request(max_tokens=400)), None, lm15.ServerError("down"))
    with pytest.raises(BudgetExceeded, match="a new day begins"):
        budget.enter(request(max_tokens=2000))


def test_what_is_in_flight_over_midnight_counts_for_its_own_day() -> None:
    purse = Purse(Limits(tokens_per_day=100))
    clock = ManualClock(start=86_399.0)
    size = Budget(purse, MINI, clock=clock)
    before = size.enter(request(max_tokens=10))
    clock.advance(2.0)
    assert purse.spent(clock.wall()).tokens == 0
    size.leave(before, CountingEngine().answer(request()), None)
    assert purse.spent(clock.wall()).tokens == 0


@both
def test_a_hit_costs_nothing_and_is_given_when_nothing_is_left(how: Any) -> None:
    engine = CountingEngine()
    pair, _ = budgeted(engine, calls_per_day=1)
    cached = Cache(MemoryStore())(pair)
    for _ in range(5):
        assert how(cached, request("again")).text == "again"
    assert engine.calls == 1


@both
def test_each_attempt_is_reserved_by_itself(how: Any) -> None:
    engine = CountingEngine(lambda _: lm15.ServerError("down"))
    pair, purse = budgeted(engine, calls_per_day=3)
    with pytest.raises(BudgetExceeded):
        how(Retry(attempts=9, clock=ManualClock())(pair), request())
    assert (engine.calls, purse.spent(0.0).calls) == (3, 3)


def test_no_other_provider_is_asked_where_the_budget_says_no() -> None:
    first, second = CountingEngine(), CountingEngine()
    purse = Purse(Limits(calls_per_day=0))
    chain = Fallback([Target("second", Budget(purse, "openai/gpt-5")(second.pair))])
    with pytest.raises(BudgetExceeded):
        ask(stack(first.pair, chain, Budget(purse, MINI)), request())
    assert (first.calls, second.calls) == (0, 0)


def test_a_failure_counts_as_a_call_and_what_may_be_billed_as_reserved() -> None:
    for error, tokens in ((lm15.ServerError("down"), 0), (lm15.TimeoutError("late"), 1000)):
        engine = CountingEngine(lambda _, error=error: error)
        pair, purse = budgeted(engine, tokens_per_day=10**6)
        with pytest.raises(type(error)):
            ask(pair, request(max_tokens=1000))
        assert purse.spent(0.0).calls == 1
        assert purse.spent(0.0).tokens == pytest.approx(tokens, abs=30)


def test_a_cancelled_call_gives_back_its_place_and_counts() -> None:
    async def cancelled() -> Any:
        engine = CountingEngine()
        engine.gate = asyncio.Event()
        pair, purse = budgeted(engine, calls_per_day=2)
        task = asyncio.ensure_future(pair.asynchronous.complete(request()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        engine.gate = None
        await pair.asynchronous.complete(request())
        return purse.spent(0.0).calls

    assert asyncio.run(cancelled()) == 2


def test_the_attempts_of_one_call_add_up_and_the_next_call_begins_anew() -> None:
    script = iter([lm15.TimeoutError("late"), lm15.TimeoutError("late"), "yes"])
    engine = CountingEngine(lambda _: next(script))
    purse = Purse(Limits(tokens_per_call=250))
    clock = ManualClock()
    pair = stack(engine.pair, PerCall(), Retry(clock=clock), Budget(purse, MINI, clock=clock))
    with pytest.raises(BudgetExceeded, match="more than its budget of 250 tokens a call") as found:
        ask(pair, request(max_tokens=80))
    assert (engine.calls, found.value.retry_after) == (2, None)
    assert ask(pair, request(max_tokens=80)).text == "yes"


def test_what_a_reader_of_a_stream_asks_meanwhile_is_another_call() -> None:
    engine, purse = CountingEngine(), Purse(Limits(tokens_per_call=150))
    pair = stack(engine.pair, PerCall(), Budget(purse, MINI))
    for _ in pair.sync.stream(request(max_tokens=100)):
        ask(pair, request(max_tokens=100))

    async def asynchronously() -> None:
        async for _ in pair.asynchronous.stream(request(max_tokens=100)):
            await pair.asynchronous.complete(request(max_tokens=100))

    asyncio.run(asynchronously())
    assert purse.spent(0.0).calls == engine.calls > 4


def test_a_tenant_has_limits_of_its_own() -> None:
    engine, clock = CountingEngine(), ManualClock()
    purse = Purse(Limits(calls_per_day=3), Limits(calls_per_day=1))
    pair = Budget(purse, MINI, clock=clock)(engine.pair)
    with tenant("acme"):
        ask(pair, request())
        with pytest.raises(BudgetExceeded, match="budget of 1 calls a day of tenant 'acme'"):
            ask(pair, request())
    with tenant("other"):
        ask(pair, request())
    ask(pair, request())
    with tenant("third"), pytest.raises(BudgetExceeded, match="of 3 calls a day is used up"):
        ask(pair, request())
    assert purse.spent(0.0, "acme").calls == 1


def test_money_without_a_price_is_refused_when_the_layer_is_made() -> None:
    purse = Purse(Limits(usd_per_day=1.0))
    with pytest.raises(ConfigError, match="'openai/unheard-of' is not known"):
        Budget(purse, "openai/unheard-of")
    Budget(Purse(Limits(tokens_per_day=1)), "openai/unheard-of")


def test_tools_with_fees_are_refused_under_a_budget_in_money() -> None:
    searching = replace(request(), tools=(lm15.BuiltinTool("web_search"),))
    engine = CountingEngine()
    pair, _ = budgeted(engine, usd_per_day=100.0)
    with pytest.raises(BudgetExceeded, match="give a budget in tokens"):
        ask(pair, searching)
    free, _ = budgeted(engine, tokens_per_day=10**6)
    ask(free, searching)
    assert engine.calls == 1


def test_dspy_tells_it_with_ours_as_the_cause() -> None:
    pair, _ = budgeted(CountingEngine(), calls_per_day=0)
    lm = role_lm(pair, scripted_lm(["x"]))
    with dspy.context(lm=lm), pytest.raises(dspy.LMBillingError) as told:
        dspy.Predict("question -> answer")(question="2+2?")
    assert isinstance(told.value.__cause__, BudgetExceeded)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), True, "5"])
def test_a_limit_that_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="usd_per_day"):
        Limits(usd_per_day=wrong)
    with pytest.raises(ConfigError, match="no limit 'usd_per_week'"):
        Limits.of({"usd_per_week": 1.0})
    with pytest.raises(ConfigError, match="per day"):
        Purse(Limits(), Limits(usd_per_call=1.0))


CALLS = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 300)), min_size=1, max_size=60)


def within_expectation(sent: int, got: int) -> lm15.Request:
    """A request that bills so much, which is no more than is expected of it."""
    words = f"{sent} {got} "
    return request(words + "x" * max(0, 3 * sent - len(words)), max_tokens=max(got, 1))


@settings(max_examples=25, deadline=None)
@given(CALLS, st.integers(0, 6000), st.integers(0, 20), st.floats(0, 0.03), st.booleans())
def test_no_limit_is_ever_crossed(
    calls: list[tuple[int, int]], tokens: int, count: int, usd: float, tasks: bool
) -> None:
    engine = Billing()
    pair, purse = budgeted(engine, calls_per_day=count, tokens_per_day=tokens, usd_per_day=usd)
    asked = [within_expectation(sent, got) for sent, got in calls]
    answered = together(pair, asked, tasks)
    spent = purse.spent(0.0)
    assert spent.calls == engine.calls == answered <= count
    assert spent.tokens <= tokens
    assert spent.nanousd <= nano(usd)


def together(pair: EnginePair, asked: list[lm15.Request], tasks: bool) -> int:
    """How many were answered when all were asked side by side; the others were refused."""

    async def gathered() -> list[Any]:
        calls = [pair.asynchronous.complete(one) for one in asked]
        return await asyncio.gather(*calls, return_exceptions=True)

    def threaded() -> list[Any]:
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(ask, pair, one) for one in asked]
            return [call.exception() or call.result() for call in calls]

    found = asyncio.run(gathered()) if tasks else threaded()
    assert all(isinstance(one, (lm15.Response, BudgetExceeded)) for one in found)
    return sum(isinstance(one, lm15.Response) for one in found)


@settings(max_examples=25, deadline=None)
@given(CALLS, st.integers(1, 3000), st.integers(1, 200))
def test_a_limit_is_crossed_by_no_more_than_is_billed_beyond_what_was_expected(
    calls: list[tuple[int, int]], tokens: int, beyond: int
) -> None:
    engine = Billing()
    pair, purse = budgeted(engine, tokens_per_day=tokens)
    asked = [within_expectation(sent, got) for sent, got in calls]
    more = [
        replace(
            one, messages=(lm15.Message.user(f"{sent} {got + beyond} " + one.messages[0].text),)
        )
        for one, (sent, got) in zip(asked, calls, strict=True)
    ]
    for one in more:
        before = purse.spent(0.0).tokens
        if together(pair, [one], tasks=False):
            assert before <= tokens
    assert purse.spent(0.0).tokens <= tokens + beyond


def test_hammered_from_32_threads_it_holds() -> None:
    engine = CountingEngine()
    pair, purse = budgeted(engine, calls_per_day=500, tokens_per_day=10**9)
    answered = together_many(pair, 1600)
    assert (answered, engine.calls, purse.spent(0.0).calls) == (500, 500, 500)
    assert purse.spent(0.0).tokens == 500 * 15


def together_many(pair: EnginePair, count: int) -> int:
    def one(number: int) -> bool:
        try:
            ask(pair, request(str(number)))
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(32) as pool:
        return sum(pool.map(one, range(count)))


def test_it_learns_how_large_calls_are() -> None:
    purse, asked = Purse(Limits(tokens_per_day=10**6)), request("a" * 300)
    budget = Budget(purse, MINI)
    plain = budget.size.expected(asked).plain
    ask(budget(Billing().pair), request(f"{2 * plain} 3000 " + "a" * 290))
    assert budget.size.expected(asked).prompt >= 1.8 * plain
    assert budget.size.expected(asked).answer == 3000
