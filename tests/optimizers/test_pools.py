"""Pools take in validation examples after the search, and none that a test example nearly is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest

from compilm.artifact import Nearest
from compilm.datasets import as_dataset
from compilm.guardrails import Redacted
from compilm.optimizers import pools, recipes
from compilm.optimizers.candidate import BASELINE, Candidate
from compilm.optimizers.compile import compile_job
from compilm.optimizers.front import Constraints
from compilm.optimizers.job import Job
from compilm.optimizers.pools import enlarged
from compilm.optimizers.propose import nearest
from compilm.optimizers.propose.merge import Merge
from compilm.optimizers.propose.nearest import NearestDemos
from compilm.optimizers.recipes import Recipe
from compilm.programs.predictors import applied
from compilm.views import tables
from compilm.views.story import read_story

from . import worlds


def winner(job: Job, *, size: int | None = None) -> Candidate:
    """A candidate whose only predictor has a pool of train examples, and one demo that stays."""
    (given,) = job.predictors
    pool = tuple(demo_of(example) for example in job.train[:size])
    state = replace(given, demos=pool[:1], nearest=Nearest(4, "words-v1", pool))
    return Candidate(7, (state,), move="nearest demos", parent="c0")


def demo_of(example: dspy.Example) -> dict[str, Any]:
    return {"text": example.text, "label": example.label}


def pool_of(candidate: Candidate) -> list[str]:
    (state,) = candidate.predictors
    assert state.nearest is not None
    return [demo["text"] for demo in state.nearest.pool]


def texts(data: Any) -> list[str]:
    return [example.text for example in data]


def test_validation_examples_go_into_the_pool_and_nothing_else_changes() -> None:
    job = worlds.job()
    best = winner(job)
    found = enlarged(best, job, 12)
    assert pool_of(found) == [*texts(job.train), *texts(job.val)]
    assert (found.id, found.parent, found.move) == ("c12", "c7", "larger pools")
    (before,), (after,) = best.predictors, found.predictors
    assert before.nearest is not None
    assert after == replace(before, nearest=replace(before.nearest, pool=after.nearest.pool))  # type: ignore[union-attr]


def test_what_a_test_example_nearly_is_stays_out() -> None:
    job = worlds.job()
    long = "the parcel that was sent to me on Monday came broken"
    twice = [
        dspy.Example(text=text, label="red").with_inputs("text") for text in (long, f"{long} ")
    ]
    val = [*twice, *job.val]
    test = [dspy.Example(text=f"{long} again", label="red").with_inputs("text"), *job.test]
    near = replace(job, val=as_dataset(val), test=as_dataset(test))
    assert pool_of(enlarged(winner(near), near, 12)) == [*texts(job.train), *texts(job.val)]


@pytest.mark.parametrize(
    "limits",
    [Constraints(tokens=100), Constraints(usd_per_1000=1), Constraints(show_val=False)],
)
def test_where_limits_bind_what_was_measured_is_offered(limits: Constraints) -> None:
    job = worlds.job(constraints=limits)
    best = winner(job)
    assert enlarged(best, job, 12) is best


def test_pools_that_the_search_did_not_make_of_labels_stay() -> None:
    job = worlds.job()
    best = winner(job)
    given = applied(job.program, best.by_path)
    assert enlarged(best, replace(job, program=given), 12) is best
    bare = [dspy.Example(text=example.text).with_inputs("text") for example in job.train]
    unlabeled = replace(job, train=as_dataset(bare))
    assert enlarged(best, unlabeled, 12) is best
    (state,) = best.predictors
    fixed = Candidate(7, (replace(state, nearest=None),))
    assert enlarged(fixed, job, 12) is fixed
    assert state.nearest is not None
    fewer = replace(state, nearest=replace(state.nearest, k=2))
    assert enlarged(Candidate(7, (fewer,)), replace(job, program=given), 12).id == "c7"
    known = replace(job, val=job.train)
    assert enlarged(best, known, 12) is best


def test_a_large_pool_is_thinned_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "LARGEST", 10)
    monkeypatch.setattr(pools, "LARGEST", 10)
    job = worlds.job()
    found = pool_of(enlarged(winner(job, size=10), job, 12))
    assert found == [*texts(job.train)[:10:2], *texts(job.val)[:40:8]]


def test_what_a_program_hides_is_hidden_in_its_pool() -> None:
    job = worlds.job()
    named = [dspy.Example(text="Ana Pratt called", label="red").with_inputs("text")]
    hiding = replace(job, program=Redacted(worlds.Sorter()), val=as_dataset(named))
    found = pool_of(enlarged(winner(hiding), hiding, 12))
    assert found[-1] == "[NAME_1] called"


def test_no_race_is_run_with_them_and_what_is_proven_is_what_is_shipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(recipes.LEVELS, 1, Recipe((NearestDemos(8),), (Merge(),), patience=0))
    job = worlds.job()
    result = compile_job(job)
    assert result.verdict in ("proven", "likely")
    records = list(job.journal.read(job.run))
    pooled = {
        record.body["id"]: record.body["predictors"]["sort"]["nearest"]["size"]
        for record in records
        if record.kind == "candidate" and record.body["id"] != BASELINE
    }
    assert pooled == {"c1": 40, "c2": 80}
    ran = {(r.body["candidate"], r.body["split"]) for r in records if r.kind == "rollout"}
    assert ran >= {("c1", "val"), ("c2", "test")}
    assert not ran & {("c2", "val"), ("c2", "train"), ("c1", "test")}
    (state,) = result.artifact.predictors
    assert state.nearest is not None
    assert (result.candidate, len(state.nearest.pool)) == ("c2", 80)
    assert "c2" in {point.candidate for point in result.front}
    assert "c1" not in {point.candidate for point in result.front}
    assert result.compiled["val"] is not None
    assert any("are of val too" in note for note in result.notes)
    story = read_story(records)
    assert (story.standing("c1"), story.standing("c2")) == ("measured", "not raced")
    assert read_story(records[:-1]).standing("c2") == "waiting"
    assert ">shipped</span>" in tables.candidates(story)
