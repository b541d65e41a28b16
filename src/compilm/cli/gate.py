"""The gate of a build: a least score and a greatest loss, and the exit code they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..config import GateSettings

__all__ = ["Gate", "estimate_text", "gate_of"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate says: what failed, and what could not be decided for want of figures."""

    failed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    def exit_code(self, stop: str = "") -> int:
        """0 passed, 1 failed; where undecided, 5 if the budget ended, else 1.

        >>> Gate(undecided=("no held-out score",)).exit_code("budget: 3 calls")
        5
        """
        if self.undecided and not self.failed:
            return 5 if stop.startswith("budget") else 1
        return 1 if self.failed else 0

    def lines(self) -> tuple[str, ...]:
        """The gate for people."""
        return (
            *(f"failed: {text}" for text in self.failed),
            *(f"undecided: {text}" for text in self.undecided),
        )


def gate_of(settings: GateSettings, score: Any, gain: Any) -> Gate:
    """The gate's word on a score and a gain (estimates, or None where there is none).

    >>> from types import SimpleNamespace as Estimate
    >>> gate_of(GateSettings(fail_under=0.8), Estimate(value=0.7), None).failed
    ('score 0.700 is under 0.8',)
    """
    failed, undecided = [], []
    under, loss = settings.fail_under, settings.max_regression
    if under is not None and score is None:
        undecided.append("fail_under: there is no score")
    elif under is not None and not score.value >= under:
        failed.append(f"score {score.value:.3f} is under {under:g}")
    if loss is not None and gain is None:
        undecided.append("max_regression: there is no comparison")
    elif loss is not None and not gain.value >= -loss:
        failed.append(f"the score fell by {-gain.value:.3f}, more than {loss:g}")
    return Gate(tuple(failed), tuple(undecided))


def estimate_text(estimate: Any, *, signed: bool = False) -> str:
    """An estimate with its interval and sample size.

    >>> from types import SimpleNamespace as Estimate
    >>> estimate_text(Estimate(value=0.5, low=0.25, high=0.75, n=8))
    '0.500 [0.250, 0.750] n=8'
    """
    sign = "+" if signed else ""
    low, high = format(estimate.low, f"{sign}.3f"), format(estimate.high, f"{sign}.3f")
    return f"{format(estimate.value, f'{sign}.3f')} [{low}, {high}] n={estimate.n}"
