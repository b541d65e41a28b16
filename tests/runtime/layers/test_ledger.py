"""The ledger: every call and attempt is counted once, whoever pays, and unknown prices are said."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.clock import ManualClock
from compilm.engine import EnginePair, Layer, stack
from compilm.prices import Prices
from compilm.programs.calling import named
from compilm.programs.models import role_lm
from compilm.runtime.caches import MemoryStore
from compilm.runtime.layers.billing import tenant
from compilm.runtime.layers.book import Book, Entry
from compilm.runtime.layers.cache import Cache
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.ledger import Ledger, billed
from compilm.runtime.layers.retry import Retry
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

both = pytest.mark.parametrize("how", [ask, aask])
MINI, HAIKU = "openai/gpt-5-mini", "anthropic/claude-haiku-4-5"
CALL = (10 * 0.25 + 5 * 2.0) / 1e6  # dollars of one answer of the counting engine by MINI


class TestCalls(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Ledger().calls("default", [MINI])


class TestAttempts(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Ledger().attempts("default", MINI)


def counted(ledger: Ledger, engine: EnginePair, *between: Layer, model: str = MINI) -> EnginePair:
    return stack(engine, ledger.calls("default", [model]), *between, ledger.attempts("d", model))


@both
def test_a_call_is_counted_with_what_it_used(how: Any) -> None:
    ledger = Ledger()
    pair = counted(ledger, CountingEngine().pair)
    for _ in range(3):
        how(pair, request())
    total = ledger.book().total
    assert (total.calls, total.attempts, total.failures, total.errors) == (3, 3, 0, 0)
    assert (total.input, total.output, total.tokens) == (30, 15, 45)
    assert total.usd == pytest.approx(3 * CALL)


def test_an_unknown_price_is_said_and_never_0() -> None:
    ledger = Ledger()
    pair = counted(ledger, CountingEngine().pair, model="openai/unheard-of")
    ask(pair, request())
    ask(counted(ledger, CountingEngine().pair), request())
    total = ledger.book().total
    assert (total.usd, total.unpriced, total.known_usd) == (None, 1, pytest.approx(CALL))
    assert total.to_json()["usd"] is None
    assert "without a price: 1" in str(ledger.book())


def test_the_embedded_engine_is_free() -> None:
    ledger = Ledger()
    ask(counted(ledger, CountingEngine().pair, model="embedded/base"), request())
    assert (ledger.book().total.usd, ledger.book().total.tokens) == (0.0, 15)


@both
def test_each_attempt_of_a_call_is_counted(how: Any) -> None:
    ledger, clock = Ledger(), ManualClock()
    script = iter([lm15.ServerError("down"), lm15.TimeoutError("late"), "yes"])
    engine = CountingEngine(lambda _: next(script))
    how(counted(ledger, engine.pair, Retry(clock=clock)), request())
    total = ledger.book().total
    assert (total.calls, total.failures) == (1, 0)
    assert (total.attempts, total.errors, total.lost) == (3, 2, 1)  # 503 is not billed
    assert total.usd == pytest.approx(CALL)
    assert "may be billed: 1" in total.money


def test_an_answer_that_a_chain_refuses_was_paid_for() -> None:
    ledger = Ledger()
    first, second = CountingEngine(lambda _: "no"), CountingEngine(lambda _: "yes")
    other = ledger.attempts("d", HAIKU)(second.pair)
    chain = Fallback([Target("second", other)], accept=lambda answer: answer.text == "yes")
    pair = counted(ledger, first.pair, chain)
    assert ask(pair, request()).text == "yes"
    models = {entry.model: entry for entry in ledger.book().by("model")}
    assert (models[MINI].attempts, models[HAIKU].attempts) == (1, 1)
    assert models[MINI].usd == pytest.approx(CALL)
    assert ledger.book().total.calls == 1


def test_who_loses_a_race_is_counted_as_lost() -> None:
    async def race() -> Entry:
        ledger, slow, clock = Ledger(), CountingEngine(), ManualClock()
        slow.gate = asyncio.Event()
        second = Target("second", ledger.attempts("d", HAIKU)(CountingEngine().pair))
        pair = counted(ledger, slow.pair, Fallback([second], hedge=1.0, clock=clock))
        call = asyncio.ensure_future(pair.asynchronous.complete(request()))
        while not clock.waiting:
            await asyncio.sleep(0)
        clock.advance(1.0)
        await call
        return ledger.book().total

    total = asyncio.run(race())
    assert (total.attempts, total.errors, total.lost, total.calls) == (2, 1, 1, 1)


@both
def test_a_hit_costs_nothing_and_tells_what_it_spared(how: Any) -> None:
    ledger = Ledger()
    pair = counted(ledger, CountingEngine().pair, Cache(MemoryStore()))
    for _ in range(5):
        how(pair, request())
    total = ledger.book().total
    assert (total.calls, total.hits, total.attempts) == (5, 4, 1)
    assert total.usd == pytest.approx(CALL)
    assert total.spared_usd == pytest.approx(4 * CALL)


def test_a_streamed_hit_is_one_too() -> None:
    ledger = Ledger()
    pair = counted(ledger, CountingEngine().pair, Cache(MemoryStore()))
    for _ in range(2):
        list(pair.sync.stream(request()))
    assert (ledger.book().total.hits, ledger.book().total.attempts) == (1, 1)


def test_what_the_cache_of_a_provider_spared_is_told() -> None:
    usage = lm15.Usage(input_tokens=1_000, output_tokens=0, cache_read_tokens=9_000)
    engine = CountingEngine()
    plain = engine.answer
    engine.answer = lambda asked: replace(plain(asked), usage=usage)  # type: ignore[method-assign]
    ledger = Ledger()
    ask(counted(ledger, engine.pair, model=HAIKU), request())
    total = ledger.book().total
    assert (total.input, total.cached) == (1_000, 9_000)
    assert total.usd == pytest.approx(0.001 + 0.0009)
    assert total.prompt_usd == pytest.approx(0.009 - 0.0009)


def test_time_is_that_of_the_call_with_all_its_attempts() -> None:
    clock = ManualClock()
    ledger = Ledger(clock=clock)

    def slowly(_: Any) -> str:
        clock.advance(2.0)
        return "yes"

    script = iter([lm15.ServerError("down"), "yes", "yes"])

    def once_more(asked: Any) -> Any:
        slowly(asked)
        return next(script)

    again = Retry(clock=clock, base=0.0)
    pair = counted(ledger, CountingEngine(once_more).pair, again)
    ask(pair, request())
    ask(pair, request())
    total = ledger.book().total
    assert (total.seconds, total.longest, total.provider_seconds) == (6.0, 4.0, 6.0)
    assert " 3.00 " in ledger.book().table("role")
    assert " 2.00 " in ledger.book().table("model")


def test_predictors_and_tenants_are_told_apart() -> None:
    ledger = Ledger()
    engine = CountingEngine(lambda _: "[[ ## b ## ]]\nyes\n\n[[ ## c ## ]]\nyes")
    lm = role_lm(counted(ledger, engine.pair), scripted_lm(["x"]))

    class Two(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = dspy.Predict("a -> b"), dspy.Predict("b -> c")

        def forward(self, a: str) -> Any:
            return self.second(b=self.first(a=a).b)

    program = Two()
    named(program)
    with dspy.context(lm=lm):
        for who in ("acme", "acme", "other"):
            with tenant(who):
                program(a="x")
    book = ledger.book()
    assert {e.predictor: e.calls for e in book.by("predictor")} == {"first": 3, "second": 3}
    assert {e.tenant: e.attempts for e in book.by("tenant")} == {"acme": 4, "other": 2}
    assert [e.attempts for e in book.by("model")] == [6]


def test_a_stream_that_is_left_is_lost_and_no_failure() -> None:
    ledger = Ledger()
    events = iter(counted(ledger, CountingEngine().pair).sync.stream(request()))
    next(events)
    events.close()  # type: ignore[attr-defined]
    total = ledger.book().total
    assert (total.calls, total.failures, total.attempts, total.lost) == (1, 0, 1, 1)


def test_nothing_is_lost_under_threads_and_tasks() -> None:
    ledger = Ledger()
    pair = counted(ledger, CountingEngine().pair)

    async def tasks() -> None:
        calls = [pair.asynchronous.complete(request(str(n))) for n in range(1000)]
        await asyncio.gather(*calls)

    with billed() as bill:
        asyncio.run(tasks())
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda n: ask(pair, request(str(n))), range(1600)))
    total = ledger.book().total
    assert (total.calls, total.attempts, total.tokens) == (2600, 2600, 2600 * 15)
    assert total.usd == pytest.approx(2600 * CALL)
    assert (bill.total.calls, bill.total.usd) == (1000, pytest.approx(1000 * CALL))


def test_bills_in_bills_hold_what_is_theirs() -> None:
    pair = counted(Ledger(), CountingEngine().pair)
    with billed() as outer:
        ask(pair, request())
        with billed() as inner:
            ask(pair, request())
    ask(pair, request())
    assert (outer.total.calls, inner.total.calls) == (2, 1)


def test_names_without_end_do_not_grow_it_without_end() -> None:
    ledger = Ledger(most=10)
    pair = counted(ledger, CountingEngine().pair)
    for number in range(50):
        with tenant(f"t{number}"):
            ask(pair, request())
    book = ledger.book()
    assert len(book.entries) <= 12
    assert book.total.calls == book.total.attempts == 50


def test_prices_can_be_replaced() -> None:
    ledger = Ledger(Prices({MINI: {"input": 1e6, "output": 0}}))
    ask(counted(ledger, CountingEngine().pair), request())
    assert ledger.book().total.usd == 10.0


def test_a_table_is_drawn_and_wrong_keys_are_refused() -> None:
    book = Book((Entry("judge", "check", calls=2, seconds=1.0), Entry("judge", "check", "m/x")))
    head, row, total = book.table("role", "predictor").splitlines()
    assert head.split()[:4] == ["role", "predictor", "calls", "hits"]
    assert row.split()[:3] == ["judge", "check", "2"]
    assert total.split()[:2] == ["total", "2"]
    with pytest.raises(ValueError, match="no entries by 'modle'"):
        book.by("modle")
