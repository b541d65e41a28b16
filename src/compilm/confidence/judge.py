"""A model that is asked how likely an answer is right: a signal with a predictor of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from .case import Case

__all__ = ["Judge"]


class Judging(dspy.Signature):
    """Say how likely it is that the answer to the task is right. Be strict."""

    task: str = dspy.InputField(desc="what was asked")
    answer: str = dspy.InputField(desc="what was answered")
    probability: float = dspy.OutputField(desc="from 0 to 1 that the answer is right")


class Judge(dspy.Module):
    """Asks a model for the probability that an answer is right; a signal that costs a call.

    The predictor `ask` is part of the program: an optimizer finds it, and `judge.ask.lm` binds
    another model to it. `fields` are the outputs that it is shown (all without them). An answer
    that cannot be read as a number is no signal.

    >>> from compilm.testing.engines import scripted_lm
    >>> with dspy.context(lm=scripted_lm([{"probability": "0.25"}])):
    ...     Judge()(Case({"question": "2+2?"}, dspy.Prediction(answer="5")))
    0.25
    """

    def __init__(self, fields: tuple[str, ...] = (), signature: Any = Judging) -> None:
        super().__init__()
        self.ask = dspy.Predict(signature)
        self.fields = tuple(fields)

    def forward(self, case: Case) -> float | None:
        try:
            return _share(self.ask(**self._asked(case)))
        except AdapterParseError:
            return None

    async def aforward(self, case: Case) -> float | None:
        try:
            return _share(await self.ask.acall(**self._asked(case)))
        except AdapterParseError:
            return None

    def _asked(self, case: Case) -> dict[str, str]:
        given = dict(case.prediction or {})
        shown = {name: given.get(name) for name in self.fields or given if name != "logprobs"}
        return {"task": _lines(case.inputs), "answer": _lines(shown)}


def _lines(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _share(said: dspy.Prediction) -> float | None:
    try:
        share = float(said.probability)
    except (TypeError, ValueError):
        return None
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else None
