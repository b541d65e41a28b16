"""Demonstrations chosen per call: the training pool goes along, the closest of it are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ...artifact import Nearest, Predictor
from ...programs.nearest import EMBEDDER, text_fields
from ..candidate import Proposal
from .base import Scene
from .demos import Demo, bootstrapped, distinct, labeled, spread

__all__ = ["LARGEST", "NearestDemos", "thinned"]

LARGEST = 2000  # demonstrations of a pool: half a millisecond a call, half a megabyte or so a file


@dataclass(frozen=True, slots=True)
class NearestDemos:
    """A move: for each call the `k` nearest of the labeled demos, after `fixed` that stay.

    Where the data has no labels for a predictor its pool is made of good rollouts. Predictors
    that have no input of text, or no more demos than would be shown anyway, are left alone.
    """

    k: int
    fixed: int = 0

    asks: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "nearest demos"

    def __call__(self, scene: Scene) -> Proposal | None:
        changes = {}
        for predictor in (p for p in scene.tunable if text_fields(p.inputs)):
            pool = _pool(predictor, scene)
            if len(pool) > self.k + self.fixed:
                demos = tuple(spread(pool, predictor, self.fixed, scene.rng))
                nearest = Nearest(self.k, EMBEDDER, tuple(pool))
                changes[predictor.path] = replace(predictor, demos=demos, nearest=nearest)
        fixed = f", {self.fixed} fixed" if self.fixed else ""
        note = f"{self.k} a call for {', '.join(changes)}{fixed}"
        return Proposal(self.name, changes, note) if changes else None


def _pool(predictor: Predictor, scene: Scene) -> list[Demo]:
    """In the order of the data and without chance: two moves of one run share a pool."""
    found = labeled(predictor, scene.train) or bootstrapped(predictor, scene.seen)
    return thinned(distinct(found, predictor))


def thinned(pool: list[Demo]) -> list[Demo]:
    """As many as a pool may hold, in the order of the data and evenly out of it.

    >>> len(thinned([{"n": n} for n in range(5000)])) == LARGEST
    True
    """
    if len(pool) <= LARGEST:
        return pool
    return [pool[place * len(pool) // LARGEST] for place in range(LARGEST)]
