"""Instructions from data: the proposer's model reads training examples and what came of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import dspy

from ...artifact import Predictor, secret_in
from ..candidate import Proposal
from .base import Scene
from .rows import fitting, rows, task

__all__ = ["Instruct", "ProposeInstruction", "cleaned"]

_FENCE = re.compile(r"```(?:[\w-]*\n)?((?:(?!```).)*)```", re.DOTALL)  # around all of it
_TIPS = (
    "",
    "Name the words and situations that tell the answers apart.",
    "Say what to do in the cases that went wrong, as short rules.",
    "Be concise: keep only what changes the answer.",
)


class ProposeInstruction(dspy.Signature):
    """Write a better instruction for one step of a program that a language model carries out.

    Study the examples: what the step received, what was expected, what it answered and what was
    said about that. Find the rules that lead from the inputs to the expected outputs, above all
    where the answers were wrong, and write them into the instruction. Keep what is right in the
    current instruction. State general rules, do not list the examples themselves, and keep the
    names of the fields as they are.
    """

    task: str = dspy.InputField(desc="the step, its fields and their types")
    current_instruction: str = dspy.InputField()
    examples: str = dspy.InputField(desc="JSON list: inputs, expected, predicted, feedback, score")
    tip: str = dspy.InputField()
    proposed_instruction: str = dspy.OutputField(desc="the whole new instruction, nothing else")


@dataclass(frozen=True, slots=True)
class Instruct:
    """A move: a new instruction for each predictor, out of training examples, one request each.

    `share` is the part of the training rows that is shown, drawn anew each time, so that repeated
    proposals differ.
    """

    share: float = 1.0

    asks: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "proposed instructions"

    def __call__(self, scene: Scene) -> Proposal | None:
        changes = {}
        for predictor in scene.tunable:
            text = self._ask(predictor, scene)
            if text and text != predictor.instructions:
                changes[predictor.path] = replace(predictor, instructions=text)
        return Proposal(self.name, changes, ", ".join(changes)) if changes else None

    def _ask(self, predictor: Predictor, scene: Scene) -> str | None:
        known = rows(predictor, scene.train, scene.seen)
        if not known:
            return None
        count = max(1, round(self.share * len(known)))
        fields = {
            "task": task(predictor),
            "current_instruction": predictor.instructions,
            "examples": fitting(scene.rng.sample(known, count)),
            "tip": scene.rng.choice(_TIPS),
        }
        answer = scene.ask(dspy.Predict(ProposeInstruction), fields, scene.number)
        return cleaned(getattr(answer, "proposed_instruction", None))


def cleaned(text: Any) -> str | None:
    """What a model wrote, without a code fence around; `None` if it is no text or holds a key."""
    if not isinstance(text, str):
        return None
    fenced = _FENCE.fullmatch(text.strip())
    text = (fenced[1] if fenced else text).strip()
    return text if text and secret_in(text) is None else None
