"""DSPy's optimizers, driven: never over budget, never paid twice, never worse, all of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.optimizers import worlds

from compilm.journal import MemoryJournal
from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job

from . import minds
from .driving import (
    EVERY,
    GREEDY,
    ROLLOUTS,
    answered,
    bodies,
    driven,
    reply_for,
    undisturbed,
)

# Each place costs a compile, and every run of the tests draws others.
PLACES = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("name", EVERY)
def test_each_runs_to_its_end_and_its_result_is_held_out(name: str) -> None:
    seen = undisturbed(name)
    result = seen.result
    assert result.stop == f"dspy.{name} came to its end"
    assert result.artifact.content["search"]["optimizer"] == f"dspy.{name}"
    kinds = {record.kind for record in seen.records}
    assert {"candidate", "decision", "confirmed", "run.finished"} <= kinds
    assert result.held_out is not None
    assert result.held_out.n == 20


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=2, deadline=None)
@given(place=PLACES)
def test_a_run_cut_at_any_record_goes_on_to_the_same_end_and_pays_nothing_twice(
    name: str, place: float
) -> None:
    records = undisturbed(name).records
    kept = records[: int(place * len(records))]
    journal = MemoryJournal()
    for record in kept:
        journal.append(record)
    lm = minds.lm(reply_for(name))
    result = compile_job(driven(name, journal=journal, lm=lm))
    again = answered(list(journal.read()))
    assert set(again.values()) == {1}
    assert worlds.engine_of(lm).calls == len(again) - len(answered(kept))
    assert result.artifact.digest == undisturbed(name).result.artifact.digest
    assert len(again) == len(answered(records))
    made = [record for record in journal.read() if record.kind == "rollout"]
    assert len(made) == sum(record.kind == "rollout" for record in records)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=2, deadline=None)
@given(limit=st.integers(0, ROLLOUTS))
def test_a_budget_of_calls_is_never_exceeded(name: str, limit: int) -> None:
    lm = minds.lm(reply_for(name))
    result = compile_job(driven(name, lm=lm, budget=Budget(calls=limit), concurrency=8))
    assert worlds.engine_of(lm).calls == result.spent.calls <= limit
    assert result.verdict in {"proven", "likely", "unproven"}


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=2, deadline=None)
@given(limit=st.integers(0, ROLLOUTS + 40))
def test_a_budget_of_rollouts_is_never_exceeded(name: str, limit: int) -> None:
    job = driven(name, budget=Budget(rollouts=limit), concurrency=8)
    result = compile_job(job)
    assert len(bodies(job, "rollout")) == result.spent.rollouts <= limit


@pytest.mark.parametrize("name", GREEDY)
def test_one_that_the_budget_stops_in_the_middle_gives_its_best_so_far(name: str) -> None:
    result = undisturbed(name, greedy=True).result
    assert result.stop == f"budget: {ROLLOUTS} rollouts"
    assert result.finished
    assert result.candidate != "c0"
    assert result.gain.value > 0


@pytest.mark.parametrize("name", GREEDY)
@settings(max_examples=2, deadline=None)
@given(place=PLACES)
def test_a_run_that_the_budget_stops_can_be_cut_too(name: str, place: float) -> None:
    records = undisturbed(name, greedy=True).records
    kept = records[: int(place * len(records))]
    journal = MemoryJournal()
    for record in kept:
        journal.append(record)
    result = compile_job(driven(name, journal=journal, options=GREEDY[name]))
    assert set(answered(list(journal.read())).values()) == {1}
    assert result.artifact.digest == undisturbed(name, greedy=True).result.artifact.digest
    assert result.spent.rollouts <= ROLLOUTS
