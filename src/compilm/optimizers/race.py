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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..metrics.stats import probability_better
from .candidate import Candidate
from .rollout import Rollout

__all__ = ["BLOCK", "CERTAIN", "FUTILE", "Comparison", "Run", "compare", "race"]

FUTILE = 0.30
CERTAIN = 0.95
BLOCK = 10
_SIDE_BY_SIDE = 30  # rollouts at least that a step makes: few children take larger blocks
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


def compare(
    candidate: Candidate,
    mine: Mapping[int, Rollout],
    incumbent: Candidate,
    theirs: Mapping[int, Rollout],
) -> Comparison:
    """The paired comparison over examples that both were run on; missing scores drop their pair."""
    pairs = [
        (mine[index].score.value, theirs[index].score.value)
        for index in mine
        if index in theirs
        if not (mine[index].score.is_missing or theirs[index].score.is_missing)
    ]
    return Comparison(candidate, incumbent, tuple(a - b for a, b in pairs))


def race(
    incumbent: Candidate,
    children: Sequence[Candidate],
    order: Callable[[Candidate], Sequence[int]],
    run: Run,
    *,
    afford: Callable[[Sequence[tuple[Candidate, int]]], bool],
    may_win: Callable[[Candidate], bool] = lambda _: True,
) -> list[Comparison]:
    """The comparisons of all children, in their order, each with its outcome.

    `order(child)` holds the places of the examples it may be judged on; `run` gives rollouts for
    pairs of candidate and place, those it has made before for nothing; `afford` says whether the
    budget allows them, and `may_win` whether a child that was run keeps what was asked of it: one
    that does not is dropped, before it crowds out others. Outcomes: `won` (one child at most),
    `lost` (went the distance, or was beaten), `dropped` (early). The incumbent runs only where a
    child is held against it.
    """
    lanes = [_Lane(child, incumbent, order(child)) for child in children]
    alive = list(lanes)
    theirs: dict[int, Rollout] = {}
    done = 0
    while any(lane.left(done) for lane in alive):
        size = max(BLOCK, _SIDE_BY_SIDE // len(alive))
        work = _step(incumbent, alive, done, size)
        if size > BLOCK and not afford(work):
            size, work = BLOCK, _step(incumbent, alive, done, BLOCK)
        if not afford(work):
            break
        found = dict(zip(((who.id, index) for who, index in work), run(work), strict=True))
        for lane in alive:
            name, block = lane.child.id, lane.block(done, size)
            theirs.update((index, found[incumbent.id, index]) for index in block)
            lane.mine.update((index, found[name, index]) for index in block)
            lane.now = compare(lane.child, lane.mine, incumbent, theirs)
        halve = _passes_a_power(done, done + size)
        done += size
        barred = [lane for lane in alive if not may_win(lane.child)]
        rest = [lane for lane in alive if lane not in barred]
        for lane in (*barred, *_hopeless(rest, halve=halve)):
            alive.remove(lane)
            lane.now = replace(lane.now, outcome="dropped")
        if not alive or _certain(alive):
            break
    winner = _winner(alive)
    for lane in alive:
        lane.now = replace(lane.now, outcome="won" if lane is winner else "lost")
    return [lane.now for lane in lanes]


class _Lane:
    """One child in a race: its own order of examples, its rollouts, and how it stands."""

    def __init__(self, child: Candidate, incumbent: Candidate, order: Sequence[int]) -> None:
        self.child, self.order = child, order
        self.mine: dict[int, Rollout] = {}
        self.now = Comparison(child, incumbent)

    def left(self, done: int) -> bool:
        return done < len(self.order)

    def block(self, done: int, size: int) -> Sequence[int]:
        return self.order[done : done + size]


def _step(
    incumbent: Candidate, alive: Sequence[_Lane], done: int, size: int
) -> list[tuple[Candidate, int]]:
    """The next `size` examples of each child, and the incumbent on all of them."""
    own = [(lane.child, index) for lane in alive for index in lane.block(done, size)]
    return [(incumbent, index) for index in dict.fromkeys(index for _, index in own)] + own


def _passes_a_power(before: int, after: int) -> bool:
    """Whether 2, 4, 8, ... blocks are done now that were not before."""
    return any(before < BLOCK * 2**power <= after for power in range(1, 20))


def _hopeless(alive: Sequence[_Lane], *, halve: bool) -> list[_Lane]:
    futile = [lane for lane in alive if lane.now.p_better < FUTILE or _same(lane.now)]
    rest = [lane for lane in alive if lane not in futile]
    if halve and len(rest) > _CROWD:
        ranked = sorted(rest, key=lambda lane: -lane.now.difference)
        futile += ranked[max(_CROWD, math.ceil(len(ranked) / 2)) :]
    return futile


def _same(comparison: Comparison) -> bool:
    """No example has told the two apart for so long that none will."""
    return comparison.n >= _TELLING and not comparison.wins and not comparison.losses


def _certain(alive: Sequence[_Lane]) -> bool:
    leader = max((lane.now for lane in alive), key=lambda now: now.difference)
    return leader.n >= _EARLIEST and leader.p_better > CERTAIN


def _winner(alive: Sequence[_Lane]) -> _Lane | None:
    better = [lane for lane in alive if lane.now.difference > 0 and lane.now.p_better > 0.5]
    return max(better, key=lambda lane: lane.now.difference) if better else None
