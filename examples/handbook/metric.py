"""A third for the right passage, a third for the fact in the answer, a third for the desk."""

from __future__ import annotations

from typing import Any

import dspy

# What the desks of the handbook are called in the office.
DESKS = {
    "appeals": "D1",
    "billing": "D2",
    "utilization": "D3",
    "pharmacy": "D4",
    "enrollment": "D5",
}


def answered(example: Any, prediction: Any, trace: Any = None) -> dspy.Prediction:  # noqa: ARG001
    """The score of an answer, with feedback that names what was wrong."""
    desk = DESKS[example.desk]
    found = any(each["document"] == example.document for each in prediction.sources)
    told = example.fact.lower() in str(prediction.answer).lower()
    feedback = [] if found else [f"No passage of {example.document!r} was found."]
    feedback += [] if told else [f"The answer leaves out {example.fact!r}."]
    feedback += [] if prediction.desk == desk else [f"`desk` should be {desk!r}."]
    score = (found + told + (prediction.desk == desk)) / 3
    return dspy.Prediction(score=score, feedback="\n".join(feedback) or "All correct.")
