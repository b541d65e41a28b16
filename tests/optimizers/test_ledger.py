"""The ledger holds every ceiling, whatever happens side by side."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.clock import ManualClock
from compilm.errors import BudgetExceeded, RunStopped
from compilm.optimizers.budget import Budget, Spent
from compilm.optimizers.ledger import Ask, Ledger, running_loop


@given(st.integers(0, 60), st.integers(1, 8), st.lists(st.integers(0, 9), max_size=40))
def test_calls_never_exceed_the_budget_under_threads(
    limit: int, workers: int, plan: list[int]
) -> None:
    ledger = Ledger(Budget(calls=limit), ManualClock())
    made: list[int] = []

    def work(share: list[int]) -> None:
        for tokens in share:
            try:
                ledger.reserve(Ask(tokens))
            except RunStopped:
                return
            made.append(1)
            ledger.settle(Ask(tokens), tokens=tokens, usd=0.0)

    threads = [threading.Thread(target=work, args=(plan[i::workers],)) for i in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == ledger.spent().calls == min(limit, len(plan))


@given(st.integers(0, 500), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_tokens_never_exceed_the_budget_where_estimates_hold(
    limit: int, calls: list[tuple[int, int]]
) -> None:
    ledger = Ledger(Budget(tokens=limit), ManualClock())
    stops = []
    for estimate, slack in calls:
        try:
            ledger.reserve(Ask(estimate))
        except RunStopped as stop:
            stops.append(stop)
        else:
            ledger.settle(Ask(estimate), tokens=max(0, estimate - slack), usd=0.0)
    assert ledger.spent().tokens <= limit
    assert all(isinstance(stop.cause, BudgetExceeded) for stop in stops)


def test_a_reservation_waits_for_calls_in_flight_that_may_leave_room() -> None:
    ledger = Ledger(Budget(tokens=100), ManualClock())
    ledger.reserve(Ask(80))
    order: list[str] = []

    def second() -> None:
        ledger.reserve(Ask(60))
        order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    order.append("first")
    ledger.settle(Ask(80), tokens=10, usd=0.0)
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_time_is_a_ceiling_and_earlier_sessions_count() -> None:
    clock = ManualClock()
    ledger = Ledger(Budget(seconds=100), clock, before_s=60)
    ledger.reserve(Ask(1))
    clock.advance(40)
    with pytest.raises(RunStopped, match="100 seconds"):
        ledger.reserve(Ask(1))


@given(
    st.floats(0, 2),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 1)), max_size=30),
    st.integers(1, 8),
)
def test_money_never_exceeds_the_budget_where_asks_hold(
    limit: float, calls: list[tuple[float, float]], side_by_side: int
) -> None:
    ledger = Ledger(Budget(usd=limit), ManualClock())
    flying: list[tuple[Ask, float]] = []
    spent = 0.0
    for most, share in calls:
        ask = Ask(1, most)
        try:
            passed = ledger.reserve_now(ask)
        except RunStopped:
            break
        if passed:
            flying.append((ask, most * share))
        if flying and (not passed or len(flying) == side_by_side):
            landed, used = flying.pop(0)
            ledger.settle(landed, tokens=1, usd=used)
            spent += used
    assert spent + sum(used for _, used in flying) <= limit + 1e-9


def test_the_first_call_is_refused_where_it_may_cost_more_than_there_is() -> None:
    ledger = Ledger(Budget(usd=0.01), ManualClock())
    with pytest.raises(RunStopped, match=r"0.01 usd: 0.01 are left, and one call may take 0.02"):
        ledger.reserve(Ask(1, 0.02))


@pytest.mark.parametrize("budget", [Budget(tokens=1000), Budget(usd=10.0)])
def test_a_refusal_says_what_is_left_of_it_when_lost_calls_are_taken_off(budget: Budget) -> None:
    ledger = Ledger(budget, ManualClock())
    ledger.replay_lost(Ask(800, 8.0))
    with pytest.raises(RunStopped, match=r": 2(00)? are left, and one call may take 3(00)?"):
        ledger.reserve(Ask(300, 3.0))


def test_an_unknown_price_is_that_of_the_dearest_answer_yet() -> None:
    ledger = Ledger(Budget(usd=1.0), ManualClock())
    ledger.replay_lost(Ask(1))
    assert ledger.reserve_now(Ask(1, 0.1))
    assert not ledger.reserve_now(Ask(1))  # no answer yet
    ledger.settle(Ask(1, 0.1), tokens=1, usd=0.2)
    ledger.reserve(Ask(1))
    ledger.fail(Ask(1), took=Ask(1))
    assert ledger.spent().usd == 0.4
    assert ledger.reserve_now(Ask(1))
    assert not ledger.reserve_now(Ask(1, 0.3))  # 0.4 are spent, 0.2 lost and 0.2 in flight


def test_what_is_lost_before_any_price_is_known_ends_a_budget_in_money() -> None:
    ledger = Ledger(Budget(usd=1.0), ManualClock())
    with pytest.raises(RunStopped, match="price of a call is unknown"):
        for _ in range(20):
            ledger.reserve(Ask(1))
            ledger.fail(Ask(1), took=Ask(1))
    assert ledger.spent().calls == 9


def test_what_is_asked_for_is_worked_out_anew_after_a_wait() -> None:
    ledger, asks = Ledger(Budget(tokens=100), ManualClock()), iter([Ask(60), Ask(30)])
    ledger.reserve(Ask(80))
    settling = threading.Thread(target=lambda: ledger.settle(Ask(80), tokens=70, usd=0.0))

    def ask() -> Ask:
        found = next(asks)
        if found == Ask(60):
            settling.start()  # it waits for the ledger, which waits for it
        return found

    assert ledger.reserve(ask) == Ask(30)
    settling.join()


def test_where_a_price_is_unknown_nothing_more_goes() -> None:
    ledger = Ledger(Budget(usd=1.0), ManualClock())
    ledger.replay(tokens=1, usd=None)
    for _ in range(2):
        with pytest.raises(RunStopped, match="price of a call is unknown"):
            ledger.reserve(Ask(1, 0.1))
        ledger.resume()


def test_an_event_loop_never_waits_for_its_own_tasks() -> None:
    async def story() -> None:
        ledger = Ledger(Budget(tokens=100), ManualClock())
        assert ledger.reserve_now(Ask(9))  # of a thread, which may wait for a loop in its turn
        assert ledger.reserve_now(Ask(80, loop=running_loop()))
        with pytest.raises(RunStopped, match="100 tokens"):
            ledger.reserve(Ask(60))

    asyncio.run(story())


def test_an_event_loop_waits_for_calls_of_threads() -> None:
    async def story() -> None:
        ledger = Ledger(Budget(tokens=100), ManualClock())
        ledger.reserve(Ask(80))
        settling = threading.Thread(target=lambda: ledger.settle(Ask(80), tokens=9, usd=0.0))
        settling.start()
        ledger.reserve(Ask(60))
        settling.join()

    asyncio.run(story())


@pytest.mark.parametrize("budget", [Budget(tokens=100), Budget(usd=1.0)])
def test_what_was_lost_takes_what_was_reserved_for_it(budget: Budget) -> None:
    ledger = Ledger(budget, ManualClock())
    ledger.replay_lost(Ask(60, 0.6))
    assert ledger.reserve_now(Ask(40, 0.4))
    assert not ledger.reserve_now(Ask(1, 0.01))
    assert ledger.lost == 1


def test_a_price_that_is_unknown_ends_a_budget_in_money() -> None:
    ledger = Ledger(Budget(usd=1.0), ManualClock())
    ledger.reserve(Ask(1))
    ledger.settle(Ask(1), tokens=1, usd=None)
    with pytest.raises(RunStopped, match="price of a call is unknown"):
        ledger.reserve(Ask(1))
    assert ledger.spent() == Spent(calls=1, tokens=1, usd=None)


def test_lost_and_held_calls_count_and_released_ones_do_not() -> None:
    ledger = Ledger(Budget(calls=4), ManualClock())
    ledger.replay(tokens=5, usd=0.0)
    ledger.replay_lost(Ask(1))
    ledger.hold(1)
    ledger.reserve(Ask(1))
    ledger.release(Ask(1))
    ledger.reserve(Ask(1))
    with pytest.raises(RunStopped):
        ledger.reserve(Ask(1))
    ledger.hold(0)
    ledger.resume()
    ledger.reserve(Ask(1))
    assert (ledger.lost, ledger.spent().calls) == (1, 1)


def test_the_first_stop_stays() -> None:
    ledger = Ledger(Budget(), ManualClock())
    ledger.stop(RunStopped("first"))
    ledger.stop(RunStopped("second"))
    with pytest.raises(RunStopped, match="first"):
        ledger.reserve(Ask(1))
