"""Whether what a node gave is accepted: a check or a confidence beside it; else its fallback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy

from ..confidence import Case, Verdict, averdict_of, verdict_of
from .walk import Task

__all__ = ["NotAccepted", "aheld", "held"]


class NotAccepted(Exception):
    """An answer was not accepted. It goes to the node's fallback, as a failure, and no further."""


def held(task: Task, inputs: Mapping[str, Any], update: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the node wrote, if it is accepted."""
    accept = task.graph.accepts.get(task.name)
    if accept is not None:
        _passed(verdict_of(accept, Case(inputs, dspy.Prediction(**update))))
    return update


async def aheld(
    task: Task, inputs: Mapping[str, Any], update: Mapping[str, Any]
) -> Mapping[str, Any]:
    """As `held`, awaited."""
    accept = task.graph.accepts.get(task.name)
    if accept is not None:
        _passed(await averdict_of(accept, Case(inputs, dspy.Prediction(**update))))
    return update


def _passed(verdict: Verdict) -> None:
    if not verdict:
        raise NotAccepted(verdict.reason)
