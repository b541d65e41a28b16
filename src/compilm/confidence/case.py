"""An answer that is looked at before it is given: what was asked, what came, what came before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import dspy

__all__ = ["Attempt", "Case", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer may be given; true in a condition where it may.

    `confidence` is the probability that it is right, from 0 to 1, where one is known. `reason`
    says why it may not be given.

    >>> bool(Verdict(False, 0.41, "0.41 sure, and 0.8 is asked"))
    False
    """

    accepted: bool
    confidence: float | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.accepted


@dataclass(frozen=True, slots=True)
class Attempt:
    """One step that was tried: its name, what it gave (`None` if nothing), what was said of it."""

    step: str
    prediction: dspy.Prediction | None
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """What a record keeps of it: no text of the answer."""
        return {
            "step": self.step,
            "confidence": self.verdict.confidence,
            "reason": self.verdict.reason,
        }


@dataclass(frozen=True, slots=True)
class Case:
    """What a signal looks at: the inputs, the prediction, and the steps that were tried before.

    `prediction` is `None` where a signal is asked before the step has run.

    >>> Case({"question": "2+2?"}, dspy.Prediction(answer="4")).prediction.answer
    '4'
    """

    inputs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prediction: dspy.Prediction | None = None
    tried: tuple[Attempt, ...] = ()
