"""Banking77: one predictor that says which of 77 intents a bank customer's message has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dspy

LABELS = Path(__file__).with_name("data") / "labels.json"


class Banking77(dspy.Module):
    """Classifies a message as one of the labels it is built with."""

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.classify = dspy.Predict(signature(labels))

    def forward(self, text: str) -> dspy.Prediction:
        return self.classify(text=text)


def signature(labels: Sequence[str]) -> type[dspy.Signature]:
    """`text -> intent`, where the intent is one of the labels."""
    one_of: Any = Literal[tuple(labels)]
    fields = {"text": (str, dspy.InputField()), "intent": (one_of, dspy.OutputField())}
    made: type[dspy.Signature] = dspy.Signature(fields, "Classify a bank customer's message.")
    return made


def make(labels: str | None = None) -> Banking77:
    """The program with the labels of a JSON list; by default the one that prepare.py wrote."""
    path = Path(labels) if labels else LABELS
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no list of labels at {str(path)!r}: run prepare.py first, which writes it"
        )
    return Banking77(json.loads(path.read_text(encoding="utf-8")))
