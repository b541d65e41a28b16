"""How the states that an optimizer tried stand against the given program, from our own records.

Scores count once the evaluation they belong to is complete: which examples an evaluation had done
when the budget ended depends on the timing of threads, and the outcome must not.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ...artifact import Predictor
from ..candidate import Candidate
from ..decisions import Decisions
from ..evidence import Evidence
from ..meter import Meter
from ..race import Comparison, compare
from ..records import Writer
from ..rollout import Rollout
from .cells import Cell
from .states import State

__all__ = ["Standings"]

_FEWEST = 3  # examples that make a state a candidate worth a record
_DOUBT = 10  # examples by which a mean on train is pulled to that of all


class Standings:
    """The candidates of one driven run, with their scores on val, and the best of them so far.

    `places` gives the place of each val example that counts, by its id. A candidate can be the
    best with `enough` of them that the given program was run on too, if `keeps` says that it keeps
    what was asked of the result. Safe under threads.
    """

    def __init__(
        self,
        evidence: Evidence,
        move: str,
        writer: Writer,
        meter: Meter,
        *,
        places: Mapping[str, int],
        keeps: Callable[[Candidate], bool] = lambda _: True,
    ) -> None:
        self.evidence, self._move, self._writer = evidence, move, writer
        self._decisions = Decisions(writer, evidence, meter)
        self._places, self._keeps = dict(places), keeps
        self.enough = min(10, len(places))
        self.best = evidence.baseline
        self._lock = threading.RLock()  # protects everything below, and the evidence
        self._states: dict[str, State] = {}
        self._named = {self.best.digest: self.best}
        self._numbers = _numbers(writer)
        self._cells: dict[str, dict[Cell, Rollout]] = {}
        self._settled: dict[str, dict[int, Rollout]] = {}

    def met(self, state: State) -> None:
        """A state is about to run."""
        with self._lock:
            self._states.setdefault(state.digest, state)

    def saw(self, state: State, cell: Cell, rollout: Rollout) -> None:
        """A rollout of a state as it would run in production."""
        with self._lock:
            self._cells.setdefault(state.digest, {})[cell] = rollout

    def name_of(self, digest: str) -> str:
        """The candidate's id, or the first digits of a state that is none."""
        with self._lock:
            known = self._named.get(digest)
            return known.id if known else digest.removeprefix("sha256:")[:8]

    def settle(self, digest: str, cells: Iterable[Cell]) -> None:
        """An evaluation of a state over `cells` is complete."""
        with self._lock:
            if digest == self.evidence.baseline.digest:
                return
            seen, settled = self._cells.get(digest, {}), self._settled.setdefault(digest, {})
            before = len(settled)
            for cell in cells:
                if cell.split == "val" and cell in seen and cell.example in self._places:
                    settled.setdefault(self._places[cell.example], seen[cell])
            if len(settled) > before and len(settled) >= _FEWEST:
                candidate = self.candidate(self._states[digest])
                self.evidence.take(candidate, settled)
                self._stand(candidate)

    def candidate(self, state: State) -> Candidate:
        """The candidate of a state, with its record; the same one for an equal state."""
        with self._lock:
            known = self._named.get(state.digest)
            if known is not None:
                return known
            number = self._numbers.get(state.digest)
            if number is None:
                taken = [*self._numbers.values(), *(c.number for c in self.evidence.candidates)]
                number = max(taken) + 1
            found = replace(
                self.evidence.baseline,
                number=number,
                predictors=state.predictors,
                move=self._move,
                parent=self.evidence.baseline.id,
            )
            self._named[state.digest] = found
            self.evidence.add(found)
            self._writer.append("candidate", found.to_json())
            return found

    def candidate_of(self, predictors: tuple[Predictor, ...]) -> Candidate:
        """The candidate with these states, which may never have run."""
        return self.candidate(State(Candidate(0, predictors).digest, predictors))

    def measure(self, candidate: Candidate, places: Sequence[int], phase: str) -> None:
        """Run a candidate on val examples ourselves, and write down how it stands."""
        self.evidence.run([(candidate, index) for index in places])
        self._decisions.measured(candidate, phase)

    def favourite(self) -> Candidate | None:
        """Of the states seen on train alone the one with the best mean, few examples discounted."""
        with self._lock:
            rows = {digest: _values(cells, "train") for digest, cells in self._cells.items()}
            every = [value for values in rows.values() for value in values]
            rows = {digest: values for digest, values in rows.items()
                    if len(values) >= self.enough
                    and digest != self.evidence.baseline.digest}  # fmt: skip
            if not rows:
                return None
            prior = _DOUBT * math.fsum(every) / len(every)
            ranked = {d: (math.fsum(v) + prior) / (len(v) + _DOUBT) for d, v in rows.items()}
            best = max(ranked, key=lambda digest: ranked[digest])
            return self.candidate(self._states[best])

    def comparison(self, candidate: Candidate) -> Comparison:
        """The candidate against the given program on the val examples both were run on."""
        given = self.evidence.baseline
        mine, theirs = self.evidence.rollouts(candidate), self.evidence.rollouts(given)
        return compare(candidate, mine, given, theirs)

    def _stand(self, candidate: Candidate) -> None:
        found, gains = self.comparison(candidate), self.evidence.gains()
        ahead = gains.get(candidate.id, 0.0) > max(0.0, gains.get(self.best.id, 0.0))
        won = ahead and found.n >= self.enough and self._keeps(candidate)
        if won:
            self.best = candidate
        self._decisions.compared(
            [replace(found, outcome="won" if won else "lost")], "driven", self.best
        )


def _values(cells: Mapping[Cell, Rollout], split: str) -> list[float]:
    return [rollout.score.value for cell, rollout in cells.items()
            if cell.split == split and not rollout.score.is_missing]  # fmt: skip


def _numbers(writer: Writer) -> dict[str, int]:
    """The numbers that an earlier session of this run gave to states."""
    found = writer.journal.read(writer.run, kinds=["candidate"])
    return {record.body["digest"]: record.body["number"] for record in found}
