"""What a move is, and what it may look at: the training pool and what the run has seen so far."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dspy

from ...artifact import Predictor
from ...datasets import DataSet
from ..candidate import Candidate, Proposal
from ..rollout import Rollout

__all__ = ["Lesson", "Move", "Scene"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One rollout of the incumbent to learn from, and where known one that did better.

    `held` is true for a validation example: whoever shows it to a proposer says so
    (`Proposal.shown`), and it no longer counts for what comes of it.
    """

    example: dspy.Example
    rollout: Rollout
    better: Rollout | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What a move may use. Test examples are never here.

    `seen` are the incumbent's rollouts on training examples, `lessons` what went wrong in them and
    in races. `tunable` are the predictors that may change; `others` the candidates raced before,
    the best first, and `gains` what each is believed to gain. `ask` asks the proposer's model,
    under the budget and into the journal.
    """

    incumbent: Candidate
    train: DataSet
    seen: Sequence[Rollout]
    lessons: Sequence[Lesson]
    tunable: tuple[Predictor, ...]
    others: Sequence[Candidate]
    gains: Mapping[str, float]
    ask: Callable[[dspy.Predict, dict[str, Any], int], Any]
    number: int
    rng: random.Random


class Move(Protocol):
    """A way to make a candidate out of the incumbent; `None` where it has nothing to offer."""

    @property
    def name(self) -> str:
        """As it stands in the journal and the report."""
        ...

    @property
    def asks(self) -> bool:
        """Whether it asks the proposer's model, which takes its time."""
        ...

    def __call__(self, scene: Scene) -> Proposal | None: ...
