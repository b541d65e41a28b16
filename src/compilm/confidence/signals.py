"""Signals of how sure an answer is: each looks at a case and gives a number from 0 to 1, or none.

A signal is any function of a `Case`; `None` says that it cannot tell, and such an answer is not
accepted. What a number is worth is not a signal's to say: curves are fitted on outcomes.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from ..errors import ProgramError, UsageError
from .case import Case

__all__ = ["Agreement", "LogProbability", "Signal", "Stated", "same_text"]

Signal: TypeAlias = Callable[[Case], float | None]


def same_text(value: Any) -> str:
    """What two answers must have in common to be the same: case, spaces and edges do not count.

    >>> same_text(" The  Answer. ") == same_text("the answer")
    True
    """
    return " ".join(str(value).casefold().split()).strip(" .,;:!?\"'`")


@dataclass(frozen=True, slots=True)
class LogProbability:
    """The probability that the model gave to the words of `field`, by its own account.

    exp(Σ log p) over the tokens of the field; with `mean`, exp of their mean, so that long answers
    are not less sure for being long. Without a field, all tokens of the answer count. The model
    must tell them: `dspy.LM(..., logprobs=True)`, or `dspy.Predict(signature, logprobs=True)`; an
    answer without them has no signal (Anthropic's models tell none). A program that makes a
    prediction of its own must hand `logprobs` on.

    >>> import dspy
    >>> tokens = [{"token": "4", "logprob": -0.1}]
    >>> said = Case(prediction=dspy.Prediction(answer="4", logprobs={"content": tokens}))
    >>> round(LogProbability()(said), 3)
    0.905
    """

    field: str | None = None
    mean: bool = False

    def __call__(self, case: Case) -> float | None:
        told = None if case.prediction is None else case.prediction.get("logprobs")
        tokens = _tokens(told)
        if self.field is not None:
            tokens = _of_field(tokens, self.field)
        if not tokens:
            return None
        total = math.fsum(score for _, score in tokens)
        power = total / len(tokens) if self.mean else total
        return None if math.isnan(power) else math.exp(min(0.0, power))


def _tokens(told: Any) -> list[tuple[str, float]]:
    """The tokens of an answer, with their log-probabilities."""
    content = told.get("content") if isinstance(told, Mapping) else getattr(told, "content", None)
    parts = [(str(_part(one, "token")), _part(one, "logprob")) for one in content or ()]
    return [(token, math.nan if score is None else float(score)) for token, score in parts]


def _part(token: Any, name: str) -> Any:
    return token[name] if isinstance(token, Mapping) else getattr(token, name)


def _of_field(tokens: list[tuple[str, float]], field: str) -> list[tuple[str, float]]:
    """Those of one field, by the marks with which DSPy's chat and JSON adapters part fields."""
    text = "".join(token for token, _ in tokens)
    name = re.escape(field)
    marks = rf"\[\[ ## {name} ## \]\]\s*(?P<chat>.*?)\s*(?=\[\[ ## |\Z)"
    forms = rf'"{name}"\s*:\s*(?P<json>"(?:[^"\\]|\\.)*"|[^,}}]*)'
    found = re.search(f"{marks}|{forms}", text, re.DOTALL)
    if found is None:
        return []
    start, end = found.span("chat" if found["chat"] is not None else "json")
    inside, at = [], 0
    for token, score in tokens:
        if at < end and at + len(token) > start:
            inside.append((token, score))
        at += len(token)
    return inside


@dataclass(frozen=True, slots=True)
class Agreement:
    """The share of answers that say the same in `field`: of samples, or of the steps so far.

    A prediction of `Samples` tells the share of its samples. Else it is the share of this answer
    among it and those of the steps that were tried before; where none was, there is no signal.
    `same` gives what must be equal.

    >>> import dspy
    >>> case = Case(prediction=dspy.Prediction(answer="4", agreement=0.6))
    >>> Agreement("answer")(case)
    0.6
    """

    field: str
    same: Callable[[Any], Any] = dataclasses.field(default=same_text, repr=False)

    def __call__(self, case: Case) -> float | None:
        if case.prediction is None:
            return None
        told = case.prediction.get("agreement")
        if told is not None:
            share = float(told) if isinstance(told, Real) else math.nan
            return share if 0 <= share <= 1 else None
        before = [one.prediction for one in case.tried if one.prediction is not None]
        if not before:
            return None
        answers = [self.same(one.get(self.field)) for one in (*before, case.prediction)]
        return answers.count(answers[-1]) / len(answers)


@dataclass(frozen=True, slots=True)
class Stated:
    """The number that the program itself states in `field`, from 0 to `most`.

    >>> import dspy
    >>> Stated("confidence", most=100)(Case(prediction=dspy.Prediction(confidence=80)))
    0.8
    """

    field: str
    most: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.most < math.inf:
            raise UsageError(f"most={self.most!r}: the greatest number stated is above 0")

    def __call__(self, case: Case) -> float | None:
        if case.prediction is None:
            return None
        if self.field not in case.prediction:
            raise ProgramError(
                f"the prediction has no field {self.field!r} that states how sure it is; it has "
                f"{', '.join(case.prediction.keys())}"
            )
        try:
            share = float(case.prediction[self.field]) / self.most
        except (TypeError, ValueError):
            return None
        return min(max(share, 0.0), 1.0) if math.isfinite(share) else None
