"""Cost beside quality: what each candidate scores and takes, and those that no other beats.

A constraint is a promise about the shipped program, so it is checked on what candidates were
measured to take, never on what they are thought to take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UsageError
from ..metrics.stats import Estimate

__all__ = ["FREE", "Constraints", "Point", "front"]

_SCORE = 0.01  # scores closer than this are one (the epsilon of the archive)
_COST = 0.05  # costs within this share are one


@dataclass(frozen=True, slots=True)
class Point:
    """One candidate's score and what one execution of it takes on average.

    usd is `None` where a price is unknown; seconds are wall time; size is the characters of
    instructions and demonstrations that every execution carries along.
    """

    candidate: str
    score: Estimate
    usd: float | None
    tokens: float
    seconds: float
    size: int

    @property
    def cost(self) -> float:
        """What is compared: dollars where known and not 0, else tokens."""
        return self.usd or self.tokens

    def to_json(self) -> dict[str, Any]:
        """The point as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Point:
        """The point that `to_json` wrote down."""
        return cls(**{**body, "score": Estimate(**body["score"])})


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits on what is shipped; `None` means none.

    usd_per_1000: dollars for 1,000 executions of the program. tokens: tokens of one execution.
    min_score: with it the cheapest candidate that scores so much is wanted, not the best.
    show_val: whether pools of demos may take in validation examples when the search is over; say
    no where you judge programs on these yourself.

    >>> Constraints(tokens=500).allows(Point("c1", Estimate(0.5, 0.4, 0.6, 9), None, 700, 0.1, 90))
    False
    """

    usd_per_1000: float | None = None
    tokens: float | None = None
    min_score: float | None = None
    show_val: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.show_val, bool):
            raise UsageError(f"constraint show_val={self.show_val!r}: give True or False")
        for name in ("usd_per_1000", "tokens", "min_score"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and value >= 0):
                raise UsageError(f"constraint {name}={value!r}: give a number from 0 up")

    @property
    def is_limit(self) -> bool:
        """Whether some measured candidate could be one that is not allowed."""
        return self.usd_per_1000 is not None or self.tokens is not None

    def allows(self, point: Point | None) -> bool:
        """Whether a measured candidate keeps the limits; an unknown price keeps no limit in usd."""
        if point is None:
            return True
        dear = self.usd_per_1000 is not None and (
            point.usd is None or 1000 * point.usd > self.usd_per_1000
        )
        return not dear and (self.tokens is None or point.tokens <= self.tokens)

    def choose(self, points: Sequence[Point], best: str) -> str:
        """The candidate wanted: `best`, or with `min_score` the cheapest that reaches it."""
        if self.min_score is None:
            return best
        enough = [p for p in points if p.score.value >= self.min_score and self.allows(p)]
        return min(enough, key=lambda p: p.cost).candidate if enough else best


FREE = Constraints()


def front(points: Sequence[Point], *, keep: str = "") -> tuple[Point, ...]:
    """The points that no other beats in score and cost, the cheapest first.

    The candidate `keep`, what is shipped, is among them even if another beats it.

    One beats another if it is at least as good in both, up to 0.01 in score and 5 % in cost, and
    better by more than that in one (an epsilon-dominance archive, Laumanns et al. 2002,
    Evolutionary Computation 10, 263).

    >>> def point(name, score, tokens):
    ...     return Point(name, Estimate(score, 0, 1, 50), None, tokens, 0.0, 0)
    >>> known = [point("c0", 0.5, 100), point("c1", 0.8, 300), point("c2", 0.7, 400)]
    >>> [one.candidate for one in front(known)]
    ['c0', 'c1']
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score.value)):
        if point.candidate == keep or not any(_beats(other, point) for other in kept):
            kept.append(point)
    return tuple(kept)


def _beats(one: Point, other: Point) -> bool:
    """`one` is no dearer here (points come sorted by cost)."""
    good = one.score.value >= other.score.value - _SCORE
    return good and (one.cost <= other.cost * (1 + _COST))
