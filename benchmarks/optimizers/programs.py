"""The programs: of the worlds one step, or two of which the second leans on the first; of the tasks
a classifier and a reader of several fields.

They stand in a file of their own because optimizers show a proposer the source of a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import dspy

__all__ = ["Classifier", "OneStep", "Reader", "TwoSteps"]


class OneStep(dspy.Module):
    """ticket -> label."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("ticket -> label")

    def forward(self, ticket: str) -> Any:
        return self.answer(ticket=ticket)


class TwoSteps(dspy.Module):
    """ticket -> facts, then ticket and facts -> label."""

    def __init__(self) -> None:
        super().__init__()
        self.extract = dspy.Predict("ticket -> facts")
        self.answer = dspy.Predict("ticket, facts -> label")

    def forward(self, ticket: str) -> Any:
        facts = self.extract(ticket=ticket).facts
        return self.answer(ticket=ticket, facts=facts)


class Classifier(dspy.Module):
    """message -> label, which is one of those it is built with."""

    def __init__(self, labels: Sequence[str], instruction: str) -> None:
        super().__init__()
        one_of: Any = Literal[tuple(labels)]
        fields = {"message": (str, dspy.InputField()), "label": (one_of, dspy.OutputField())}
        self.classify = dspy.Predict(dspy.Signature(fields, instruction))

    def forward(self, message: str) -> Any:
        return self.classify(message=message)


class Details(dspy.Signature):
    """Copy the details from a bank customer's message. Write none for what it does not say."""

    message: str = dspy.InputField()
    date: str = dspy.OutputField(desc="a day")
    time: str = dspy.OutputField(desc="a time of day")
    amount_of_money: str = dspy.OutputField(desc="an amount of money")
    company_name: str = dspy.OutputField(desc="a shop or company")
    person_name: str = dspy.OutputField(desc="a person")


class Reader(dspy.Module):
    """message -> the intents in it, some of those it is built with, and its details."""

    def __init__(self, intents: Sequence[str]) -> None:
        super().__init__()
        some_of: Any = list[Literal[tuple(intents)]]  # type: ignore[misc]
        fields = {"message": (str, dspy.InputField()), "intents": (some_of, dspy.OutputField())}
        told = "Name all intents in a bank customer's message."
        self.intents = dspy.Predict(dspy.Signature(fields, told))
        self.details = dspy.Predict(Details)

    def forward(self, message: str) -> Any:
        intents = self.intents(message=message).intents
        return dspy.Prediction(intents=intents, **dict(self.details(message=message).items()))
