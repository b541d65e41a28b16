"""A plan spends nothing, stays under the budget, and says what it does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.optimizers.budget import Budget
from compilm.optimizers.plan import Plan, plan_job
from compilm.optimizers.power import power_of
from compilm.runtime.embedded import embedded_lm

from . import worlds

SIZES = st.integers(1, 60)
LIMIT = st.none() | st.integers(0, 2000)


@pytest.fixture(autouse=True)
def no_price_list_from_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")


def priced(**settings: Any) -> Plan:
    job = replace(worlds.job(**settings), roles={"default": dspy.LM("openai/gpt-4o-mini")})
    return plan_job(job)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([0, 1, 2]), SIZES, SIZES, SIZES, LIMIT, LIMIT, LIMIT)
def test_every_range_is_one_and_lies_under_the_budget(
    level: int, train: int, val: int, test: int, a: int | None, b: int | None, c: int | None
) -> None:
    budget = Budget(rollouts=a, calls=b, tokens=c)
    found = plan_job(worlds.job(level=level, sizes=(train, val, test), budget=budget))
    for name in ("rollouts", "calls", "tokens", "seconds"):
        low, high = getattr(found, name)
        limit = getattr(budget, name)
        assert 0 <= low <= high
        assert limit is None or high <= limit


def test_a_plan_spends_nothing() -> None:
    job = worlds.job(level=2)
    plan_job(job)
    assert worlds.engine_of(job.roles["default"]).calls == 0
    assert list(job.journal.read()) == []


def test_level_0_is_one_pass_over_val_and_test() -> None:
    found = plan_job(worlds.job(level=0))
    assert found.rollouts == (100, 160)


def test_a_known_price_is_told_and_capped() -> None:
    free, capped = priced(), priced(budget=Budget(usd=0.001))
    assert free.usd is not None
    assert free.usd.high > free.usd.low > 0.001
    assert capped.usd == (0.001, 0.001)
    assert "money     $" in str(free)


def test_an_unknown_price_is_said_and_never_0() -> None:
    found = plan_job(worlds.job())
    assert found.usd is None
    assert "money     price unknown" in str(found)
    assert found.to_json()["usd"] is None


def test_time_is_capped_and_remote_models_work_side_by_side() -> None:
    assert plan_job(worlds.job(budget=Budget(seconds=5))).seconds.high <= 5
    one, ten = (plan_job(worlds.job(concurrency=n)).seconds for n in (1, 10))
    assert one.high == pytest.approx(10 * ten.high)
    assert "min" in str(plan_job(worlds.job(concurrency=1, budget=Budget())))


def test_the_embedded_engine_costs_nothing_and_is_named() -> None:
    job = replace(worlds.job(), roles={"default": embedded_lm("embedded/base")})
    found = plan_job(job)
    assert found.usd == (0.0, 0.0)
    assert found.note == "embedded, not a language model"
    assert str(found).endswith(found.note)


def test_without_held_out_examples_nothing_can_be_proven() -> None:
    job = worlds.job()
    found = plan_job(replace(job, test=job.test[:0]))
    assert (found.minimum_detectable, found.held_out) == (1.0, 0)


def test_more_held_out_examples_prove_smaller_gains() -> None:
    small, large = (plan_job(worlds.job(sizes=(10, 10, n))) for n in (20, 60))
    assert large.minimum_detectable < small.minimum_detectable
    assert large.to_json()["rollouts"] == {
        "low": large.rollouts.low,
        "high": large.rollouts.high,
    }


@pytest.mark.parametrize("budget", [Budget(rollouts=80), Budget(calls=80)])
def test_only_held_out_examples_that_the_budget_allows_are_counted_as_proof(budget: Budget) -> None:
    large = plan_job(worlds.job(sizes=(10, 10, 1000)))
    found = plan_job(worlds.job(sizes=(10, 10, 1000), budget=budget))
    assert found.held_out == 80 // (
        4 * (1 if budget.calls is None else len(worlds.job().predictors))
    )
    assert found.minimum_detectable > large.minimum_detectable


def test_the_plan_tells_what_is_proven_and_what_ships() -> None:
    found = plan_job(worlds.job(sizes=(10, 10, 300), budget=Budget(rollouts=2000)))
    assert found.power == power_of(0.05, 300)
    assert found.to_json()["power"] == found.power._asdict()
    assert "prove a true gain of 0.099 in 80 % or more, of 0.050 in 18% (and ship it in 59%)" in (
        str(found)
    )


def test_too_few_held_out_examples_are_told() -> None:
    found = plan_job(worlds.job(sizes=(10, 10, 9)))
    assert found.power == (0.0, power_of(0.05, 9).shipped)
    assert "9 held-out examples are too few to prove a gain" in str(found)


def test_examples_of_one_group_may_count_as_one() -> None:
    job = worlds.job(sizes=(10, 10, 40))
    groups = tuple(str(n // 2) for n in range(40))
    found = plan_job(replace(job, test=replace(job.test, groups=groups)))
    assert found.power.proven == pytest.approx(power_of(0.05, 20).proven, abs=0.001)
    assert found.minimum_detectable > plan_job(job).minimum_detectable
