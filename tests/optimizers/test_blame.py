"""Blame: a step whose known output is wrong has more of it, the first wrong one the most."""

from __future__ import annotations

import math
from typing import Any

import dspy
import pytest

from compilm.artifact import Field, Predictor
from compilm.datasets import DataSet, as_dataset
from compilm.optimizers.blame import blamed
from compilm.optimizers.rollout import Rollout, Step

from .cells import candidate, rollout

FIRST = Predictor("first", "default", (Field("text", "str"),), (Field("topic", "str"),), "Topic.")
SECOND = Predictor(
    "second", "default", (Field("topic", "str"),), (Field("label", "str"),), "Label."
)
BOTH = (FIRST, SECOND)


def data(**gold: Any) -> DataSet:
    rows = [dspy.Example(text=f"t{n}", **gold).with_inputs("text") for n in range(10)]
    return as_dataset(rows, name="train")


def made(rows: DataSet, topic: Any, label: Any, value: float = 0.0, place: int = 0) -> Rollout:
    steps = (
        Step("first", {"text": "t"}, {"topic": topic}),
        Step("second", {"topic": topic}, {"label": label}),
    )
    return rollout(candidate(0), rows.ids[place], value, "train", steps)


def test_where_the_data_say_nothing_all_are_blamed_alike() -> None:
    rows = data()
    assert blamed(BOTH, [made(rows, "a", "b")], rows) == {"first": 1.0, "second": 1.0}
    assert blamed(BOTH, [], rows) == {"first": 1.0, "second": 1.0}


def test_a_step_with_a_wrong_known_output_is_blamed_more_than_one_of_which_nothing_is_known() -> (
    None
):
    rows = data(label="red")
    found = blamed(BOTH, [made(rows, "a", "blue")], rows)
    assert found["second"] > found["first"]
    assert found["second"] / found["first"] == pytest.approx(2 / 1.5)


def test_a_step_that_was_right_is_not_blamed() -> None:
    rows = data(topic="sea", label="red")
    found = blamed(BOTH, [made(rows, "sea", "blue")] * 9, rows)
    assert found["second"] / found["first"] == pytest.approx(10.0)


def test_a_wrong_step_after_a_wrong_one_has_half_the_blame() -> None:
    rows = data(topic="sea", label="red")
    found = blamed(BOTH, [made(rows, "hill", "blue")], rows)
    assert found["first"] / found["second"] == pytest.approx(2.0 / 1.5)


@pytest.mark.parametrize("value", [1.0, 1.5, math.nan])
def test_successes_and_missing_scores_blame_nobody(value: float) -> None:
    rows = data(topic="sea", label="red")
    assert set(blamed(BOTH, [made(rows, "hill", "red", value)], rows).values()) == {1.0}


def test_a_part_of_the_score_is_a_failure_too() -> None:
    rows = data(topic="sea", label="red")
    assert blamed(BOTH, [made(rows, "hill", "red", 0.5)], rows)["first"] > 1.0


def test_rollouts_of_other_examples_blame_nobody() -> None:
    rows = data(topic="sea")
    strange = rollout(candidate(0), "elsewhere", 0.0, "train", made(rows, "hill", "red").steps)
    assert blamed(BOTH, [strange], rows) == {"first": 1.0, "second": 1.0}


def test_an_expected_output_that_is_null_is_not_known() -> None:
    rows = data(topic=None, label="red")
    found = blamed(BOTH, [made(rows, None, "red")] * 5, rows)
    assert found["first"] > found["second"]


def test_only_predictors_that_may_change_are_blamed_and_weights_are_1_on_average() -> None:
    rows = data(topic="sea", label="red")
    alone = blamed((SECOND,), [made(rows, "hill", "blue")], rows)
    assert alone == {"second": 1.0}
    assert blamed((), [made(rows, "hill", "blue")], rows) == {}
    both = blamed(BOTH, [made(rows, "hill", "blue"), made(rows, "sea", "blue", place=1)], rows)
    assert sum(both.values()) == pytest.approx(2.0)


def test_outputs_are_compared_by_what_they_are_and_not_by_how_they_are_written() -> None:
    one = Predictor("first", "default", (), (Field("topic", "list[str]"),), "Topic.")
    rows = data(topic=("a", "b"))
    right = made(rows, ["a", "b"], "x")
    wrong = made(rows, ["b", "a"], "x")
    assert blamed((one, SECOND), [right], rows)["first"] < 1.0
    assert blamed((one, SECOND), [wrong], rows)["first"] > 1.0
