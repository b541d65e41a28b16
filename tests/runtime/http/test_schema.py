"""The models of a program are what its `forward` and its predictors say."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from pydantic import ValidationError

from compilm.runtime.http.schema import (
    answer_of,
    input_names,
    request_model,
    response_model,
)


class TwoSteps(dspy.Module):
    """A program whose `forward` names nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("question, tone -> draft: list[str]")
        self.final = dspy.Predict("draft: list[str], question -> answer: int")

    def forward(self, **inputs: Any) -> Any:
        return self.final(**self.draft(**inputs), **inputs)


def test_without_parameters_the_inputs_are_what_no_predictor_makes() -> None:
    assert input_names(TwoSteps()) == ("question", "tone")


def test_a_predictor_alone_is_a_program() -> None:
    assert input_names(dspy.Predict("a, b -> c")) == ("a", "b")


def test_a_field_may_be_optional_because_the_runtime_says_so() -> None:
    model = request_model("Two", TwoSteps(), ("question", "tone"), {"tone"})
    assert model.model_validate({"question": "q"}).model_fields_set == {"question"}


def test_a_field_of_no_predictor_takes_anything() -> None:
    class Bare(dspy.Module):
        def forward(self, thing: object, times: int = 2) -> None: ...

    model = request_model("Bare", Bare(), ("thing", "times"))
    assert model.model_validate({"thing": [1, {}]}).model_dump() == {"thing": [1, {}], "times": 2}
    with pytest.raises(ValidationError):
        model.model_validate({"times": 2})


def test_a_type_without_a_json_schema_takes_anything() -> None:
    class Odd:
        """Pydantic knows nothing of it."""

    class Sign(dspy.Signature):
        """Do."""

        model_config = {"arbitrary_types_allowed": True}
        thing: Odd = dspy.InputField()
        call: str = dspy.OutputField()

    model = request_model("Odd", dspy.Predict(Sign), ("thing",))
    assert model.model_validate({"thing": 3}).model_dump() == {"thing": 3}


def test_an_answer_may_have_more_fields_than_declared() -> None:
    model = response_model("Two", TwoSteps(), ("answer",))
    assert model.model_validate({"answer": 3, "why": "x"}).model_dump() == {"answer": 3, "why": "x"}


def test_a_prediction_is_its_fields() -> None:
    prediction = dspy.Prediction(answer=3, parts=("a", "b"))
    assert answer_of(prediction) == {"answer": 3, "parts": ["a", "b"]}
