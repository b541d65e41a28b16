"""How the states that an optimizer tried stand against the given program, from our own records.

Scores count once the evaluation they belong to is complete: which examples an evaluation had done
when the budget ended depends on the timing of threads, and the outcome must not.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...artifact import Predictor
from ...metrics import Score
from ...metrics.stats import Estimate, mean_interval
from ..candidate import Candidate
from ..evaluate import Rollout
from ..loop import estimate_json
from ..meter import Meter
from ..race import Comparison
from ..records import Writer
from .cells import Cell
from .states import State

__all__ = ["Standings"]

_FEWEST = 3  # examples that make a state a candidate worth a record
_DOUBT = 10  # pairs by which a difference is pulled to 0 before two of them are compared


class Standings:
    """The candidates of one driven run: their scores on val, and the best of them so far.

    A candidate can be the best with `enough` val examples it shares with the given program.
    """

    def __init__(
        self,
        baseline: Candidate,
        move: str,
        writer: Writer,
        meter: Meter,
        *,
        order: Sequence[str],
        seed: int,
    ) -> None:
        self._writer, self._meter, self._seed, self._move = writer, meter, seed, move
        self._order = tuple(order)
        self.enough = min(10, len(self._order))
        self.best = self.baseline = baseline
        self.candidates = [baseline]
        self._lock = threading.RLock()  # protects everything below
        self._states: dict[str, State] = {}
        self._named = {baseline.digest: baseline}
        self._numbers = _numbers(writer)
        self._cells: dict[str, dict[Cell, float]] = {}
        self._settled: dict[str, dict[str, float]] = {baseline.digest: {}}

    def met(self, state: State) -> None:
        """A state is about to run: the order of first meetings is the order of the numbers."""
        with self._lock:
            self._states.setdefault(state.digest, state)

    def saw(self, state: State, cell: Cell, score: Score) -> None:
        """A rollout of a state as it would run in production."""
        with self._lock:
            self._cells.setdefault(state.digest, {})[cell] = score.value

    def name_of(self, digest: str) -> str:
        """The candidate's id, or the first digits of a state that is none."""
        with self._lock:
            known = self._named.get(digest)
            return known.id if known else digest.removeprefix("sha256:")[:8]

    def measured(self, candidate: Candidate, rollouts: Iterable[Rollout], phase: str) -> None:
        """Complete val rollouts that we made ourselves."""
        with self._lock:
            settled = self._settled.setdefault(candidate.digest, {})
            settled.update({each.example: each.score.value for each in rollouts})
            self._decide(candidate, phase, "measured")

    def settle(self, digest: str, cells: Iterable[Cell]) -> None:
        """An evaluation of a state over `cells` is complete."""
        with self._lock:
            seen = self._cells.get(digest, {})
            fresh = {cell.example: seen[cell] for cell in cells
                     if cell.split == "val" and cell in seen}  # fmt: skip
            settled = self._settled.setdefault(digest, {})
            if digest == self.baseline.digest or fresh.items() <= settled.items():
                return
            settled.update(fresh)
            if len(settled) >= _FEWEST:
                self._stand(self.candidate(self._states[digest]))

    def candidate(self, state: State) -> Candidate:
        """The candidate of a state, with its record; the same one for an equal state."""
        with self._lock:
            known = self._named.get(state.digest)
            if known is not None:
                return known
            number = self._numbers.get(state.digest)
            if number is None:
                taken = [*self._numbers.values(), *(each.number for each in self.candidates)]
                number = max(taken) + 1
            found = replace(
                self.baseline,
                number=number,
                predictors=state.predictors,
                move=self._move,
                parent=self.baseline.id,
            )
            self._named[state.digest] = found
            self.candidates.append(found)
            self._writer.append("candidate", found.to_json())
            return found

    def candidate_of(self, digest: str, predictors: tuple[Predictor, ...]) -> Candidate:
        """The candidate with these states, which may never have run."""
        return self.candidate(State(digest, predictors))

    def favourite(self) -> Candidate | None:
        """Of the states seen on train alone the one with the best mean, few examples discounted."""
        with self._lock:
            rows = {digest: _values(cells, "train") for digest, cells in self._cells.items()}
            every = [value for values in rows.values() for value in values]
            rows = {digest: values for digest, values in rows.items()
                    if len(values) >= self.enough and digest != self.baseline.digest}  # fmt: skip
            if not rows:
                return None
            prior = _DOUBT * math.fsum(every) / len(every)
            ranked = {d: (math.fsum(v) + prior) / (len(v) + _DOUBT) for d, v in rows.items()}
            best = max(ranked, key=lambda digest: ranked[digest])
            return self.candidate(self._states[best])

    def unseen(self, candidate: Candidate) -> list[str]:
        """The val examples without a score of this candidate, in the order of the run."""
        settled = self._settled.get(candidate.digest, {})
        return [example for example in self._order if example not in settled]

    def comparison(self, candidate: Candidate) -> Comparison:
        """The candidate against the given program on the val examples both have a score for."""
        mine = self._settled.get(candidate.digest, {})
        theirs = self._settled[self.baseline.digest]
        pairs = [(mine[e], theirs[e]) for e in self._order if e in mine and e in theirs]
        differences = tuple(a - b for a, b in pairs if a == a and b == b)
        return Comparison(candidate, self.baseline, differences)

    def score(self, candidate: Candidate) -> Estimate | None:
        """The candidate's mean on val with its interval, over what it was run on."""
        found = [value for value in self._settled.get(candidate.digest, {}).values()
                 if value == value]  # fmt: skip
        return mean_interval(found, seed=self._seed, samples=2000) if found else None

    def _stand(self, candidate: Candidate) -> None:
        mine, best = self.comparison(candidate), self.comparison(self.best)
        won = mine.n >= self.enough and _standing(mine) > max(0.0, _standing(best))
        if won:
            self.best = candidate
        self._decide(candidate, "driven", "won" if won else "lost")

    def _decide(self, candidate: Candidate, phase: str, outcome: str) -> None:
        found = self.comparison(candidate)
        self._writer.append(
            "decision",
            {
                "candidate": candidate.id,
                "incumbent": self.baseline.id,
                "phase": phase,
                "outcome": outcome,
                "n": found.n,
                "wins": found.wins,
                "losses": found.losses,
                "difference": found.difference,
                "p_better": found.p_better,
                "score": estimate_json(self.score(candidate)),
                "best": self.best.id,
                "best_score": estimate_json(self.score(self.best)),
                "spent": self._meter.spent().to_json(),
            },
        )


def _standing(comparison: Comparison) -> float:
    return comparison.difference * comparison.n / (comparison.n + _DOUBT)


def _values(cells: Mapping[Cell, float], split: str) -> list[float]:
    return [value for cell, value in cells.items() if cell.split == split and value == value]


def _numbers(writer: Writer) -> dict[str, int]:
    """The numbers that an earlier session of this run gave to states."""
    found = writer.journal.read(writer.run, kinds=["candidate"])
    return {record.body["digest"]: record.body["number"] for record in found}
