"""The cells of a run: each candidate on each example at most once, and looked at in order.

A *cell* is one candidate on one example. Results come back in the order they were asked for,
whatever the timing, and none is paid for twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..datasets import DataSet
from .candidate import Candidate
from .executor import Executor, Work
from .meter import Meter
from .rollout import Rollout

__all__ = ["Evaluator"]


class Evaluator:
    """Scores candidates on the examples of one run."""

    def __init__(self, splits: Mapping[str, DataSet], executor: Executor, meter: Meter) -> None:
        self._splits, self.executor, self._meter = splits, executor, meter
        self._cells: dict[tuple[str, str, str], Rollout] = {}
        self._looked: set[tuple[str, str, str]] = set()

    def learn(self, rollout: Rollout) -> None:
        """A rollout that the journal holds, or that was just made."""
        self._cells[rollout.digest, rollout.split, rollout.example] = rollout

    def known(self, candidate: Candidate, split: str, index: int) -> Rollout | None:
        """The rollout of a cell that was looked at; what else the journal holds is yet to come."""
        cell = self._cell(candidate, split, index)
        return self._cells[cell] if cell in self._looked else None

    def all_of(self, digest: str) -> list[Rollout]:
        """Every rollout of the candidate with this digest, in no order."""
        return [rollout for key, rollout in list(self._cells.items()) if key[0] == digest]

    def price(self, rollout: Rollout) -> tuple[int, float | None]:
        """Tokens and dollars of a rollout's calls; `None` where a price is unknown.

        It is unknown where an LM was reached behind our back, whose answers are not kept.
        """
        tokens, usd = self._meter.price(rollout.keys)
        return tokens, None if rollout.unmanaged else usd

    def run(self, work: Sequence[tuple[Candidate, int]], split: str) -> list[Rollout]:
        """Rollouts for pairs of candidate and index into `split`, in that order.

        Raises `RunStopped` when the budget ends, and the first `ContractError` in order when the
        metric breaks its contract. Finished cells are kept either way.
        """
        keys = [self._cell(candidate, split, index) for candidate, index in work]
        new: dict[tuple[str, str, str], Work] = {}
        for key, (candidate, index) in zip(keys, work, strict=True):
            if key not in self._cells:
                new.setdefault(key, (candidate, split, index))
        self.executor.rollouts(list(new.values()), self.learn)
        found = [self._cells[key] for key in keys]
        self._look(keys)
        return found

    def meanwhile(
        self, work: Sequence[tuple[Candidate, int]], split: str, *, held: bool = False
    ) -> None:
        """Cells that will be asked for later whatever comes: made when workers are idle.

        Until they are asked for nothing here knows of them. `held` as in `Executor`. Nothing is
        made under a budget in tokens or dollars: what is not asked for in the end would be paid
        in the place of what is, more or less of it with more or fewer workers.
        """
        if self._meter.counts_size:
            return
        new = [
            (candidate, split, index)
            for candidate, index in work
            if self._cell(candidate, split, index) not in self._cells
        ]
        self.executor.meanwhile(new, self.learn, held=held)

    def _look(self, keys: Sequence[tuple[str, str, str]]) -> None:
        for key in keys:
            if key not in self._looked:
                self._looked.add(key)
                self._meter.rollout(self._cells[key].keys, self._cells[key].unmanaged)

    def _cell(self, candidate: Candidate, split: str, index: int) -> tuple[str, str, str]:
        return candidate.digest, split, self._splits[split].ids[index]
