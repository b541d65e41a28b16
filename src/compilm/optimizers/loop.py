"""The search: propose, race, keep or drop, until nothing wins or the budget says stop.

Nothing here remembers: what a run knows is in the journal, and a resumed run walks through the
same decisions again, answered from there, until it reaches the first thing that is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ..datasets import DataSet
from ..metrics.stats import Estimate
from ..randomness import rng
from . import headroom
from .bandit import Arm, Bandit
from .blame import blamed
from .candidate import Candidate
from .checks import TextChecks
from .decisions import Decisions
from .economy import savings, trial
from .evaluate import Evaluator
from .evidence import Evidence
from .front import FREE, Constraints
from .meter import Meter
from .proposals import Ask, Proposals
from .race import BLOCK, race
from .recipes import Recipe
from .records import Writer

__all__ = ["Limits", "Outcome", "Search"]

_LOOK = (10, 50)  # validation examples the baseline is run on before anything is tried
_LOOK_SHARE = 10  # one in so many rollouts of the budget
_RACED = 300  # validation examples a race may use
_OPENING = (4, 40)  # candidates at least, and rollouts of the budget for each
_FINALISTS = 3
_CONTENDER = 0.05  # the chance of being best that makes a finalist


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search ends with: the best candidate, what speaks for it, and why it ended."""

    best: Candidate
    evidence: Evidence
    stop: str

    @property
    def baseline_val(self) -> Estimate | None:
        """The baseline's validation score."""
        return self.evidence.estimate(self.evidence.baseline)

    @property
    def best_val(self) -> Estimate | None:
        """The best candidate's validation score."""
        return self.evidence.estimate(self.best)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a search may not touch, and what it must keep.

    frozen: predictor paths that stay as they are. roles: models that predictors may be moved to
    where that is not worse.
    """

    frozen: Sequence[str] = ()
    constraints: Constraints = FREE
    roles: Sequence[str] = ()


class Search:
    """One search over one program; `run` walks it from the baseline to the end."""

    def __init__(
        self,
        recipe: Recipe,
        baseline: Candidate,
        train: DataSet,
        val: DataSet,
        evaluator: Evaluator,
        writer: Writer,
        meter: Meter,
        ask: Ask,
        *,
        checks: TextChecks,
        seed: int,
        limits: Limits = Limits(),
    ) -> None:
        self._recipe, self._train, self._val, self._seed = recipe, train, val, seed
        self._evaluator, self._meter, self._limits = evaluator, meter, limits
        self.evidence = Evidence(evaluator, baseline)
        self.best = baseline
        self._proposals = Proposals(
            train, val, evaluator, self.evidence, writer, checks, ask,
            frozen=limits.frozen, seed=seed,
        )  # fmt: skip
        self._decisions = Decisions(writer, self.evidence, meter)
        self._order = rng(seed, "race order").sample(range(len(val)), min(len(val), _RACED))
        writer.append("candidate", baseline.to_json())

    def run(self) -> Outcome:
        """Walk the search; `RunStopped` passes through, and `outcome` tells what was found."""
        scores = self._look()
        if not self._recipe.opening:
            return self.outcome("the level only measures")
        if not self._proposals.tunable(self.best):
            return self.outcome("nothing may change: every predictor is frozen")
        if headroom.full(scores):
            return self.outcome("no headroom: the program scores as high as the metric goes")
        stop = self._open() or self._rounds()
        self._finals()
        if self._recipe.economy and self.best is not self.evidence.baseline:
            self._economize()
        return self.outcome(stop)

    def outcome(self, stop: str) -> Outcome:
        """What the search knows now."""
        return Outcome(self.best, self.evidence, stop)

    def _look(self) -> list[float]:
        """The baseline on some examples; on all where only measuring or where all are right."""
        allowed = self._allows()
        self._proposals.fit_study(allowed)
        first = max(_LOOK[0], min(_LOOK[1], allowed // _LOOK_SHARE))
        if not self._recipe.opening:
            first = len(self._order)
        scores = self._baseline_scores(min(first, allowed))
        if scores and min(scores) >= 1 and len(scores) < len(self._order):
            scores = self._baseline_scores(min(len(self._order), self._allows()))
        self._decisions.measured(self.best, "baseline")
        return scores

    def _baseline_scores(self, count: int) -> list[float]:
        found = self.evidence.run([(self.best, index) for index in self._order[:count]])
        return [rollout.score.value for rollout in found if not rollout.score.is_missing]

    def _open(self) -> str:
        """The wide opening; a word where the budget does not even allow that."""
        least, each = _OPENING
        moves, wanted = list(self._recipe.opening), max(least, self._allows() // each)
        if not self._affordable(min(wanted, len(moves))):
            return "budget: no race fits"
        children: list[tuple[Candidate, Arm]] = []
        while moves and len(children) < wanted:  # a refused proposal leaves its place to the next
            tried, moves = moves[: wanted - len(children)], moves[wanted - len(children) :]
            arms = [Arm(move) for move in tried]
            children += self._proposals.made(self.best, arms, partial(self._begin_race, wanted))
        self._race([child for child, _ in children], "opening")
        return ""

    def _rounds(self) -> str:
        bandit, dry = Bandit(self._arms()), 0
        for turn in range(self._recipe.most_rounds):
            if not self._affordable(self._recipe.width):
                return "budget: no further race fits"
            chance = rng(self._seed, "moves", turn)
            won = self._round(bandit, bandit.choose(self._recipe.width, chance, self._blame()))
            dry = 0 if won else dry + 1
            if dry > self._recipe.patience:
                return f"no gain in {dry} rounds"
            if stop := self._nothing_to_gain():
                return stop
        return "all rounds were run"

    def _round(self, bandit: Bandit, arms: Sequence[Arm]) -> bool:
        """One race of what the arms propose; what came of each is learned."""
        before = self.best
        begin = partial(self._begin_race, len(arms))
        children = self._proposals.made(before, arms, begin)
        self._race([child for child, _ in children], "race")
        idle = list(arms)  # one arm may be tried more than once, and each try counts
        for child, arm in children:
            idle.remove(arm)
            cost = len(self.evidence.rollouts(child))
            bandit.learn(arm, gain=self._gain_over(child, before), cost=cost)
        for arm in idle:
            bandit.learn(arm, gain=0.0, cost=1)
        return self.best is not before

    def _gain_over(self, child: Candidate, incumbent: Candidate) -> float:
        """What the winner of a race brought; 0 for all others."""
        fitted = self.evidence.fitted()
        if child is not self.best or fitted is None:
            return 0.0
        return max(1e-3, fitted.difference(child.id, incumbent.id).mean)

    def _arms(self) -> list[Arm]:
        """Every move on all predictors, and where there are several on each one too."""
        paths = [predictor.path for predictor in self._proposals.tunable(self.best)]
        single = [Arm(move, path) for move in self._recipe.rounds for path in paths]
        return [Arm(move) for move in self._recipe.rounds] + (single if len(paths) > 1 else [])

    def _blame(self) -> dict[str, float]:
        seen = self._proposals.studied(self.best)
        return blamed(self._proposals.tunable(self.best), seen, self._train)

    def _race(self, children: Sequence[Candidate], phase: str) -> None:
        comparisons = race(
            self.best,
            children,
            self._order_for,
            self.evidence.run,
            afford=self._fits,
            may_win=self._keeps,
        )
        self._evaluator.executor.forget()
        winners = [c.candidate for c in comparisons if c.outcome == "won"]
        self.best = winners[0] if winners else self.best
        self._decisions.compared(comparisons, phase, self.best)

    def _begin_race(self, racers: int, child: Candidate) -> None:
        """The first block of its race, while a proposer answers; not where budget gets scarce."""
        if self._affordable(racers):
            work = [(child, index) for index in self._order_for(child)[:BLOCK]]
            self._evaluator.meanwhile(work, "val")

    def _order_for(self, child: Candidate) -> list[int]:
        """The shared order without the examples that its proposers were shown."""
        return [index for index in self._order if self._val.ids[index] not in child.shown]

    def _keeps(self, candidate: Candidate) -> bool:
        """Whether a candidate that was run keeps the constraints."""
        limits = self._limits.constraints
        return not limits.is_limit or limits.allows(self.evidence.point(candidate))

    def _finals(self) -> None:
        """The leftover budget (half, where savings follow) goes to the few that may be best."""
        fitted = self.evidence.fitted()
        if fitted is None or self.best is self.evidence.baseline:
            return
        chances = fitted.best_chances(seed=self._seed)
        likely = sorted(self.evidence.candidates, key=lambda c: -chances[c.id])[:_FINALISTS]
        work: list[tuple[Candidate, int]] = []
        share = 2 if self._recipe.economy else 1
        for finalist in likely:
            more = [(finalist, index) for index in self._order_for(finalist)]
            if chances[finalist.id] >= _CONTENDER and self._fits([*work, *more], share):
                work += more
        base = [(self.evidence.baseline, index) for index in self._order]
        work += base if self._fits([*work, *base], share) else []  # what a gain is held against
        self.evidence.run(work)
        gains = self.evidence.gains()
        fit = [c for c in likely if c.id in gains and self._keeps(c)]
        best = max([self.best, *fit], key=lambda c: gains.get(c.id, -1.0))
        wanted = self._limits.constraints.choose(self.evidence.points(), best.id)
        self.best = next(c for c in self.evidence.candidates if c.id == wanted)
        self._decisions.measured(self.best, "final")

    def _economize(self) -> None:
        """Savings on the winner, one after the other, each kept only if it is not worse."""
        chance = rng(self._seed, "economy")
        paths = [predictor.path for predictor in self._proposals.tunable(self.best)]
        for saving in savings(paths, self._limits.roles):
            child = self._proposals.admitted(self.best, saving.of(self.best, chance))
            if child is not None:
                order = self._order_for(child)
                found = trial(child, self.best, order, self.evidence.run, afford=self._fits)
                self.best = child if found.outcome == "won" else self.best
                self._decisions.compared([found], "economy", self.best)

    def _nothing_to_gain(self) -> str:
        still = self.best is self.evidence.baseline
        if still and headroom.nothing_to_gain(self.evidence.fitted(), seed=self._seed):
            return f"no headroom: a gain above {headroom.WORTH} is unlikely by what was tried"
        return ""

    def _affordable(self, racers: int) -> bool:
        """Whether a race's first block fits, with the study of the incumbent."""
        first = (racers + 1) * min(10, len(self._order)) + len(self._proposals.study)
        return self._allows() >= first

    def _fits(self, work: Sequence[tuple[Candidate, int]], share: int = 1) -> bool:
        """Whether the work takes at most one in `share` of the rollouts that are left."""
        new = sum(self._evaluator.known(who, "val", index) is None for who, index in work)
        return self._allows() >= share * new

    def _allows(self) -> int:
        return self._meter.allows(len(self.best.predictors))
