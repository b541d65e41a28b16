"""Every optimizer runs in the worlds as shipped, within reach of its number of calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from benchmarks.optimizers.run import Job, run_job

EVERY = ["simba", "gepa", "ours-1", "ours-2", "bootstrap-rs", "mipro"]


def same_but_for_time(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds"}


@pytest.mark.parametrize("contestant", EVERY)
def test_an_optimizer_runs_and_its_row_is_whole(contestant: str) -> None:
    if contestant == "mipro":
        pytest.importorskip("optuna")
    row = run_job(Job("credit", contestant, seed=2, budget=120))
    assert "error" not in row, row
    assert 0 < row["base"] < 1
    assert row["gain"] == row["true"] - row["base"]
    assert row["reported_gain"] is not None
    assert row["calls"] > 0


@pytest.mark.parametrize("contestant", ["gepa", "ours-2"])
def test_what_feedback_says_reaches_the_instruction(contestant: str) -> None:
    row = run_job(Job("rules", contestant, seed=1, budget=400))
    assert row["proposer_calls"] > 0
    assert row["gain"] > 0.05


def test_ours_stays_within_its_number_and_says_what_it_found() -> None:
    row = run_job(Job("rules", "ours-2", seed=1, budget=200))
    assert row["calls"] == row["rollouts"] <= 200
    assert row["verdict"] in {"proven", "likely", "unproven", "no-headroom"}
    assert row["low"] <= row["estimate"] <= row["high"]


@pytest.mark.parametrize("contestant", ["gepa", "ours-2"])
def test_the_same_run_gives_the_same_row(contestant: str) -> None:
    job = Job("credit", contestant, seed=4, budget=150)
    assert same_but_for_time(run_job(job)) == same_but_for_time(run_job(job))
    assert same_but_for_time(run_job(job)) != same_but_for_time(run_job(replace(job, seed=5)))


def test_nothing_is_gained_in_the_null_world_whatever_is_reported() -> None:
    row = run_job(Job("null", "bootstrap-rs", seed=0, budget=300))
    assert row["gain"] == 0.0
    assert row["reported_gain"] > 0.0
