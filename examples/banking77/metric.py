"""Whether the intent is the right one, and if not, in words which one it was."""

from __future__ import annotations

from typing import Any

import dspy


def exact(example: Any, prediction: Any, trace: Any = None) -> dspy.Prediction:  # noqa: ARG001
    """1 for the right intent, else 0 with feedback that names it."""
    if prediction.intent == example.intent:
        return dspy.Prediction(score=1.0, feedback="Correct.")
    advice = f"`intent` should be {example.intent!r}, not {prediction.intent!r}."
    return dspy.Prediction(score=0.0, feedback=advice)
