"""The text metrics keep the laws of their source and say what was expected."""

from __future__ import annotations

import enum
from typing import Any, Literal

import dspy
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import MetricError
from compilm.metrics import contains, exact, f1, normalize, normalized, token_f1

TEXT = st.text(alphabet="abthe ,.A\n", max_size=20) | st.text(max_size=20)
FACTORIES = [exact, normalized, f1, contains]


def scored(factory: Any, gold: Any, got: Any) -> float:
    value: float = factory("answer").score({"answer": gold}, dspy.Prediction(answer=got)).value
    return value


@given(TEXT, TEXT)
def test_token_f1_is_symmetric_and_bounded(one: str, other: str) -> None:
    assert token_f1(one, other) == token_f1(other, one)
    assert 0 <= token_f1(one, other) <= 1


@given(TEXT)
def test_every_metric_gives_1_to_the_gold_itself(text: str) -> None:
    assert all(scored(factory, text, text) == 1 for factory in FACTORIES)


@given(TEXT)
def test_normalizing_twice_changes_nothing_but_new_articles(text: str) -> None:
    once = normalize(text)
    assert once == once.strip()
    assert not set(once) & set('.,!?"')
    assert len(normalize(once)) <= len(once)


@given(TEXT, TEXT)
def test_a_stricter_metric_never_gives_more(gold: str, got: str) -> None:
    assert scored(exact, gold, got) <= scored(normalized, gold, got)
    assert scored(normalized, gold, got) <= scored(f1, gold, got)
    assert scored(normalized, gold, got) <= scored(contains, gold, got)


@pytest.mark.parametrize(
    ("gold", "got", "value"),
    [("a b c", "b c d", 0.8), ("x x", "x", 2 / 3), ("the", "", 1), ("x", "", 0), ("x y", "z", 0)],
)
def test_token_f1_counts_words(gold: str, got: str, value: float) -> None:
    assert token_f1(gold, got) == pytest.approx(value)


@pytest.mark.parametrize(
    ("gold", "got", "value"),
    [("Rome", "in rome!", 1), ("Rome", "Romeo", 0), ("", "x", 0), ("old Rome", "Rome", 0)],
)
def test_contains_means_whole_words(gold: str, got: str, value: float) -> None:
    assert scored(contains, gold, got) == value


@pytest.mark.parametrize("factory", [normalized, f1, contains])
def test_a_list_of_golds_is_a_choice(factory: Any) -> None:
    assert scored(factory, ["Lima", "Paris"], "paris") == 1
    assert scored(factory, ("Lima", "Oslo"), "paris") == 0


def test_a_predicted_list_is_read_as_its_words() -> None:
    assert scored(f1, "red fox", ["fox", "red"]) == 1
    assert scored(normalized, 42, "42") == 1


class Claim(pydantic.BaseModel):
    number: int
    kind: Literal["a", "b"]


class Color(enum.Enum):
    RED = "red"


class Opaque:
    pass


@pytest.mark.parametrize(
    ("gold", "got", "value"),
    [
        ({"number": 1, "kind": "a"}, Claim(number=1, kind="a"), 1),
        ({"number": 2, "kind": "a"}, Claim(number=1, kind="a"), 0),
        ("red", Color.RED, 1),
        ((1, 2), [1, 2], 1),
        ("42", 42, 0),
        ("Paris", "paris", 0),
        (None, None, 1),
        (Opaque, Opaque, 1),
        (Opaque(), "x", 0),
    ],
)
def test_exact_compares_data(gold: Any, got: Any, value: float) -> None:
    assert scored(exact, gold, got) == value


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_feedback_says_what_was_expected_and_what_came(factory: Any) -> None:
    metric = factory("answer")
    score = metric.score({"answer": "Paris"}, {"answer": "Rome"})
    assert score.feedback == "`answer` should be 'Paris', got 'Rome'"
    assert metric.score({"answer": "Paris"}, {"answer": "Paris"}).feedback == "`answer` is right"
    assert metric.name == f"{factory.__name__}(answer)"


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("prediction", [{}, dspy.Prediction(), object()])
def test_a_missing_prediction_scores_0_and_says_so(factory: Any, prediction: Any) -> None:
    score = factory("answer").score({"answer": "Paris"}, prediction)
    assert score.value == 0
    assert score.feedback == "`answer` is missing; it should be 'Paris'"


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_missing_gold_is_the_datas_fault_and_names_field_and_example(factory: Any) -> None:
    for example in (dspy.Example(label="x"), object()):
        with pytest.raises(MetricError, match=r"example 'e7'.*no field 'answer'") as caught:
            factory("answer").score(example, {"answer": "Paris"}, example_id="e7")
        assert caught.value.example_id == "e7"


@pytest.mark.parametrize("gold", [None, [], ["x", None]])
def test_a_gold_without_text_cannot_be_compared_as_text(gold: Any) -> None:
    with pytest.raises(MetricError, match="a text is needed"):
        scored(f1, gold, "x")


def test_a_prediction_of_none_is_missing_as_text() -> None:
    score = f1("answer").score({"answer": "Paris"}, {"answer": None})
    assert score.feedback == "`answer` is missing; it should be 'Paris'"


def test_fields_are_read_from_plain_objects_too() -> None:
    assert exact("number").score(Claim(number=1, kind="a"), Claim(number=1, kind="b")).value == 1


@pytest.mark.parametrize("name", ["", "a b", 3, None])
@pytest.mark.parametrize("factory", FACTORIES)
def test_what_cannot_name_a_field_is_refused(factory: Any, name: Any) -> None:
    with pytest.raises(MetricError, match="not the name of a field"):
        factory(name)
