"""The programs of the worlds: one step, or two of which the second leans on the first.

They stand in a file of their own because optimizers show a proposer the source of a program.
"""

from __future__ import annotations

from typing import Any

import dspy

__all__ = ["OneStep", "TwoSteps"]


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
