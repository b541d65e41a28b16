"""Outputs of every type: models in models, lists of literals, numbers and truth values."""

from typing import Literal

import dspy
from pydantic import BaseModel, Field

from ..texts import drawn, text


class Place(BaseModel):
    city: str
    floor: int = 0


class Ticket(BaseModel):
    title: str = Field(max_length=80)
    place: Place
    tags: list[str] = []


class Read(dspy.Signature):
    """Turn the message into a ticket."""

    message: str = dspy.InputField()
    ticket: Ticket = dspy.OutputField()
    teams: list[Literal["it", "house", "money"]] = dspy.OutputField()
    hours: int = dspy.OutputField()
    urgent: bool = dspy.OutputField()
    deadline: str | None = dspy.OutputField()


class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.read = dspy.Predict(Read)

    def forward(self, message: str) -> dspy.Prediction:
        return self.read(message=message)


def share_right(example, prediction, trace=None):
    names = ("ticket", "teams", "hours", "urgent")
    right = [getattr(example, name) == getattr(prediction, name) for name in names]
    return sum(right) / len(right)


def examples():
    found = []
    for number in range(60):
        message = text(1100 + number, 7)
        words = message.split()
        place = Place(city=words[0], floor=drawn(message, "floor", 5))
        teams = [team for team in ("it", "house", "money") if drawn(message, team, 2)]
        found.append(
            dspy.Example(
                message=message,
                ticket=Ticket(title=words[1], place=place, tags=words[2:4]),
                teams=teams,
                hours=drawn(message, "hours", 40),
                urgent=bool(drawn(message, "urgent", 2)),
                deadline="today" if drawn(message, "deadline", 2) else "later",
            ).with_inputs("message")
        )
    return found
