"""Instructions: the proposer's model reads training examples and what went wrong, and writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy

from ... import canonical
from ...artifact import Predictor, secret_in
from ...datasets import DataSet
from ..candidate import Proposal
from ..evaluate import Rollout
from .base import Scene

__all__ = ["Instruct", "ProposeInstruction", "rows"]

_LONGEST = 6000  # characters of a proposed instruction
_SHOWN = 40_000  # characters of examples shown to the proposer
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


def rows(predictor: Predictor, train: DataSet, seen: Sequence[Rollout]) -> list[dict[str, Any]]:
    """Training examples as one predictor met them: rollouts first, then what the data itself says.

    Each row has `inputs`, and where known `expected`, `predicted`, `feedback` and `score`.
    """
    by_id = {id: train[index] for index, id in enumerate(train.ids)}
    found, met = [], set()
    for rollout in seen:
        example = by_id.get(rollout.example)
        for step in rollout.steps:
            if step.path == predictor.path and example is not None:
                met.add(rollout.example)
                found.append(_row(predictor, dict(step.inputs), example, step.outputs, rollout))
    names = [field.name for field in predictor.inputs]
    for id, example in by_id.items():
        inputs = {name: example.get(name) for name in names}
        if id not in met and all(value is not None for value in inputs.values()):
            row = _row(predictor, canonical.plain(inputs), example, None, None)
            if row.get("expected"):
                found.append(row)
    return found


def _row(
    predictor: Predictor,
    inputs: dict[str, Any],
    example: dspy.Example,
    outputs: Mapping[str, Any] | None,
    rollout: Rollout | None,
) -> dict[str, Any]:
    names = [field.name for field in predictor.outputs]
    gold = {n: example[n] for n in names if n in example and example[n] is not None}
    row: dict[str, Any] = {"inputs": inputs}
    if gold:
        row["expected"] = canonical.plain(gold)
    if outputs is not None:
        row["predicted"] = dict(outputs)
    if rollout is not None and not rollout.score.is_missing:
        row["score"] = round(rollout.score.value, 4)
        if rollout.score.feedback:
            row["feedback"] = rollout.score.feedback
    return row


@dataclass(frozen=True, slots=True)
class Instruct:
    """A move: a new instruction for one predictor, or for each of them.

    `share` is the part of the training rows that is shown, drawn anew each time, so that repeated
    proposals differ. `every` asks for all predictors at once, one request each.
    """

    share: float = 1.0
    every: bool = True

    @property
    def name(self) -> str:
        return "proposed instructions"

    def __call__(self, scene: Scene) -> Proposal | None:
        if not scene.tunable:
            return None
        chosen = scene.tunable if self.every else (scene.rng.choice(scene.tunable),)
        changes = {}
        for predictor in chosen:
            text = self._ask(predictor, scene)
            if text and text != predictor.instructions:
                changes[predictor.path] = replace(predictor, instructions=text)
        return Proposal(self.name, changes, ", ".join(changes)) if changes else None

    def _ask(self, predictor: Predictor, scene: Scene) -> str | None:
        known = rows(predictor, scene.train, scene.seen)
        if not known:
            return None
        count = max(1, round(self.share * len(known)))
        shown = _fitting(scene.rng.sample(known, count), _SHOWN)
        fields = {
            "task": _task(predictor),
            "current_instruction": predictor.instructions,
            "examples": json.dumps(shown, ensure_ascii=False),
            "tip": scene.rng.choice(_TIPS),
        }
        answer = scene.ask(dspy.Predict(ProposeInstruction), fields, scene.number)
        return _checked(getattr(answer, "proposed_instruction", None))


def _task(predictor: Predictor) -> str:
    def described(side: str, fields: Sequence[Any]) -> str:
        told = [f"`{f.name}` ({f.type}){': ' + f.desc if f.desc else ''}" for f in fields]
        return f"{side}: {', '.join(told)}."

    return (
        f"The step `{predictor.path}`. {described('Inputs', predictor.inputs)} "
        f"{described('Outputs', predictor.outputs)}"
    )


def _fitting(known: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """As many rows from the front as fit the limit, one at least."""
    total = 0
    kept: list[dict[str, Any]] = []
    for row in known:
        total += len(canonical.dumps(row))
        if kept and total > limit:
            break
        kept.append(row)
    return kept


def _checked(text: Any) -> str | None:
    """A proposal that can stand in a prompt: text, not empty, no code fence around, not endless."""
    if not isinstance(text, str):
        return None
    fenced = _FENCE.fullmatch(text.strip())
    text = (fenced[1] if fenced else text).strip()
    fits = 0 < len(text) <= _LONGEST and secret_in(text) is None
    return text if fits else None
