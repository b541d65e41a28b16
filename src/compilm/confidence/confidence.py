"""A confidence: a signal, the curve that makes it a probability, and from where it is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import dspy

from ..errors import DataError, UsageError
from .calibration import Curve, isotonic, platt
from .case import Case, Verdict
from .quality import brier_score, calibration_error, ranking
from .signals import Signal
from .threshold import Threshold, for_accuracy, for_share

__all__ = ["Confidence", "Outcome", "describe"]

_Fit: TypeAlias = Callable[[Sequence[float], Sequence[bool]], Curve]
_CURVES: dict[str, _Fit] = {"isotonic": isotonic, "platt": platt}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer that was checked: the signal it had, and whether it was right."""

    signal: float | None
    right: bool


class Confidence(dspy.Module):
    """Accepts an answer whose signal is high enough; a `dspy.Module`, as its signal may be.

    `at_least` is a probability (with a curve) or a signal (without one); a `Threshold`, as
    `fitted` finds it, is one of the signal. An answer without a signal is not accepted.

    >>> from compilm.confidence import Stated
    >>> sure = Confidence(Stated("confidence"), at_least=0.8)
    >>> sure(Case(prediction=dspy.Prediction(answer="4", confidence=0.6))).reason
    '0.60 sure, 0.80 is asked'
    """

    def __init__(
        self, signal: Signal, *, at_least: float | Threshold, curve: Curve | None = None
    ) -> None:
        super().__init__()
        if not isinstance(at_least, Threshold) and not 0 <= at_least <= 1:
            raise UsageError(f"at_least={at_least!r}: give a number from 0 to 1, or a Threshold")
        self.signal, self.curve, self.at_least = signal, curve, at_least

    @property
    def foresees(self) -> bool:
        """Whether the signal needs the inputs alone, so that it can be asked before a step runs."""
        return bool(getattr(self.signal, "foresees", False))

    def forward(self, case: Case) -> Verdict:
        return self._verdict(self.signal(case))

    async def aforward(self, case: Case) -> Verdict:
        if isinstance(self.signal, dspy.Module):
            return self._verdict(await self.signal.acall(case))
        return self._verdict(self.signal(case))

    def _verdict(self, signal: float | None) -> Verdict:
        if signal is None or not 0 <= signal <= 1:  # not a number, above all
            return Verdict(False, None, f"{describe(self.signal)} gave no signal")
        sure = signal if self.curve is None else self.curve(signal)
        least = self.at_least
        if not isinstance(least, Threshold):
            enough, asked = sure >= least, least
        elif least.signal is None:
            return Verdict(False, sure, "no threshold kept the target when it was fitted")
        else:
            asked = least.signal if self.curve is None else self.curve(least.signal)
            enough = signal >= least.signal
        if enough:
            return Verdict(True, sure)
        return Verdict(False, sure, f"{sure:.2f} sure, {asked:.2f} is asked")

    @classmethod
    def fitted(
        cls,
        signal: Signal,
        outcomes: Iterable[Outcome],
        *,
        accuracy: float | None = None,
        handed_on: float | None = None,
        level: float = 0.95,
        curve: Literal["isotonic", "platt"] = "isotonic",
    ) -> Confidence:
        """A confidence in this signal, calibrated on outcomes, with a threshold for one target.

        accuracy: what is accepted is right in at least this share of cases (`for_accuracy`).
        handed_on: at most this share goes to the next step (`for_share`). `platt` suits up to a
        few hundred outcomes, `isotonic` more. Raises `DataError` without any signal.

        >>> from compilm.confidence import Stated
        >>> seen = [Outcome(n / 200, n > 40) for n in range(200)] * 2
        >>> sure = Confidence.fitted(Stated("confidence"), seen, accuracy=0.9)
        >>> sure.at_least.proven, sure.at_least.signal < 0.3
        (True, True)
        """
        seen = list(outcomes)
        known = [one for one in seen if one.signal is not None]
        if not known:
            raise DataError(f"none of {len(seen)} outcomes has a signal: nothing can be fitted")
        signals, right = [one.signal for one in seen], [one.right for one in seen]
        drawn = _CURVES[curve]([one.signal or 0.0 for one in known], [one.right for one in known])
        if (accuracy is None) == (handed_on is None):
            raise UsageError("give one target: accuracy=0.95, or handed_on=0.2")
        if accuracy is not None:
            least = for_accuracy(signals, right, accuracy, level=level)
        else:
            least = for_share(signals, right, handed_on or 0.0, level=level)
        return cls(signal, at_least=least, curve=drawn)

    def quality(self, outcomes: Iterable[Outcome]) -> dict[str, float]:
        """How good the probabilities are on outcomes that they were not fitted on.

        `error` (calibration, 0 is best), `brier` (0 is best), `ranking` (1 is best, 0.5 chance),
        `n`. Answers without a signal are not among them.

        >>> from compilm.confidence import Stated
        >>> sure = Confidence(Stated("confidence"), at_least=0.5)
        >>> sure.quality([Outcome(0.9, True), Outcome(0.1, False)])["ranking"]
        1.0
        """
        known = [one for one in outcomes if one.signal is not None]
        said = [self._verdict(one.signal).confidence or 0.0 for one in known]
        right = [one.right for one in known]
        return {
            "error": calibration_error(said, right),
            "brier": brier_score(said, right),
            "ranking": ranking(said, right),
            "n": len(known),
        }


def describe(signal: Any) -> str:
    """What a signal is called in messages and files; equal for signals that say the same.

    >>> from compilm.confidence import LogProbability
    >>> describe(LogProbability("answer"))
    "LogProbability(field='answer', mean=False)"
    """
    if isinstance(signal, dspy.Module):
        return type(signal).__name__
    shown = repr(signal)
    if " at 0x" not in shown:  # as a function or a plain object would be, another in each process
        return shown
    return str(getattr(signal, "__qualname__", type(signal).__qualname__))
