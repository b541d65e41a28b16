"""The search: propose, race, keep or drop, until nothing wins or the budget says stop.

Nothing here remembers: what a run knows is in the journal, and a resumed run walks through the
same decisions again, answered from there, until it reaches the first thing that is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dspy

from ..artifact import Predictor
from ..datasets import DataSet
from ..metrics.stats import Estimate
from ..randomness import rng
from . import headroom
from .bandit import Arm, Bandit
from .blame import blamed
from .candidate import Candidate, Proposal
from .checks import TextChecks
from .evaluate import Evaluator
from .evidence import Evidence
from .lessons import lessons
from .meter import Meter
from .propose.base import Scene
from .race import Comparison, race
from .recipes import Recipe
from .records import Writer

__all__ = ["Outcome", "Search"]

_STUDIED = (12, 48)  # training examples an incumbent is run on, for demos and reflection
_LOOK = (10, 50)  # validation examples the baseline is run on before anything is tried
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
        ask: Callable[[dspy.Predict, dict[str, Any], int], Any],
        *,
        checks: TextChecks,
        frozen: Sequence[str],
        seed: int,
    ) -> None:
        self._recipe, self._train, self._val = recipe, train, val
        self._evaluator, self._writer, self._meter, self._ask = evaluator, writer, meter, ask
        self._checks, self._frozen, self._seed = checks, frozenset(frozen), seed
        self.evidence = Evidence(evaluator, baseline)
        self.best = baseline
        self._order = rng(seed, "race order").sample(range(len(val)), min(len(val), _RACED))
        self._study = rng(seed, "study").sample(range(len(train)), min(len(train), _STUDIED[1]))
        self._known = {baseline.digest}
        self._asked = 0

    def run(self) -> Outcome:
        """Walk the search; `RunStopped` passes through, and `outcome` tells what was found."""
        self._writer.append("candidate", self.best.to_json())
        self._checks.learn(self.best)
        scores = self._look()
        if not self._recipe.opening:
            return self.outcome("the level only measures")
        if not self._tunable():
            return self.outcome("nothing may change: every predictor is frozen")
        if headroom.full(scores):
            return self.outcome("no headroom: the program scores as high as the metric goes")
        stop = self._open() or self._rounds()
        self._finals()
        return self.outcome(stop)

    def outcome(self, stop: str) -> Outcome:
        """What the search knows now."""
        return Outcome(self.best, self.evidence, stop)

    def _look(self) -> list[float]:
        """The baseline on some examples: all where only measuring or where it may be full."""
        allowed = self._allows()
        self._study = self._study[: max(_STUDIED[0], min(_STUDIED[1], allowed // 12))]
        first = max(_LOOK[0], min(_LOOK[1], allowed // 10))
        if not self._recipe.opening:
            first = len(self._order)
        scores = self._baseline_scores(min(first, allowed))
        if scores and min(scores) >= 1 and len(scores) < len(self._order):
            scores = self._baseline_scores(min(len(self._order), self._allows()))
        self._decided(Comparison(self.best, self.best, outcome="measured"), "baseline", len(scores))
        return scores

    def _baseline_scores(self, count: int) -> list[float]:
        found = self.evidence.run([(self.best, index) for index in self._order[:count]])
        return [rollout.score.value for rollout in found if not rollout.score.is_missing]

    def _open(self) -> str:
        """The wide opening; a word where it shows that the search may end."""
        least, each = _OPENING
        moves = self._recipe.opening[: max(least, self._allows() // each)]
        if not self._affordable(len(moves)):
            return "budget: no race fits"
        children = self._propose([Arm(move) for move in moves])
        self._race([child for child, _ in children], "opening")
        return ""

    def _rounds(self) -> str:
        bandit, dry = Bandit(self._arms()), 0
        for turn in range(self._recipe.most_rounds):
            if not self._affordable(self._recipe.width):
                return "budget: no further race fits"
            arms = bandit.choose(self._recipe.width, rng(self._seed, "moves", turn), self._blame())
            won = self._round(bandit, arms)
            dry = 0 if won else dry + 1
            if dry > self._recipe.patience:
                return f"no gain in {dry} rounds"
            if stop := self._nothing_to_gain():
                return stop
        return "all rounds were run"

    def _round(self, bandit: Bandit, arms: Sequence[Arm]) -> bool:
        """One race of what the arms propose; what came of each is learned."""
        before = self.best
        children = self._propose(arms)
        self._race([child for child, _ in children], "race")
        tried = {id(arm): child for child, arm in children}
        for arm in arms:
            child = tried.get(id(arm))
            cost = len(self.evidence.rollouts(child)) if child else 1
            bandit.learn(arm, gain=self._gain_over(child, before), cost=cost)
        return self.best is not before

    def _gain_over(self, child: Candidate | None, incumbent: Candidate) -> float:
        fitted = self.evidence.fitted()
        if child is None or child is not self.best or fitted is None:
            return 0.0
        return max(1e-3, fitted.difference(child.id, incumbent.id).mean)

    def _arms(self) -> list[Arm]:
        """Every move on all predictors, and where there are several on each one too."""
        paths = [predictor.path for predictor in self._tunable()]
        single = [Arm(move, path) for move in self._recipe.rounds for path in paths]
        return [Arm(move) for move in self._recipe.rounds] + (single if len(paths) > 1 else [])

    def _propose(self, arms: Sequence[Arm]) -> list[tuple[Candidate, Arm]]:
        """What the arms propose, asked for side by side, taken in order, without repeats."""
        scenes = [self._scene(arm) for arm in arms]
        tasks = [partial(arm.move, scene) for arm, scene in zip(arms, scenes, strict=True)]
        proposals = self._evaluator.executor.side_by_side(tasks)
        children = []
        for arm, proposal in zip(arms, proposals, strict=True):
            child = self._admitted(proposal)
            if child is not None:
                children.append((child, arm))
        return children

    def _admitted(self, proposal: Proposal | None) -> Candidate | None:
        """The candidate a proposal makes, if it may be raced and is a new one."""
        if proposal is None:
            return None
        refusal = self._checks.refusal(self.best, proposal)
        child = self.best.child(len(self.evidence.candidates), proposal)
        if refusal:
            self._writer.append("refused", {"move": proposal.move, "reason": refusal})
        if refusal or child.digest in self._known:
            return None
        self._known.add(child.digest)
        self._checks.learn(child)
        self.evidence.add(child)
        self._writer.append("candidate", child.to_json())
        return child

    def _scene(self, arm: Arm) -> Scene:
        self._asked += 1
        seen = self._evaluator.run([(self.best, index) for index in self._study], "train")
        tunable = [p for p in self._tunable() if arm.path in (None, p.path)]
        gains = self._gains()
        others = [c for c in self.evidence.candidates if c.id in gains and c is not self.best]
        return Scene(
            self.best,
            self._train,
            seen,
            lessons(self.best, self._train, seen, self._val, self.evidence),
            tuple(tunable),
            sorted(others, key=lambda c: -gains[c.id]),
            gains,
            self._ask,
            self._asked,
            rng(self._seed, "propose", self._asked),
        )

    def _gains(self) -> dict[str, float]:
        """What each candidate that was run is believed to gain over the baseline."""
        fitted = self.evidence.fitted()
        if fitted is None:
            return {}
        return {name: fitted.gain(name).mean for name in fitted.names if fitted.counts[name]}

    def _blame(self) -> dict[str, float]:
        seen = self._evaluator.run([(self.best, index) for index in self._study], "train")
        return blamed(self._tunable(), seen, self._train)

    def _tunable(self) -> tuple[Predictor, ...]:
        return tuple(p for p in self.best.predictors if p.path not in self._frozen)

    def _race(self, children: Sequence[Candidate], phase: str) -> None:
        comparisons = race(
            self.best, children, self._order_for, self.evidence.run, afford=self._fits
        )
        winners = [c.candidate for c in comparisons if c.outcome == "won"]
        self.best = winners[0] if winners else self.best
        for comparison in comparisons:
            self._decided(comparison, phase, comparison.n)

    def _order_for(self, child: Candidate) -> list[int]:
        """The shared order without the examples that its proposers were shown."""
        return [index for index in self._order if self._val.ids[index] not in child.shown]

    def _finals(self) -> None:
        """The leftover budget goes to the few that may be best; the best of them it is."""
        fitted = self.evidence.fitted()
        if fitted is None or self.best is self.evidence.baseline:
            return
        chances = fitted.best_chances(seed=self._seed)
        likely = sorted(self.evidence.candidates, key=lambda c: -chances[c.id])[:_FINALISTS]
        for finalist in likely:
            work = [(finalist, index) for index in self._order_for(finalist)]
            if chances[finalist.id] >= _CONTENDER and self._fits(work):
                self.evidence.run(work)
        gains = self._gains()
        contenders = [c for c in likely if c.id in gains]
        self.best = max([self.best, *contenders], key=lambda c: gains.get(c.id, -1.0))
        n = len(self.evidence.rollouts(self.best))
        self._decided(Comparison(self.best, self.best, outcome="measured"), "final", n)

    def _nothing_to_gain(self) -> str:
        still = self.best is self.evidence.baseline
        if still and headroom.nothing_to_gain(self.evidence.fitted(), seed=self._seed):
            return f"no headroom: a gain above {headroom.WORTH} is unlikely by what was tried"
        return ""

    def _affordable(self, racers: int) -> bool:
        """Whether a race's first block fits, with the study of the incumbent."""
        first = (racers + 1) * min(10, len(self._order)) + len(self._study)
        return self._allows() >= first

    def _fits(self, work: Sequence[tuple[Candidate, int]]) -> bool:
        new = sum(self._evaluator.known(who, "val", index) is None for who, index in work)
        return self._allows() >= new

    def _allows(self) -> int:
        return self._meter.allows(len(self.best.predictors))

    def _decided(self, comparison: Comparison, phase: str, n: int) -> None:
        self._writer.append(
            "decision",
            {
                "candidate": comparison.candidate.id,
                "incumbent": comparison.incumbent.id,
                "phase": phase,
                "outcome": comparison.outcome,
                "n": n,
                "wins": comparison.wins,
                "losses": comparison.losses,
                "difference": comparison.difference,
                "p_better": comparison.p_better,
                "score": estimate_json(self.evidence.estimate(comparison.candidate)),
                "best": self.best.id,
                "best_score": estimate_json(self.evidence.estimate(self.best)),
                "spent": self._meter.spent().to_json(),
            },
        )


def estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate as it stands in records and artifacts."""
    if estimate is None:
        return None
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }
