"""Agreement of nested data is symmetric, bounded, and named place by place."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import MetricError
from compilm.metrics import agreement, fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_agreement_is_symmetric_and_bounded(one: Any, other: Any) -> None:
    assert agreement(one, other) == pytest.approx(agreement(other, one))
    assert 0 <= agreement(one, other) <= 1


@given(JSON)
def test_data_agrees_with_itself_and_with_its_text(data: Any) -> None:
    assert agreement(data, data) == 1
    if isinstance(data, (dict, list)):
        assert agreement(data, json.dumps(data)) == 1


@given(JSON, JSON)
def test_the_feedback_is_empty_of_faults_only_where_the_score_is_full(gold: Any, got: Any) -> None:
    score = fields("x").score({"x": gold}, {"x": got})
    assert (score.value == 1) == (score.feedback == "every field is right")


@pytest.mark.parametrize(
    ("gold", "got", "value"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, 0.5),
        ({"a": 1}, {"a": 1, "b": 2}, 0.5),
        ([1, 2], [1, 2, 3, 4], 0.5),
        ([], [], 1),
        ({}, {}, 1),
        ({}, {"a": 1}, 0),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, 0.5),
        (1, 1.0, 1),
        (True, 1, 0),
        ({"a": None}, {}, 0),
        ("{not json", "{not json", 1),
        ("[1, NaN]", [1], 0),
        ({"a": 1}, "a: 1", 0),
    ],
)
def test_agreement_counts_places(gold: Any, got: Any, value: float) -> None:
    assert agreement(gold, got) == value


class Claim(pydantic.BaseModel):
    number: int
    tags: list[str]


def test_each_field_has_its_part_and_each_fault_its_place() -> None:
    metric = fields("intent", "claim", "date")
    gold = {"intent": "pay", "claim": {"number": 7, "tags": ["a", "b"]}, "date": None}
    score = metric.score(gold, {"intent": "pay", "claim": Claim(number=8, tags=["a"])})
    assert score.parts == {"intent": 1.0, "claim": 0.25, "date": 0.0}
    assert score.value == pytest.approx(1.25 / 3)
    assert score.feedback.splitlines() == [
        "`claim.number` should be 7, got 8",
        "`claim.tags[1]` is missing; it should be 'b'",
        "`date` is missing; it should be None",
    ]


def test_what_should_not_be_there_is_named() -> None:
    score = fields("x").score({"x": {"a": 1}}, {"x": {"a": 1, "b": 2}})
    assert score.feedback == "`x.b` should not be there, got 2"


def test_many_faults_are_counted_not_listed() -> None:
    score = fields("x").score({"x": list(range(20))}, {"x": [-1] * 20})
    lines = score.feedback.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 10 more"


def test_weights_weigh_and_a_full_score_is_exactly_1() -> None:
    names = [f"n{number}" for number in range(49)]
    record = dict.fromkeys(names, "x")
    assert fields(*names).score(record, record).value == 1
    metric = fields("a", "b", weights={"a": 3})
    assert metric.score({"a": 1, "b": 1}, {"a": 1, "b": 2}).value == 0.75
    assert fields("a", "b", weights={"a": 0}).score({"a": 1, "b": 1}, {"a": 2, "b": 1}).value == 1


@pytest.mark.parametrize("weights", [{"b": 1}, {"a": -1}, {"a": 0}, {"a": "1"}, {"a": 1e999}])
def test_weights_that_cannot_weigh_are_refused(weights: Any) -> None:
    with pytest.raises(MetricError, match="weights are"):
        fields("a", weights=weights)


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a b",)])
def test_names_that_cannot_name_are_refused(names: Any) -> None:
    with pytest.raises(MetricError, match="field"):
        fields(*names)


def test_a_missing_gold_field_is_an_error_with_its_name() -> None:
    with pytest.raises(MetricError, match="no field 'b'"):
        fields("a", "b").score({"a": 1}, {"a": 1, "b": 1})
