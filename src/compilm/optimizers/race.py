"""A race: children against the incumbent on the same examples in the same order.

Each comparison is paired. After every block a child whose chance of being better has fallen under
`FUTILE` is dropped, after 2, 4, 8 … blocks the worse half of a crowd is dropped, and the
race ends early once the leader is better with a chance above `CERTAIN`. The early stops serve the
search only: what is claimed in the end is measured on examples no race has seen.

The rule and its operating characteristics follow the two-sided stopping of racing (Maron & Moore
1994; Birattari et al. 2002) with the posterior chance of superiority in place of a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..metrics.stats import probability_better
from .candidate import Candidate
from .evaluate import Rollout

__all__ = ["CERTAIN", "FUTILE", "Comparison", "blocks", "compare", "race"]

FUTILE = 0.30
CERTAIN = 0.95
BLOCK = 10
_EARLIEST = 30  # pairs before a leader can end a race
_TELLING = 40  # pairs after which a child that never differed is dropped
_CROWD = 2  # from this many children on, halving drops the worse half

Run = Callable[[Sequence[tuple[Candidate, int]]], list[Rollout]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate against an incumbent on the examples both have a score for.

    `difference` is the mean of the paired differences, `p_better` the posterior chance that the
    true difference is above 0.
    """

    candidate: Candidate
    incumbent: Candidate
    differences: tuple[float, ...] = ()
    outcome: str = ""
    scores: tuple[float, ...] = field(default=(), repr=False)

    @property
    def n(self) -> int:
        return len(self.differences)

    @property
    def wins(self) -> int:
        return sum(d > 0 for d in self.differences)

    @property
    def losses(self) -> int:
        return sum(d < 0 for d in self.differences)

    @property
    def difference(self) -> float:
        return math.fsum(self.differences) / self.n if self.n else 0.0

    @property
    def p_better(self) -> float:
        return probability_better(self.differences) if self.n else 0.5


def blocks(count: int, size: int = BLOCK) -> Iterator[range]:
    """The places 0 … count-1 in blocks.

    >>> [list(block) for block in blocks(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def compare(
    candidate: Candidate, mine: Sequence[Rollout], incumbent: Candidate, theirs: Sequence[Rollout]
) -> Comparison:
    """The paired comparison over rollouts on the same examples; missing scores drop their pair."""
    pairs = [
        (a.score.value, b.score.value)
        for a, b in zip(mine, theirs, strict=True)
        if not (a.score.is_missing or b.score.is_missing)
    ]
    scores = tuple(r.score.value for r in mine if not r.score.is_missing)
    return Comparison(candidate, incumbent, tuple(a - b for a, b in pairs), scores=scores)


def race(
    incumbent: Candidate,
    children: Sequence[Candidate],
    order: Sequence[int],
    run: Run,
    *,
    afford: Callable[[int], bool],
) -> list[Comparison]:
    """The comparisons of all children, in their order, each with its outcome.

    `order` holds places of the examples; `run` gives rollouts for pairs of candidate and place;
    `afford(n)` says whether n more rollouts may be made. Outcomes: `won` (one child at most),
    `lost` (went the distance, or was beaten), `dropped` (early).
    """
    alive = list(children)
    done: dict[str, Comparison] = {}
    mine: dict[str, list[Rollout]] = {child.id: [] for child in children}
    theirs: list[Rollout] = []
    now: dict[str, Comparison] = {}
    for block in blocks(len(order)):
        work = [(who, order[place]) for who in [incumbent, *alive] for place in block]
        if not afford(len(work)):
            break
        found = run(work)
        theirs += found[: len(block)]
        for number, child in enumerate(alive, start=1):
            mine[child.id] += found[number * len(block) : (number + 1) * len(block)]
        now = {c.id: compare(c, mine[c.id], incumbent, theirs) for c in alive}
        for child in _hopeless(alive, now, seen=block.stop):
            alive.remove(child)
            done[child.id] = _ended(now[child.id], "dropped")
        if not alive or _certain(alive, now):
            break
    winner = _winner(alive, now)
    for child in alive:
        outcome = "won" if child is winner else "lost"
        done[child.id] = _ended(now.get(child.id, Comparison(child, incumbent)), outcome)
    return [done[child.id] for child in children]


def _hopeless(
    alive: Sequence[Candidate], now: dict[str, Comparison], *, seen: int
) -> list[Candidate]:
    futile = [child for child in alive if now[child.id].p_better < FUTILE or _same(now[child.id])]
    rest = [child for child in alive if child not in futile]
    doubled = seen > BLOCK and seen % BLOCK == 0 and (seen // BLOCK).bit_count() == 1
    if doubled and len(rest) > _CROWD:
        ranked = sorted(rest, key=lambda child: -now[child.id].difference)
        futile += ranked[max(_CROWD, math.ceil(len(ranked) / 2)) :]
    return futile


def _same(comparison: Comparison) -> bool:
    """No example has told the two apart for so long that none will."""
    return comparison.n >= _TELLING and not comparison.wins and not comparison.losses


def _certain(alive: Sequence[Candidate], now: dict[str, Comparison]) -> bool:
    leader = max((now[child.id] for child in alive), key=lambda c: c.difference)
    return leader.n >= _EARLIEST and leader.p_better > CERTAIN


def _winner(alive: Sequence[Candidate], now: dict[str, Comparison]) -> Candidate | None:
    better = [now[c.id] for c in alive if c.id in now and now[c.id].difference > 0]
    better = [c for c in better if c.p_better > 0.5]
    return max(better, key=lambda c: c.difference).candidate if better else None


def _ended(comparison: Comparison, outcome: str) -> Comparison:
    return Comparison(
        comparison.candidate,
        comparison.incumbent,
        comparison.differences,
        outcome,
        comparison.scores,
    )
