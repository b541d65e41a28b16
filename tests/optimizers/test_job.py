"""A job is known by what changes its outcome, and by nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import dspy
import pytest

from compilm.metrics import exact
from compilm.optimizers.budget import Budget
from compilm.runtime.embedded import embedded_lm

from . import worlds


@pytest.mark.parametrize(
    "change",
    [
        {"level": 2},
        {"seed": 1},
        {"budget": Budget(calls=5)},
        {"frozen": ("sort",)},
        {"metric": exact("text")},
        {"test": worlds.data(59, 2000, "test")},
        {"train": worlds.data(40, 0).subset(range(39, -1, -1), "train")},
        {"roles": {"default": worlds.world_lm(temperature=0.5)}},
        {"roles": {"default": worlds.world_lm(), "judge": worlds.world_lm()}},
        {"program": dspy.Predict(worlds.Sort)},
        {"name": "another"},
    ],
)
def test_what_changes_the_outcome_makes_another_run(change: dict[str, Any]) -> None:
    job = worlds.job()
    assert replace(job, **change).run != job.run


@pytest.mark.parametrize(
    "change",
    [
        {"concurrency": 1},
        {"clock": worlds.ManualClock(5)},
        {"notes": ("a note",)},
        {"reference": "somewhere:Sorter"},
        {"roles": {"default": worlds.world_lm()}},
        {"program": worlds.Sorter()},
    ],
)
def test_what_changes_nothing_is_the_same_run(change: dict[str, Any]) -> None:
    job = worlds.job()
    assert replace(job, **change).run == job.run


def test_the_adapter_belongs_to_the_run() -> None:
    job = worlds.job()
    before = job.run
    with dspy.context(adapter=dspy.JSONAdapter()):
        assert job.adapter == "JSONAdapter"
        assert job.run != before
    assert job.adapter == "ChatAdapter"


def test_the_header_says_what_is_compiled_and_holds_no_key() -> None:
    keyed = dspy.LM("openai/m", api_key="sk-secret-1", api_base="http://x")
    header = replace(worlds.job(), roles={"default": keyed}).header()
    assert "sk-secret-1" not in json.dumps(header)
    assert header["models"] == {"default": "openai/m"}
    assert header["data"]["val"]["size"] == 40
    assert [p["path"] for p in header["program"]["predictors"]] == ["sort"]


def test_the_embedded_engine_is_said_to_be_no_language_model() -> None:
    job = worlds.job()
    assert job.notice == ""
    named = replace(job, roles={**job.roles, "judge": embedded_lm("embedded/base")})
    assert named.notice == "embedded, not a language model"


def test_a_job_without_a_retry_layer_leaves_the_engine_as_it_is() -> None:
    engine: Any = object()
    assert worlds.job().retry(engine) is engine
