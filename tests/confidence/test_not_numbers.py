"""What is no number from 0 to 1 is never taken for certainty."""

from __future__ import annotations

import math
from typing import Any

import dspy
import pytest

from compilm.confidence import (
    Agreement,
    Confidence,
    LogProbability,
    Stated,
    for_accuracy,
    for_share,
)
from compilm.confidence.calibration import curve_from_json, isotonic, platt
from compilm.confidence.case import Case
from compilm.errors import DataError, UsageError


def told(score: Any) -> Case:
    tokens = {"content": [{"token": "4", "logprob": score}]}
    return Case(prediction=dspy.Prediction(answer="4", logprobs=tokens))


@pytest.mark.parametrize(
    ("score", "signal"), [(math.nan, None), (None, None), (-math.inf, 0.0), (900.0, 1.0)]
)
def test_a_log_probability_that_is_none_gives_no_signal(score: Any, signal: Any) -> None:
    assert LogProbability()(told(score)) == signal


@pytest.mark.parametrize("share", [math.nan, 7, "high"])
def test_an_agreement_that_is_no_share_gives_no_signal(share: Any) -> None:
    assert (
        Agreement("answer")(Case(prediction=dspy.Prediction(answer="4", agreement=share))) is None
    )


@pytest.mark.parametrize("signal", [math.nan, 2.0, -1.0])
def test_a_signal_that_is_no_share_accepts_nothing(signal: float) -> None:
    for curve in (None, isotonic([0.1, 0.9] * 9, [True] * 18)):
        assert not Confidence(lambda case: signal, at_least=0.2, curve=curve)(Case())


@pytest.mark.parametrize("choose", [for_accuracy, for_share])
@pytest.mark.parametrize("wrong", [math.nan, 1.5])
def test_a_threshold_is_not_chosen_on_what_is_no_signal(choose: Any, wrong: float) -> None:
    with pytest.raises(DataError, match="number from 0 to 1"):
        choose([wrong, 0.5, None] * 100, [True] * 300, 0.9)


@pytest.mark.parametrize("fit", [isotonic, platt])
def test_no_curve_is_drawn_through_what_is_missing(fit: Any) -> None:
    with pytest.raises(DataError, match="number from 0 to 1"):
        fit([None, 0.5], [True, False])


@pytest.mark.parametrize(
    "body",
    [
        {"form": "platt", "slope": math.nan, "offset": 0.0},
        {"form": "platt", "slope": -5.0, "offset": 0.0},
        {"form": "steps", "signals": [0.1], "shares": [0.1]},
        {"form": "isotonic", "signals": [math.nan], "shares": [0.5]},
        {"form": "isotonic", "signals": [0.1, 0.5], "shares": [-4.0, 9.0]},
    ],
)
def test_a_curve_that_falls_or_is_no_curve_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="curve"):
        curve_from_json(body)


def test_a_greatest_number_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="above 0"):
        Stated("confidence", most=0)
