"""Examples as a proposer reads them: inputs, what was expected, what came, what was said of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dspy

from ... import canonical
from ...artifact import Predictor
from ...datasets import DataSet
from ..rollout import Rollout, Step
from .base import Lesson

__all__ = ["fitting", "lesson_rows", "rows", "task"]

_SHOWN = 40_000  # characters of examples shown to the proposer


def rows(predictor: Predictor, train: DataSet, seen: Sequence[Rollout]) -> list[dict[str, Any]]:
    """Training examples as one predictor met them: rollouts first, then what the data itself says.

    Each row has `inputs`, and where known `expected`, `predicted`, `feedback` and `score`.
    """
    by_id = {id: train[index] for index, id in enumerate(train.ids)}
    found, met = [], set()
    for rollout in seen:
        example = by_id.get(rollout.example)
        for step in _steps(predictor, rollout):
            if example is not None:
                met.add(rollout.example)
                found.append(_row(predictor, dict(step.inputs), example, step, rollout))
    names = [field.name for field in predictor.inputs]
    for id, example in by_id.items():
        inputs = {name: example.get(name) for name in names}
        if id not in met and all(value is not None for value in inputs.values()):
            row = _row(predictor, canonical.plain(inputs), example)
            if row.get("expected"):
                found.append(row)
    return found


def lesson_rows(predictor: Predictor, lessons: Sequence[Lesson]) -> list[dict[str, Any]]:
    """A row for each step of the lessons' rollouts; `better` is what did better there."""
    found = []
    for lesson in lessons:
        rival = _steps(predictor, lesson.better) if lesson.better else []
        for place, step in enumerate(_steps(predictor, lesson.rollout)):
            row = _row(predictor, dict(step.inputs), lesson.example, step, lesson.rollout)
            if place < len(rival):
                row["better"] = dict(rival[place].outputs)
            found.append(row)
    return found


def _steps(predictor: Predictor, rollout: Rollout) -> list[Step]:
    return [step for step in rollout.steps if step.path == predictor.path]


def _row(
    predictor: Predictor,
    inputs: dict[str, Any],
    example: dspy.Example,
    step: Step | None = None,
    rollout: Rollout | None = None,
) -> dict[str, Any]:
    names = [field.name for field in predictor.outputs]
    gold = {n: example[n] for n in names if n in example and example[n] is not None}
    row: dict[str, Any] = {"inputs": inputs}
    if gold:
        row["expected"] = canonical.plain(gold)
    if step is not None:
        row["predicted"] = dict(step.outputs)
    if rollout is not None and not rollout.score.is_missing:
        row["score"] = round(rollout.score.value, 4)
        feedback = (step.feedback if step else "") or rollout.score.feedback
        if feedback:
            row["feedback"] = feedback
    return row


def task(predictor: Predictor) -> str:
    """The step as a proposer is told of it."""

    def described(side: str, fields: Sequence[Any]) -> str:
        told = [f"`{f.name}` ({f.type}){': ' + f.desc if f.desc else ''}" for f in fields]
        return f"{side}: {', '.join(told)}."

    return (
        f"The step `{predictor.path}`. {described('Inputs', predictor.inputs)} "
        f"{described('Outputs', predictor.outputs)}"
    )


def fitting(known: Sequence[dict[str, Any]], limit: int = _SHOWN) -> str:
    """The JSON list of as many rows from the front as fit the limit in characters, one at least."""
    total = 0
    kept: list[dict[str, Any]] = []
    for row in known:
        total += len(canonical.dumps(row))
        if kept and total > limit:
            break
        kept.append(row)
    return json.dumps(kept, ensure_ascii=False)
