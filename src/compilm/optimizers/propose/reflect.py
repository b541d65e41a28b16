"""Reflection: a few failures, read closely, become rules; siblings that did better say how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import dspy

from ...artifact import Predictor
from ..candidate import Proposal
from .base import Lesson, Scene
from .instructions import cleaned
from .rows import fitting, lesson_rows, task

__all__ = ["ProposeRules", "Reflect", "ReflectInstruction"]

_LESSONS = 8  # failures a proposer can read closely


class ReflectInstruction(dspy.Signature):
    """Rewrite the instruction of one step of a program so that it gets these failures right.

    Each example says what the step received, what it answered, what was expected or said about
    it, and sometimes `better`: what another version of the step answered there, with more
    success. Find out why the step went wrong, and put what it should have known into the
    instruction as general rules. Keep every part of the current instruction that still holds.
    """

    task: str = dspy.InputField(desc="the step, its fields and their types")
    current_instruction: str = dspy.InputField()
    examples: str = dspy.InputField(
        desc="JSON list: inputs, expected, predicted, better, feedback, score"
    )
    proposed_instruction: str = dspy.OutputField(desc="the whole new instruction, nothing else")


class ProposeRules(dspy.Signature):
    """Write rules that would have got these failures right, to be added to an instruction.

    Each example says what the step received, what it answered, what was expected or said about
    it, and sometimes `better`: what another version of the step answered there, with more
    success. Write one short general rule a line. Repeat nothing that the instruction says already.
    """

    task: str = dspy.InputField(desc="the step, its fields and their types")
    current_instruction: str = dspy.InputField()
    examples: str = dspy.InputField(
        desc="JSON list: inputs, expected, predicted, better, feedback, score"
    )
    proposed_rules: str = dspy.OutputField(desc="the new rules only, one a line")


@dataclass(frozen=True, slots=True)
class Reflect:
    """A move: failures of the incumbent, turned into a rewritten instruction or added rules.

    `contrast` picks failures that another candidate got right. Without lessons it has nothing to
    offer.
    """

    form: Literal["rewrite", "append"] = "rewrite"
    contrast: bool = False

    asks: ClassVar[bool] = True

    @property
    def name(self) -> str:
        kind = "contrast" if self.contrast else "reflection"
        return f"{kind}, {'rewritten' if self.form == 'rewrite' else 'rules added'}"

    def __call__(self, scene: Scene) -> Proposal | None:
        lessons = self._chosen(scene)
        changes = {}
        for predictor in scene.tunable:
            text = self._ask(predictor, lessons, scene)
            if text and text != predictor.instructions:
                changes[predictor.path] = replace(predictor, instructions=text)
        shown = frozenset(lesson.rollout.example for lesson in lessons if lesson.held)
        note = f"{len(lessons)} failures for {', '.join(changes)}"
        return Proposal(self.name, changes, note, shown) if changes else None

    def _chosen(self, scene: Scene) -> list[Lesson]:
        lessons = [one for one in scene.lessons if one.better is not None or not self.contrast]
        return scene.rng.sample(lessons, min(_LESSONS, len(lessons)))

    def _ask(self, predictor: Predictor, lessons: Sequence[Lesson], scene: Scene) -> str | None:
        known = lesson_rows(predictor, lessons)
        if not known:
            return None
        fields = {
            "task": task(predictor),
            "current_instruction": predictor.instructions,
            "examples": fitting(known),
        }
        if self.form == "rewrite":
            answer = scene.ask(dspy.Predict(ReflectInstruction), fields, scene.number)
            return cleaned(getattr(answer, "proposed_instruction", None))
        answer = scene.ask(dspy.Predict(ProposeRules), fields, scene.number)
        rules = cleaned(getattr(answer, "proposed_rules", None))
        return f"{predictor.instructions}\n\n{rules}" if rules else None
