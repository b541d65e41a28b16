"""Two moves in one candidate: instructions and demonstrations help most together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..candidate import Proposal
from .base import Move, Scene

__all__ = ["Both"]


@dataclass(frozen=True, slots=True)
class Both:
    """A move: what `first` changes, and on top what `second` changes."""

    first: Move
    second: Move

    @property
    def name(self) -> str:
        return f"{self.first.name} + {self.second.name}"

    @property
    def asks(self) -> bool:
        return self.first.asks or self.second.asks

    def __call__(self, scene: Scene) -> Proposal | None:
        one = self.first(scene)
        if one is None:
            return self.second(scene)
        tunable = tuple(one.changes.get(p.path, p) for p in scene.tunable)
        two = self.second(replace(scene, tunable=tunable))
        if two is None:
            return one
        note = "; ".join(filter(None, [one.note, two.note]))
        return Proposal(self.name, {**one.changes, **two.changes}, note, one.shown | two.shown)
