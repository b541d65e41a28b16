"""What a search knows: every candidate's score on every example it was run on, and one model of it.

The unit is the cell, one candidate on one example. Means of cells are never compared as they are:
`fitted` gives each candidate's gain with its doubt, whatever cells a race left it with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..metrics.mixed import Cell, Fit, fit
from ..metrics.stats import Estimate
from .candidate import Candidate
from .evaluate import Evaluator
from .front import Point
from .rollout import Rollout

__all__ = ["Evidence"]


class Evidence:
    """The candidates of a search and their scores on the validation examples, as they come in."""

    def __init__(self, evaluator: Evaluator, baseline: Candidate, split: str = "val") -> None:
        self._evaluator, self._split = evaluator, split
        self.candidates = [baseline]
        self._rollouts: dict[str, dict[int, Rollout]] = {}
        self._cells: list[Cell] = []
        self._fit: Fit | None = None

    @property
    def baseline(self) -> Candidate:
        """The program as it was given."""
        return self.candidates[0]

    def add(self, candidate: Candidate) -> None:
        """A candidate that will be run."""
        self.candidates.append(candidate)
        self._fit = None

    def run(self, work: Sequence[tuple[Candidate, int]]) -> list[Rollout]:
        """Rollouts for pairs of candidate and example, remembered."""
        found = self._evaluator.run(work, self._split)
        for (candidate, index), rollout in zip(work, found, strict=True):
            self._keep(candidate, index, rollout)
        return found

    def take(self, candidate: Candidate, rollouts: Mapping[int, Rollout]) -> None:
        """Rollouts that were made elsewhere, by the example's place in the split."""
        for index, rollout in rollouts.items():
            self._keep(candidate, index, rollout)

    def _keep(self, candidate: Candidate, index: int, rollout: Rollout) -> None:
        mine = self._rollouts.setdefault(candidate.id, {})
        if index in mine:
            return
        mine[index] = rollout
        if not rollout.score.is_missing and rollout.example not in candidate.shown:
            self._cells.append(Cell(candidate.id, rollout.example, rollout.score.value))
            self._fit = None

    def rollouts(self, candidate: Candidate) -> dict[int, Rollout]:
        """A candidate's rollouts so far, by the example's place in its split."""
        return dict(self._rollouts.get(candidate.id, {}))

    def missing(self, candidate: Candidate, order: Sequence[int]) -> list[int]:
        """The examples of `order` that the candidate was not run on yet."""
        mine = self._rollouts.get(candidate.id, {})
        return [index for index in order if index not in mine]

    def fitted(self, more: Sequence[Cell] = ()) -> Fit | None:
        """The model of all cells, and of `more`; `None` where there is none."""
        if more:
            return fit([*self._cells, *more], self._parents(), self._kinds())
        if self._fit is None and self._cells:
            self._fit = fit(self._cells, self._parents(), self._kinds())
        return self._fit

    def point(self, candidate: Candidate) -> Point | None:
        """What the candidate scores and takes; `None` before it has a cell."""
        score, rollouts = self.estimate(candidate), self._rollouts.get(candidate.id, {}).values()
        if score is None:
            return None
        prices = [self._evaluator.price(rollout) for rollout in rollouts]
        dollars = [usd for _, usd in prices if usd is not None]
        count = len(prices)
        return Point(
            candidate.id,
            score,
            math.fsum(dollars) / count if len(dollars) == count else None,
            sum(tokens for tokens, _ in prices) / count,
            round(math.fsum(rollout.seconds for rollout in rollouts) / count, 6),
            candidate.size,
        )

    def points(self) -> list[Point]:
        """A point for every candidate that was run."""
        return [point for one in self.candidates if (point := self.point(one)) is not None]

    def _parents(self) -> dict[str, str | None]:
        return {candidate.id: candidate.parent for candidate in self.candidates}

    def _kinds(self) -> dict[str, str]:
        """Whether a candidate changes texts: what that brings differs from what demos bring."""
        given = [predictor.instructions for predictor in self.baseline.predictors]
        return {
            one.id: "demos" if [p.instructions for p in one.predictors] == given else "texts"
            for one in self.candidates
        }

    def gains(self) -> dict[str, float]:
        """What each candidate that was run is believed to gain over the baseline."""
        found = self.fitted()
        if found is None:
            return {}
        return {name: found.gain(name).mean for name in found.names if found.counts[name]}

    def estimate(self, candidate: Candidate) -> Estimate | None:
        """The candidate's score with its interval; `None` before it has a cell."""
        found = self.fitted()
        if found is None or not found.counts[candidate.id]:
            return None
        return found.level(candidate.id)
