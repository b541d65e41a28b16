"""The meter plans from what was looked at, in every dimension of the budget."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.clock import ManualClock
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import Answer, Answers
from compilm.optimizers.ledger import Ledger
from compilm.optimizers.meter import Meter


def meter(budget: Budget, *, usd: float | None = 0.01, seconds: float = 0.0) -> Meter:
    clock, answers = ManualClock(), Answers()
    for key in "abcdef":
        answers.learn(key, Answer({}, 60, 40, usd))
    made = Meter(budget, answers, Ledger(budget, clock))
    clock.advance(seconds)
    return made


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (Budget(), 10**9),
        (Budget(rollouts=12), 10),
        (Budget(rollouts=1), 0),
        (Budget(calls=12), 4),  # of 2 calls each
        (Budget(calls=2), 0),
        (Budget(tokens=1600), 4),  # of 200 tokens and a margin, and 300 for the last call
        (Budget(tokens=1570), 3),
        (Budget(tokens=100), 0),
        (Budget(usd=0.301), 10),  # of 2 cents and a margin, and three for the last call
        (Budget(usd=0.29), 9),
        (Budget(usd=0.01), 0),
        (Budget(seconds=13.0), 1),  # of 5 seconds and a margin
        (Budget(rollouts=12, calls=12, tokens=1600), 4),
    ],
)
def test_every_ceiling_allows_so_many_more_rollouts(budget: Budget, left: int) -> None:
    made = meter(budget, seconds=0.0)
    made.rollout(["a", "b"], 0)
    made.rollout(["c", "d"], 0)
    made._ledger._clock.advance(6.5 if budget.seconds else 0.0)  # type: ignore[attr-defined]
    assert made.allows(1) == left


def test_what_a_rollout_is_said_to_take_counts_where_it_is_more() -> None:
    for budget, each in ((Budget(tokens=1600), (500.0, 0.0)), (Budget(usd=0.301), (0.0, 0.1))):
        made = meter(budget)
        made.rollout(["a", "b"], 0)
        made.rollout(["c", "d"], 0)
        assert made.allows(1, final=True, each=each) < made.allows(1, final=True)
        assert made.allows(1, each=(1.0, 0.001)) == made.allows(1)


def test_only_calls_of_rollouts_say_what_the_last_call_may_take() -> None:
    answers = Answers()
    answers.learn("rollout", Answer({}, 60, 40, 0.01))
    answers.learn("proposal", Answer({}, 600, 400, 0.1))
    made = Meter(Budget(usd=1.0), answers, Ledger(Budget(usd=1.0), ManualClock()))
    made.rollout(["rollout"], 0)
    made.calls(["proposal"])
    assert made.allows(1) == int((1 - 0.11 - 0.03) / (1.1 * 0.11))


@pytest.mark.parametrize(
    ("budget", "counted"),
    [(Budget(tokens=9), True), (Budget(usd=1.0), True), (Budget(calls=9, rollouts=9), False)],
)
def test_the_size_of_calls_matters_to_budgets_in_tokens_and_dollars(
    budget: Budget, counted: bool
) -> None:
    assert meter(budget).counts_size is counted


def test_before_anything_was_seen_only_counts_limit() -> None:
    assert meter(Budget(tokens=5, usd=0.1, seconds=9)).allows(1) == 10**9
    assert meter(Budget(calls=10)).allows(3) == 3


def test_time_that_does_not_pass_limits_nothing() -> None:
    made = meter(Budget(seconds=5))
    made.rollout(["a"], 0)
    assert made.allows(1) == 10**9


def test_what_is_kept_for_the_end_is_only_for_the_end() -> None:
    made = meter(Budget(rollouts=50))
    made.kept = 20
    assert (made.allows(1), made.allows(1, final=True)) == (30, 50)


def test_a_call_counts_once_in_a_run() -> None:
    made = meter(Budget())
    made.rollout(["a", "b"], 0)
    made.rollout(["b", "a"], 0)
    spent = made.spent()
    assert (spent.rollouts, spent.calls, spent.tokens, spent.usd) == (2, 2, 200, 0.02)


def test_calls_without_an_answer_are_not_counted() -> None:
    made = meter(Budget())
    made.calls(["never answered"])
    assert made.spent().calls == 0


def test_unmanaged_calls_count_and_one_unknown_price_makes_all_unknown() -> None:
    made = meter(Budget(calls=10, usd=1.0), usd=None)
    made.rollout(["a"], 2)
    made.calls(["b"])
    assert (made.spent().calls, made.spent().usd) == (4, None)
    assert made.allows(1) == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), max_size=8), st.randoms())
def test_what_was_used_does_not_depend_on_the_order(
    rollouts: list[list[str]], order: object
) -> None:
    one, two = meter(Budget()), meter(Budget())
    for keys in rollouts:
        one.rollout(keys, 0)
    shuffled = list(rollouts)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for keys in shuffled:
        two.rollout(keys, 0)
    assert one.spent() == two.spent()
    assert one.allows(1) == two.allows(1)
