"""A score keeps its laws: finite or missing, frozen, and the same after JSON and pickle."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import MetricError, UsageError
from compilm.metrics import Score

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCORES = st.builds(
    Score, FINITE, st.text(), st.dictionaries(st.text(), FINITE, max_size=3)
) | st.builds(Score.unscored, st.text(min_size=1), st.text())


@given(SCORES)
def test_json_gives_back_an_equal_score(score: Score) -> None:
    again = Score.from_json(json.loads(json.dumps(score.to_json(), allow_nan=False)))
    assert again == score
    assert hash(again) == hash(score)


@given(SCORES)
def test_a_score_can_be_pickled_and_copied(score: Score) -> None:
    assert pickle.loads(pickle.dumps(score)) == score
    assert copy.deepcopy(score) == score


@given(SCORES)
def test_the_repr_evaluates_to_an_equal_score(score: Score) -> None:
    assert eval(repr(score), {"Score": Score}) == score


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "1", [], 10**400])
def test_a_value_that_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(MetricError, match="number"):
        Score(value)


def test_a_part_that_is_not_finite_is_refused_by_name() -> None:
    with pytest.raises(MetricError, match=r"part 'recall'.*nan"):
        Score(1, parts={"recall": math.nan})


@pytest.mark.parametrize("words", [{"feedback": None}, {"missing": 3}])
def test_words_that_are_no_text_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(MetricError, match="are texts"):
        Score(1, **words)


def test_a_missing_score_is_never_zero() -> None:
    score = Score.unscored("no verdict")
    assert score.is_missing
    assert math.isnan(float(score))
    assert score.to_json()["value"] is None
    assert not Score(0).is_missing


def test_a_missing_score_needs_a_reason_and_no_value() -> None:
    with pytest.raises(MetricError, match="needs a reason"):
        Score.unscored("")
    with pytest.raises(MetricError, match="has no value"):
        Score(0.0, missing="no verdict")


def test_parts_are_a_frozen_copy() -> None:
    given_parts = {"a": 1}
    score = Score(1, parts=given_parts)
    given_parts["a"] = 0
    assert score.parts == {"a": 1.0}
    with pytest.raises(TypeError):
        score.parts["a"] = 0.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        score.value = 0.0  # type: ignore[misc]


def test_a_score_equals_no_other_thing() -> None:
    assert Score(1) != 1
    assert Score(1) != Score(1, "why")
    assert len({Score(1), Score(True), Score(0)}) == 2


@pytest.mark.parametrize("data", [{}, {"feedback": "x"}, None])
def test_json_without_a_value_is_no_score(data: Any) -> None:
    with pytest.raises(MetricError, match="no 'value'"):
        Score.from_json(data)


def test_a_metric_error_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        Score(math.nan)
