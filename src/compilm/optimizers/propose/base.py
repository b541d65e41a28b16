"""What a move is, and what it may look at: the training pool and what the run has seen of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dspy

from ...artifact import Predictor
from ...datasets import DataSet
from ..candidate import Candidate, Proposal
from ..evaluate import Rollout

__all__ = ["Move", "Scene"]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a move may use: the incumbent, the training pool, and the incumbent's rollouts on it.

    `tunable` are the predictors that may change, `others` the candidates raced before, the best
    first. `ask` asks the proposer's model, under the budget and into the journal. Validation and
    test examples are never here.
    """

    incumbent: Candidate
    train: DataSet
    seen: Sequence[Rollout]
    tunable: tuple[Predictor, ...]
    others: Sequence[Candidate]
    ask: Callable[[dspy.Predict, dict[str, Any], int], Any]
    number: int
    rng: random.Random


class Move(Protocol):
    """A way to make a candidate out of the incumbent; `None` where it has nothing to offer."""

    @property
    def name(self) -> str:
        """As it stands in the journal and the report."""
        ...

    def __call__(self, scene: Scene) -> Proposal | None: ...
