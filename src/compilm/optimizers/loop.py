"""The search: propose, race, keep or drop, until nothing wins or the budget says stop.

Nothing here remembers: what a run knows is in the journal, and a resumed run walks through the
same decisions again, answered from there, until it reaches the first thing that is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy

from ..artifact import Predictor
from ..datasets import DataSet
from ..metrics.stats import Estimate, mean_interval
from ..randomness import rng
from .candidate import Candidate
from .evaluate import Evaluator, Rollout
from .meter import Meter
from .propose.base import Move, Scene
from .race import Comparison, compare, race
from .recipes import Recipe
from .records import Writer

__all__ = ["Outcome", "Search"]

_NO_HEADROOM = 0.995  # a baseline above this leaves nothing to find
_STUDIED = 48  # training examples the baseline is run on, for demos and reflection
_RACED = 300  # validation examples a race may use


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search ends with: the best candidate, its paired differences to the baseline, why."""

    best: Candidate
    candidates: tuple[Candidate, ...]
    selection: tuple[float, ...]
    baseline_val: Estimate | None
    best_val: Estimate | None
    stop: str


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
        frozen: Sequence[str],
        seed: int,
    ) -> None:
        self._recipe, self._train = recipe, train
        self._evaluator, self._writer, self._meter, self._ask = evaluator, writer, meter, ask
        self._frozen, self._seed = frozenset(frozen), seed
        self._order = rng(seed, "race order").sample(range(len(val)), min(len(val), _RACED))
        self._study = rng(seed, "study").sample(range(len(train)), min(len(train), _STUDIED))
        self.candidates = [baseline]
        self.best = baseline
        self._known = {baseline.digest}
        self._scores: dict[str, Estimate] = {}
        self._standing: dict[str, float] = {}

    def run(self) -> Outcome:
        """Walk the search; `RunStopped` passes through, and `outcome` tells what was found."""
        self._writer.append("candidate", self.best.to_json())
        self._measure_baseline()
        if not self._recipe.opening:
            return self.outcome("the level only measures")
        if not self._tunable():
            return self.outcome("nothing may change: every predictor is frozen")
        if self._mean(self.best) >= _NO_HEADROOM:
            return self.outcome("no headroom: the program scores as high as the metric goes")
        stop = self._rounds()
        self._measure_best()
        return self.outcome(stop)

    def outcome(self, stop: str) -> Outcome:
        """What the search knows now."""
        baseline = self.candidates[0]
        mine, theirs = self._seen(self.best), self._seen(baseline)
        shared = [i for i in self._order if i in mine and i in theirs]
        scores = [(mine[i].score.value, theirs[i].score.value) for i in shared]
        differences = tuple(a - b for a, b in scores if a == a and b == b)
        return Outcome(
            self.best,
            tuple(self.candidates),
            differences,
            self._scores.get(baseline.id),
            self._scores.get(self.best.id),
            stop,
        )

    def _rounds(self) -> str:
        turn, dry = 0, 0
        moves: Sequence[Move] = self._recipe.opening
        for _ in range(self._recipe.most_rounds + 1):
            if not self._affordable(len(moves) + 1):
                return "budget: no further race fits"
            children = self._propose(moves)
            won = bool(children) and self._race(children)
            dry = 0 if won else dry + 1
            if dry > self._recipe.patience:
                return f"no gain in {dry} rounds"
            turned = [self._recipe.rounds[(turn + i) % len(self._recipe.rounds)]
                      for i in range(self._recipe.width)]  # fmt: skip
            turn, moves = turn + self._recipe.width, turned
        return "all rounds were run"

    def _affordable(self, racers: int) -> bool:
        """Whether the next races' first block fits, with the study of the incumbent."""
        first = racers * min(10, len(self._order)) + len(self._study)
        return self._allows(first)

    def _allows(self, rollouts: int) -> bool:
        return self._meter.allows(len(self.best.predictors)) >= rollouts

    def _measure_baseline(self) -> None:
        baseline = self.best
        most = min(len(self._order), self._meter.allows(len(baseline.predictors)))
        self._order = self._order[:most]
        rollouts = self._evaluator.run([(baseline, index) for index in self._order], "val")
        scores = [r.score.value for r in rollouts if not r.score.is_missing]
        if scores:
            self._scores[baseline.id] = mean_interval(scores, seed=self._seed, samples=2000)
        self._decided(Comparison(baseline, baseline, outcome="measured"), "baseline", len(scores))

    def _measure_best(self) -> None:
        """The winner on every validation example, where the budget allows: races end early."""
        missing = sum(self._evaluator.known(self.best, "val", i) is None for i in self._order)
        if missing and self._allows(missing):
            mine = self._evaluator.run([(self.best, i) for i in self._order], "val")
            theirs = self._evaluator.run([(self.candidates[0], i) for i in self._order], "val")
            found = compare(self.best, mine, self.candidates[0], theirs)
            self._scores[self.best.id] = mean_interval(found.scores, seed=self._seed, samples=2000)
            self._decided(replace(found, outcome="measured"), "final", found.n)

    def _propose(self, moves: Sequence[Move]) -> list[Candidate]:
        seen = self._evaluator.run([(self.best, index) for index in self._study], "train")
        children = []
        for move in moves:
            number = len(self.candidates)
            scene = Scene(
                self.best,
                self._train,
                seen,
                self._tunable(),
                self._ranked(),
                self._ask,
                number,
                rng(self._seed, "propose", number),
            )
            proposal = move(scene)
            if proposal is None:
                continue
            child = self.best.child(number, proposal)
            if child.digest not in self._known:
                self._known.add(child.digest)
                self.candidates.append(child)
                self._writer.append("candidate", child.to_json())
                children.append(child)
        return children

    def _tunable(self) -> tuple[Predictor, ...]:
        return tuple(p for p in self.best.predictors if p.path not in self._frozen)

    def _ranked(self) -> list[Candidate]:
        """The other candidates raced so far, by how they stood against the incumbent of then."""
        raced = [c for c in self.candidates if c.id in self._standing and c is not self.best]
        return sorted(raced, key=lambda c: -self._standing[c.id])

    def _race(self, children: Sequence[Candidate]) -> bool:
        phase = "opening" if self.best.number == 0 else "race"
        comparisons = race(
            self.best,
            children,
            self._order,
            lambda work: self._evaluator.run(work, "val"),
            afford=self._allows,
        )
        for comparison in comparisons:
            child = comparison.candidate
            self._standing[child.id] = comparison.difference * comparison.n / (comparison.n + 10)
            if comparison.scores:
                self._scores[child.id] = mean_interval(
                    comparison.scores, seed=self._seed, samples=2000
                )
        winners = [c.candidate for c in comparisons if c.outcome == "won"]
        self.best = winners[0] if winners else self.best
        for comparison in comparisons:
            self._decided(comparison, phase, comparison.n)
        return bool(winners)

    def _decided(self, comparison: Comparison, phase: str, n: int) -> None:
        mine = self._scores.get(comparison.candidate.id)
        best = self._scores.get(self.best.id)
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
                "score": estimate_json(mine),
                "best": self.best.id,
                "best_score": estimate_json(best),
                "spent": self._meter.spent().to_json(),
            },
        )

    def _seen(self, candidate: Candidate) -> dict[int, Rollout]:
        return {
            index: rollout
            for index in self._order
            if (rollout := self._evaluator.known(candidate, "val", index)) is not None
        }

    def _mean(self, candidate: Candidate) -> float:
        found = self._scores.get(candidate.id)
        return found.value if found else 0.0


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
