"""One execution of a candidate on one example, as a value that the journal keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..metrics import Score

__all__ = ["Rollout", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One predictor's call inside a rollout: what went in and what came out, as plain JSON.

    `feedback` is what a metric says to this step, where it speaks to single predictors.
    """

    path: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    feedback: str = ""

    def to_json(self) -> dict[str, Any]:
        """The step as it stands in a `rollout` record."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Rollout:
    """One candidate on one example: the score, the outputs, the steps, and the calls asked for."""

    candidate: str
    digest: str
    split: str
    example: str
    score: Score
    outputs: Mapping[str, Any] | None
    steps: tuple[Step, ...] = ()
    keys: tuple[str, ...] = ()
    unmanaged: int = 0
    error: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The body of a `rollout` record."""
        return {
            "candidate": self.candidate,
            "digest": self.digest,
            "split": self.split,
            "example": self.example,
            "score": self.score.to_json(),
            "outputs": self.outputs,
            "steps": [step.to_json() for step in self.steps],
            "keys": list(self.keys),
            "unmanaged": self.unmanaged,
            "calls": len(self.keys) + self.unmanaged,
            "error": self.error,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Rollout:
        """The rollout that a `rollout` record holds."""
        steps = tuple(Step(**step) for step in body["steps"])
        named = {name: body[name] for name in cls.__slots__ if name in body}
        named.update(score=Score.from_json(body["score"]), steps=steps, keys=tuple(body["keys"]))
        return cls(**named)
