"""Which move to try next: Thompson sampling over what each has won for what it cost.

An *arm* is a move on one predictor, or on all of them. Its value is the chance that it wins times
what a win brings, for each rollout it takes; recent tries count more, for what helped at first is
often used up later.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .propose.base import Move

__all__ = ["Arm", "Bandit"]

_FADE = 0.9  # what one try counts after each later try of the same arm
_USUAL_GAIN = 0.02  # of a win, before any was seen
_USUAL_COST = 30.0  # rollouts of a race, before any was seen


@dataclass(frozen=True, slots=True)
class Arm:
    """A move, and the predictor it is for; `None` leaves it all of them."""

    move: Move
    path: str | None = None


@dataclass(slots=True)
class _Record:
    wins: float = 0.0
    losses: float = 0.0
    gains: float = 0.0
    won: int = 0
    cost: float = 0.0
    tries: int = 0


@dataclass(slots=True)
class Bandit:
    """What is known of each arm, in the order of the decisions about it.

    >>> from compilm.optimizers.propose.demos import Demos, Swap
    >>> good, poor = Arm(Demos("labeled", 8)), Arm(Swap())
    >>> bandit = Bandit([good, poor])
    >>> for _ in range(20):
    ...     bandit.learn(good, gain=0.05, cost=20)
    ...     bandit.learn(poor, gain=0.0, cost=20)
    >>> [arm.move.name for arm in bandit.choose(2, random.Random(0))]
    ['labeled demos', 'labeled demos']
    """

    arms: Sequence[Arm]
    _known: dict[Arm, _Record] = field(default_factory=dict)

    def choose(
        self, count: int, chance: random.Random, blame: Mapping[str, float] | None = None
    ) -> list[Arm]:
        """`count` arms, each the best of one draw; `blame` weighs predictors against each other.

        One draw of an arm: theta ~ Beta(1 + wins, 1 + losses), times the mean gain of its wins,
        over its mean cost (Thompson 1933; Chapelle and Li 2011).
        """
        weights = dict(blame or {})
        return [
            max(
                self.arms, key=lambda arm: self._drawn(arm, chance) * weights.get(arm.path or "", 1)
            )
            for _ in range(count)
        ]

    def learn(self, arm: Arm, *, gain: float, cost: float) -> None:
        """One try: `gain` above 0 where it won, and the rollouts it took."""
        known = self._known.setdefault(arm, _Record())
        won = gain > 0
        known.wins, known.losses = _FADE * known.wins + won, _FADE * known.losses + (not won)
        known.gains += max(0.0, gain)
        known.won += won
        known.cost += cost
        known.tries += 1

    def _drawn(self, arm: Arm, chance: random.Random) -> float:
        known = self._known.get(arm, _Record())
        theta = chance.betavariate(1 + known.wins, 1 + known.losses)
        gain = (known.gains + _USUAL_GAIN) / (known.won + 1)
        cost = (known.cost + _USUAL_COST) / (known.tries + 1)
        return theta * gain / cost
