"""A result says what happened, in words, in JSON and on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compilm.artifact import read
from compilm.metrics.stats import Estimate
from compilm.optimizers.budget import Budget, Spent
from compilm.optimizers.compile import compile_job
from compilm.optimizers.result import CompileResult

from . import worlds


@pytest.fixture(scope="module")
def result() -> CompileResult:
    return compile_job(worlds.job(level=0, sizes=(10, 12, 14), budget=Budget(rollouts=60)))


def test_it_reads_as_text(result: CompileResult) -> None:
    said = replace(result, notes=("<a note>",), spent=Spent(1, 2, 3, None, 4.0))
    text = str(said)
    assert text.startswith("unproven: not shown to be better")
    assert "spent 1 rollouts, 2 calls, 3 tokens, price unknown, 4.0 s" in text
    assert text.endswith("note  <a note>")
    assert "$0.5000" in str(replace(result, spent=Spent(usd=0.5)))


def test_a_gain_of_nothing_is_words_and_no_zero(result: CompileResult) -> None:
    seen = Estimate(0.02, -0.1, 0.14, 14)
    assert result.gain_text == "none found"
    rejected = replace(result, held_out=seen).gain_text
    assert rejected == "none shipped; the best candidate's on test +0.020 [-0.100, +0.140] (n=14)"
    cut = replace(result, baseline={"val": seen, "test": None})
    assert cut.gain_text == "not measured"
    assert "ended before held-out examples" in cut.headline
    shipped = replace(result, verdict="proven", gain=seen)
    assert shipped.gain_text == "+0.020 [-0.100, +0.140] (n=14)"


def test_splits_that_were_not_measured_are_not_told(result: CompileResult) -> None:
    bare = replace(result, baseline={"val": None}, compiled={"val": Estimate(1, 1, 1, 1)})
    assert "baseline" not in str(bare)
    assert bare.to_json()["baseline"] == {"val": None}


def test_its_json_is_plain_and_names_the_artifact(result: CompileResult) -> None:
    body = json.loads(json.dumps(result.to_json()))
    assert body["digest"] == result.artifact.digest
    assert body["baseline"]["test"]["n"] == 14
    assert body["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 14}


def test_saving_writes_the_artifact_and_a_report_where_one_can_be_rendered(
    result: CompileResult, tmp_path: Path
) -> None:
    bare = result.save(tmp_path / "bare")
    assert [path.name for path in bare.iterdir()] == ["artifact.json"]
    assert read(bare) == result.artifact
    full = replace(result, render=lambda found, form: f"{form} of {found.run}")
    folder = full.save(str(tmp_path / "full"))
    assert (folder / "report.html").read_text() == f"page of {result.run}"
    assert full._repr_html_() == f"summary of {result.run}"


def test_in_a_notebook_it_is_escaped_text(result: CompileResult) -> None:
    assert "&lt;b&gt;" in replace(result, notes=("<b>",))._repr_html_()


@pytest.mark.parametrize(
    ("stop", "finished"),
    [("interrupted", False), ("rejected: default", False), ("budget: 5 calls", True)],
)
def test_an_interrupt_and_a_refusal_are_no_end(
    result: CompileResult, stop: str, finished: bool
) -> None:
    assert replace(result, stop=stop).finished is finished
