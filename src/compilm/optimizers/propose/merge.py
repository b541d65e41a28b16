"""Merging: one predictor's state from another candidate, the rest from the incumbent.

In a program of several steps a candidate can lose as a whole and still hold the best state of one
step. Taking single states over is how such a gain is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..candidate import Proposal
from .base import Scene

__all__ = ["Merge"]


@dataclass(frozen=True, slots=True)
class Merge:
    """A move: the state of one predictor as one of the `best` other candidates has it."""

    best: int = 4

    @property
    def name(self) -> str:
        return "merged"

    def __call__(self, scene: Scene) -> Proposal | None:
        choices = [
            (other, state)
            for other in scene.others[: self.best]
            for own in scene.tunable
            if (state := other.by_path[own.path]) != own
        ]
        if len(scene.tunable) < 2 or not choices:
            return None
        other, state = scene.rng.choice(choices)
        return Proposal(self.name, {state.path: state}, f"{state.path} of {other.id}")
