"""Tasks on real data: drawn by the seed, tested on the same examples, skipped without data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dspy
import pytest
from benchmarks.optimizers.arena import arena
from benchmarks.optimizers.run import Job, main, run_job
from benchmarks.optimizers.task_engine import TaskEngine, task_lm
from benchmarks.optimizers.tasks import DATA, Task, missing, task

from compilm.errors import DataError, UsageError

INTENTS, OF_EACH = 25, 40


def banking_rows(part: str) -> list[dict[str, str]]:
    """Messages that only share the intent's own words, so that examples of it tell something."""
    return [
        {"text": f"{part} {n}: my {word} has the problem {word}{n % 7}", "label": f"intent_{word}"}
        for word in (f"{chr(97 + i)}thing" for i in range(INTENTS))
        for n in range(OF_EACH)
    ]


def nlupp_rows() -> list[dict[str, Any]]:
    return [
        {
            "text": f"send {n} pounds to Ann, please",
            "intents": ["transfer", "polite"] if n % 2 else [],
            "slots": [{"slot": "person_name", "text": "Ann"}, {"slot": "number", "text": "x"}],
        }
        for n in range(560)
    ]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "banking77/train.jsonl": banking_rows("train"),
        "banking77/test.jsonl": banking_rows("test"),
        "nlupp/banking.jsonl": nlupp_rows(),
    }
    for name, rows in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setenv(DATA, str(tmp_path))
    return tmp_path


def messages(examples: list[dspy.Example]) -> list[str]:
    return [example.message for example in examples]


def test_without_its_data_a_task_is_skipped_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(DATA, raising=False)
    out = tmp_path / "rows.jsonl"
    asked = ["--tasks", "b77-10", "--seeds", "0", "--contestants", "labeled", "--processes", "0"]
    assert main([*asked, "--out", str(out)]) == 0
    assert out.read_text() == ""
    assert "b77-10 is skipped: it needs data" in capsys.readouterr().err
    with pytest.raises(DataError, match="b77-10"):
        task("b77-10", 0)


def test_what_a_folder_lacks_is_named(data: Path) -> None:
    (data / "banking77" / "test.jsonl").unlink()
    assert missing("b77-10").endswith("has no banking77/test.jsonl")
    assert missing("nlupp") == missing("claims") == ""
    with pytest.raises(UsageError, match="'mars' is no task"):
        missing("mars")


@pytest.mark.parametrize("name", ["b77-10", "desk-25in5", "nlupp", "claims"])
def test_seeds_draw_other_examples_to_learn_from_and_the_same_test(data: Path, name: str) -> None:
    one, same, other = task(name, 3), task(name, 3), task(name, 4)
    assert messages(one.train) == messages(same.train)
    assert messages(one.val) == messages(same.val)
    assert set(messages(one.train)) != set(messages(other.train))
    assert messages(one.test) == messages(other.test)
    every = [*messages(one.train), *messages(one.val), *messages(one.test)]
    assert len(set(every)) == len(every)


def test_desks_are_the_same_messages_under_labels_that_say_nothing(data: Path) -> None:
    named, folded = task("b77-25", 0), task("desk-25in5", 0)
    assert messages(named.test) == messages(folded.test)
    pairs = {(a.label, b.label) for a, b in zip(named.test, folded.test, strict=True)}
    assert Counter(desk for _, desk in pairs) == {f"desk_{n}": 5 for n in range(1, 6)}
    shown = str(folded.program().named_predictors()[0][1].signature)
    assert "desk_1" in shown
    assert "thing" not in shown


@pytest.mark.parametrize("name", ["b77-10", "nlupp", "claims"])
def test_what_is_written_into_one_programs_signature_reaches_no_other(
    data: Path, name: str
) -> None:
    here = task(name, 0)
    for predictor in here.program().predictors():
        predictor.signature.instructions = "Overwritten."
    for program in (here.program(), task(name, 0).program()):
        told = [predictor.signature.instructions for predictor in program.predictors()]
        assert "Overwritten." not in told


def asked(here: Task, text: str, temperature: float) -> list[str]:
    engine = TaskEngine(here.program())
    with dspy.context(lm=task_lm(engine).copy(temperature=temperature)):
        program = here.program()
        found = [program(message=text).label for _ in range(12)]
    assert (engine.runs, engine.counts.task_calls, engine.counts.proposer_calls) == (12, 12, 0)
    return found


def test_a_sampled_request_is_drawn_anew_and_a_plain_one_is_not(data: Path) -> None:
    here = task("b77-25", 0)
    assert len(set(asked(here, "my money", temperature=2.0))) > 1
    assert len(set(asked(here, "my money", temperature=0.0))) == 1


def test_the_true_score_is_of_the_test_examples_and_counted_nowhere(data: Path) -> None:
    here = arena("b77-10", 0)
    assert here.true_scores(Always(here.place.train[0].label)) == [pytest.approx(0.1)]
    assert here.calls() == here.counts.task_calls == 0


class Always(dspy.Module):
    """The same label for all."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def forward(self, **inputs: Any) -> Any:
        return dspy.Prediction(label=self.label)


def test_the_score_of_reading_is_by_intents_and_by_details(data: Path) -> None:
    here = task("nlupp", 0)
    gold = next(example for example in here.train if example.intents)
    half = dspy.Prediction(intents=["polite", "other"], person_name="ann", date="none", time="")
    found = here.metric_with_feedback(gold, half)
    assert found.score == here.metric(gold, half) == (0.5 + 1.0) / 2
    assert found.feedback == "`intents` should be 'transfer'. 'other' is not meant."
    right = dspy.Prediction(intents=gold.intents, person_name="Ann", amount_of_money="5")
    assert here.metric(gold, right) == pytest.approx((1.0 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("contestant", "budget"), [("labeled", 0), ("knn", 0), ("infer-rules", 230), ("ours-1", 200)]
)
def test_a_contestant_runs_on_a_task_and_its_row_is_whole(
    data: Path, contestant: str, budget: int
) -> None:
    row = run_job(Job("desk-10", contestant, seed=1, budget=budget))
    assert "error" not in row, row
    assert row["calls"] <= budget
    assert row["gain"] == row["true"] - row["base"]
    assert row["gain"] > 0.1  # the labels say nothing, the examples do
    assert (row["reported"] is None) == (budget == 0)
    assert (row["proposer_calls"] > 0) == (contestant == "infer-rules")


def test_what_takes_no_calls_runs_once_whatever_the_budgets(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    asked = ["--tasks", "b77-10", "--seeds", "0", "--budgets", "300,1000", "--processes", "0"]
    assert main([*asked, "--contestants", "zero-shot", "--out", str(out)]) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["budget"], row["calls"], row["gain"]) == (0, 0, 0.0)
