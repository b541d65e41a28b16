"""Cheaper, and not worse: the winner made shorter or moved to a cheaper model, step by step.

The burden of proof is turned around: a saving is kept only where it is shown not to lose more
than a point.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..artifact import Predictor
from ..metrics.stats import probability_better
from .candidate import Candidate, Proposal
from .race import BLOCK, Comparison, Run, compare
from .rollout import Rollout

__all__ = ["MARGIN", "Saving", "savings", "trial"]

MARGIN = 0.01  # of the score, that a saving may cost at most
_SURE = 0.9  # the chance that it costs no more
_HOPELESS = 0.3
_FEWEST_LINES = 6


@dataclass(frozen=True, slots=True)
class Saving:
    """A way to make one predictor cheaper: another model, fewer demonstrations, a shorter text."""

    path: str
    kind: Literal["model", "demos", "text"]
    role: str = ""

    def of(self, best: Candidate, chance: random.Random) -> Proposal | None:
        """The winner with this saving; `None` where there is nothing to save."""
        own = best.by_path[self.path]
        new = {"model": self._moved, "demos": _fewer, "text": _shorter}[self.kind](own, chance)
        names = {"model": "cheaper model", "demos": "fewer demos", "text": "shorter text"}
        if new == own:
            return None
        return Proposal(names[self.kind], {self.path: new}, f"{self.path} {self.role}".strip())

    def _moved(self, own: Predictor, _: random.Random) -> Predictor:
        return replace(own, role=self.role)


def savings(paths: Sequence[str], roles: Sequence[str]) -> list[Saving]:
    """What may be saved on these predictors, the most first: models, then demos, then texts.

    `roles` are models that the application offers besides `default`, held to be cheaper by it.

    >>> [saving.kind for saving in savings(["draft"], ["cheap"])]
    ['model', 'demos', 'demos', 'text']
    """
    models = [Saving(path, "model", role) for path in paths for role in roles]
    demos = [Saving(path, "demos") for path in (*paths, *paths)]
    return [*models, *demos, *(Saving(path, "text") for path in paths)]


def _fewer(own: Predictor, chance: random.Random) -> Predictor:
    """Half of the demonstrations, of those shown to every call or of those chosen for each."""
    if own.nearest is not None and own.nearest.k >= 2:
        return replace(own, nearest=replace(own.nearest, k=own.nearest.k // 2))
    if len(own.demos) < 2:
        return own
    kept = sorted(chance.sample(range(len(own.demos)), len(own.demos) // 2))
    return replace(own, demos=tuple(own.demos[place] for place in kept))


def _shorter(own: Predictor, chance: random.Random) -> Predictor:
    """The instructions without a third of their lines; the first one stays."""
    lines = own.instructions.splitlines()
    if len(lines) < _FEWEST_LINES:
        return own
    gone = set(chance.sample(range(1, len(lines)), len(lines) // 3))
    text = "\n".join(line for place, line in enumerate(lines) if place not in gone)
    return replace(own, instructions=text)


def trial(
    child: Candidate,
    best: Candidate,
    order: Sequence[int],
    run: Run,
    *,
    afford: Callable[[Sequence[tuple[Candidate, int]]], bool],
) -> Comparison:
    """The non-inferiority race of `child` against `best`: outcome `won` if it may replace it.

    In blocks; given up where P(difference > -0.01) falls below 0.3; won where it is 0.9 or more
    when all examples are used. P is the graded posterior of `probability_better` over the paired
    differences plus the margin.
    """
    mine: dict[int, Rollout] = {}
    theirs: dict[int, Rollout] = {}
    now = Comparison(child, best, outcome="lost")
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        work = [(who, index) for who in (best, child) for index in block]
        if not afford(work):
            return replace(now, outcome="lost")
        found = run(work)
        theirs.update(zip(block, found, strict=False))
        mine.update(zip(block, found[len(block) :], strict=True))
        now = compare(child, mine, best, theirs)
        if now.n and _not_worse(now) < _HOPELESS:
            return replace(now, outcome="dropped")
    return replace(now, outcome="won" if now.n and _not_worse(now) >= _SURE else "lost")


def _not_worse(comparison: Comparison) -> float:
    return probability_better([d + MARGIN for d in comparison.differences])
