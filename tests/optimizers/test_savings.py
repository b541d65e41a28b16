"""To the end: what is shipped may be cheaper, keeps its limits, and is what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15

import compilm
from compilm.errors import ConfigError
from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job
from compilm.optimizers.front import Constraints
from compilm.optimizers.job import Job
from compilm.optimizers.result import CompileResult

from . import worlds

WIDE: dict[str, Any] = {"level": 3, "sizes": (24, 80, 40), "budget": Budget(rollouts=2500)}
SMALL: dict[str, Any] = {"level": 1, "sizes": (24, 40, 30), "budget": Budget(rollouts=400)}


def with_cheap(script: Any = worlds.reply, **settings: Any) -> tuple[Job, dspy.LM]:
    """A job whose application offers a second model."""
    cheap = worlds.scripted_lm(script, model="scripted/cheap")
    job = worlds.job(**WIDE, **settings)
    return replace(job, roles={**job.roles, "cheap": cheap}), cheap


def test_a_cheaper_model_that_is_not_worse_is_taken_by_its_role(tmp_path: Path) -> None:
    job, cheap = with_cheap()
    result = compile_job(job)
    (state,) = result.artifact.predictors
    assert (state.role, result.verdict) == ("cheap", "proven")
    assert result.artifact.models["cheap"] == "scripted/cheap"
    assert result.program.sort.lm is cheap
    assert job.program.sort.lm is None
    folder = result.save(tmp_path / "built")
    with pytest.raises(ConfigError, match="cheap"):
        compilm.load(folder, worlds.Sorter(), roles={"default": worlds.world_lm()})
    serving = worlds.scripted_lm(worlds.reply, model="scripted/cheap")
    runtime = compilm.load(
        folder, worlds.Sorter(), roles={"default": worlds.world_lm(), "cheap": serving}
    )
    asked = [e.text for e in job.test]
    with dspy.context(lm=worlds.world_lm()):
        assert [runtime(text=t).label for t in asked] == [
            result.program(text=t).label for t in asked
        ]
    assert worlds.engine_of(serving).calls == len(asked)


def test_a_cheaper_model_that_is_worse_is_not_taken() -> None:
    def poor(request: lm15.Request) -> str:
        return worlds.reply(request, base=0.0, a_demo=0.0)

    job, cheap = with_cheap(poor)
    result = compile_job(job)
    assert {state.role for state in result.artifact.predictors} == {"default"}
    assert result.program.sort.lm is None
    assert 0 < worlds.engine_of(cheap).calls < 100


@pytest.fixture(scope="module")
def free() -> tuple[Job, CompileResult]:
    """A compile without a limit, run once for all tests that hold another against it."""
    job = worlds.job(**SMALL)
    return job, compile_job(job)


def tokens(job: Job, candidate: str, split: str = "val") -> float:
    """What one execution of a candidate took on examples of a split, by the journal alone."""
    paid = {
        record.body["key"]: record.body["input_tokens"] + record.body["output_tokens"]
        for record in job.journal.read(kinds=["call"])
    }
    taken = [
        sum(paid[key] for key in record.body["keys"])
        for record in job.journal.read(kinds=["rollout"])
        if (record.body["candidate"], record.body["split"]) == (candidate, split)
    ]
    return sum(taken) / len(taken)


def test_a_limit_in_tokens_binds_what_is_shipped(free: tuple[Job, CompileResult]) -> None:
    job, shipped = free
    taken = tokens(job, shipped.candidate)
    bound = worlds.job(**SMALL, constraints=Constraints(tokens=0.8 * taken))
    result = compile_job(bound)
    assert result.candidate != "c0"
    assert tokens(bound, result.candidate) <= 0.8 * taken


def test_a_limit_that_nothing_keeps_ships_what_was_given() -> None:
    result = compile_job(worlds.job(**SMALL, constraints=Constraints(tokens=1)))
    assert result.candidate == "c0"


def test_with_a_least_score_a_cheaper_candidate_is_shipped(
    free: tuple[Job, CompileResult],
) -> None:
    best, dear = free
    least = worlds.job(**SMALL, constraints=Constraints(min_score=0.55))
    cheap = compile_job(least)
    assert tokens(least, cheap.candidate, "test") < tokens(best, dear.candidate, "test")


def test_the_front_is_what_was_measured_and_the_same_when_asked_again(
    free: tuple[Job, CompileResult],
) -> None:
    job, first = free
    again = compile_job(job)
    assert first.front == again.front
    assert first.front[0].candidate == "c0"
    for point in first.front:
        assert point.tokens == pytest.approx(tokens(job, point.candidate))
