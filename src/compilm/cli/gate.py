"""The gate of a build: a least score and a greatest loss, and the exit code they come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..config import GateSettings

__all__ = ["Gate", "gate_of"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate says: what failed, and what could not be decided for want of figures.

    `asked` is false where no gate is set: then everything passes.
    """

    failed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    asked: bool = True

    def exit_code(self, stop: str = "") -> int:
        """The exit code of a command that ended because of `stop`.

        130 and 4 where a person or the provider ended it; else 0 passed, 1 failed, and where
        undecided 5 if the budget ended, else 1.

        >>> Gate(undecided=("no held-out score",)).exit_code("budget: 3 calls")
        5
        """
        if stop.startswith("interrupted"):
            return 130
        if stop.startswith("rejected"):
            return 4
        if self.undecided and not self.failed:
            return 5 if stop.startswith("budget") else 1
        return 1 if self.failed else 0

    def incomplete(self, stop: str) -> Gate:
        """The gate over figures from a part of the examples only, which decide nothing."""
        if not self.asked:
            return self
        return replace(self, failed=(), undecided=(*self.undecided, f"it ended early ({stop})"))

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
    asked = under is not None or loss is not None
    return Gate(tuple(failed), tuple(undecided), asked)
