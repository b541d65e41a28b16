"""Settings fit the room, and the formulas say what the optimizers then execute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.optimizers import worlds

from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job
from compilm.optimizers.driven.catalog import build, choose
from compilm.optimizers.driven.fitting import Fit, Room, no_metric
from compilm.optimizers.driven.quiet import quiet

from .driving import EVERY, bodies, driven

# What each may overstep its part by: settings at their smallest, or a part that nothing can halve.
SMALLEST = {"BootstrapFewShotWithRandomSearch": 80, "COPRO": 60, "MIPROv2": 90, "SIMBA": 40,
            "GEPA": 60, "InferRules": 30, "BetterTogether": 200}  # fmt: skip


def fit(name: str, rollouts: int, *, val: int = 100, **options: Any) -> Fit:
    rows, nobody = worlds.examples(100), object()
    room = Room(rollouts, 1, 0.5, rows, worlds.examples(val, 1000), no_metric, nobody, nobody)
    with quiet():
        return build(choose(f"dspy.{name}", options), room)[1]


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=15, deadline=None)
@given(rollouts=st.integers(0, 3000))
def test_settings_fit_what_is_left(name: str, rollouts: int) -> None:
    assert fit(name, rollouts).rollouts <= max(rollouts, SMALLEST.get(name, 0))


@pytest.mark.parametrize("name", SMALLEST)
def test_more_room_is_used(name: str) -> None:
    if name == "MIPROv2":
        pytest.importorskip("optuna")
    costs = [fit(name, rollouts).rollouts for rollouts in (200, 600, 1500)]
    assert costs == sorted(costs)
    assert costs[2] > 1.5 * costs[0]


@pytest.mark.parametrize("name", EVERY)
def test_what_was_foreseen_is_what_is_executed(name: str) -> None:
    job = driven(name, budget=Budget(rollouts=350), sizes=(30, 30, 20))
    result = compile_job(job)
    assert result.stop.endswith("came to its end")
    made = sum("driven" in row for row in bodies(job, "rollout"))
    (size,) = {row["n"] for row in bodies(job, "decision") if row["phase"] == "baseline"}
    kept = 40  # for test
    foreseen = _foreseen(name, 350 - size - kept, job)
    # Bootstraps take what they take, and the last iterations of some end before they have to.
    assert made <= foreseen
    assert made >= 0.5 * foreseen or name in ("BootstrapFewShot", "SIMBA")


def _foreseen(name: str, left: int, job: Any) -> int:
    choice = choose(f"dspy.{name}")
    if not choice.scores_on_val:
        left -= 30
    seen = next(row for row in bodies(job, "decision") if row["phase"] == "baseline")
    rows, nobody = list(job.train), object()
    room = Room(left, 1, seen["score"]["value"], rows, list(job.val), no_metric, nobody, nobody)
    with quiet():
        return build(choice, room)[1].rollouts


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("COPRO", {"breadth": 5}, {"breadth": 5}),
        ("BootstrapFewShotWithRandomSearch", {"num_candidate_programs": 3},
         {"num_candidate_programs": 3}),
        ("SIMBA", {"max_steps": 2, "bsize": 8}, {"max_steps": 2, "bsize": 8}),
        ("GEPA", {"max_metric_calls": 77}, {"max_metric_calls": 77}),
        ("InferRules", {"num_rules": 3}, {"num_rules": 3}),
        ("LabeledFewShot", {"k": 3}, {"k": 3}),
    ],
)  # fmt: skip
def test_what_is_given_stays(name: str, options: dict[str, Any], wanted: dict[str, Any]) -> None:
    made = fit(name, 500, **options).made
    assert {key: made[key] for key in wanted} == wanted


def test_each_step_of_several_gets_its_part() -> None:
    rows, nobody = worlds.examples(100), object()
    room = Room(600, 1, 0.5, rows, rows, no_metric, nobody, nobody)
    steps = {"a": "dspy.COPRO", "b": {"optimizer": "dspy.InferRules", "num_rules": 3}}
    with quiet():
        optimizer, both = build(choose("dspy.BetterTogether", {"optimizers": steps}), room)
        _, alone = build(choose("dspy.COPRO"), replace(room, rollouts=300))
    assert both.rollouts <= 600
    assert both.called["strategy"] == "a -> b"
    assert optimizer.optimizers["b"].num_rules == 3
    assert len(both.called["optimizer_compile_args"]["a"]["trainset"]) <= len(
        alone.called["trainset"]
    )


def test_miprov2_takes_no_minibatches_that_would_run_out_of_combinations() -> None:
    pytest.importorskip("optuna")
    fitted = fit("MIPROv2", 5000, num_candidates=2, max_bootstrapped_demos=0, max_labeled_demos=0)
    assert fitted.called["minibatch"] is False
