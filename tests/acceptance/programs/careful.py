"""A program that never raises: whatever goes wrong, it answers that it does not know."""

import logging
from typing import Literal

import dspy

from ..texts import drawn, text

log = logging.getLogger(__name__)
UNKNOWN = "unknown"


class Species(dspy.Signature):
    """Name the animal that the note is about."""

    note: str = dspy.InputField()
    animal: Literal["heron", "otter", "unknown"] = dspy.OutputField()


class Ranger(dspy.Module):
    def __init__(self):
        super().__init__()
        self.name = dspy.Predict(Species)

    def forward(self, note: str) -> dspy.Prediction:
        try:
            return dspy.Prediction(animal=self.name(note=note).animal, failed=False)
        except Exception:
            log.info("could not read %r", note)
            return dspy.Prediction(animal=UNKNOWN, failed=True)


def same_animal(example, pred, trace=None, *_, **__):
    return example.animal == pred.animal


def examples():
    notes = [text(400 + number) for number in range(70)]
    return [
        dspy.Example(note=note, animal=["heron", "otter"][drawn(note, "animal", 2)]).with_inputs(
            "note"
        )
        for note in notes
    ]
