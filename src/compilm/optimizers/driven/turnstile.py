"""Where executions of the program are counted: none passes that the budget does not hold."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ...errors import BudgetExceeded, RunStopped
from ..ledger import Ledger
from ..meter import Meter
from .gate import Gate

__all__ = ["Turnstile"]


class Turnstile:
    """Lets one rollout in at a time, counts it when it is done, and knows who is inside.

    `kept` rollouts are left for what comes after the optimizer, above what the meter keeps. The
    ledger counts rollouts that are really made, and the meter those that are looked at, replayed
    ones included: the first holds the ceiling, the second makes a resumed run stop where an
    undisturbed one stops.
    """

    def __init__(self, gate: Gate, ledger: Ledger, meter: Meter, *, predictors: int) -> None:
        self._gate, self._ledger, self._meter = gate, ledger, meter
        self._predictors = predictors
        self._changed = threading.Condition()  # protects everything below
        self._inside = self._inside_new = 0
        self.kept = 0

    def enter(self, *, new: bool) -> None:
        """Room for one more rollout, or `RunStopped`; `new` if the journal does not hold it.

        Where the last ones are still inside it waits for them: a stop would cut them between two
        calls, and half a rollout is counted nowhere.
        """
        with self._changed:
            self._gate.check()
            while self._full(new):
                if not self._inside:
                    stop = self._stop()
                    self._ledger.stop(stop)
                    raise stop
                self._changed.wait(timeout=0.5)
                self._gate.check()
            self._inside += 1
            self._inside_new += new

    def leave(self, *, new: bool, keys: Iterable[str] = (), unmanaged: int = 0) -> None:
        """A rollout is done: it counts."""
        with self._changed:
            self._out(new)
            self._meter.rollout(keys, unmanaged)
            if new:
                self._ledger.count_rollout()

    def turn_back(self, *, new: bool) -> None:
        """A rollout was refused on its way: it does not count."""
        with self._changed:
            self._out(new)

    def asked(self, keys: Iterable[str], unmanaged: int = 0) -> None:
        """Calls outside of rollouts: a proposer's, or a judge's after a rollout."""
        with self._changed:
            self._meter.calls(keys, unmanaged)

    def wait(self) -> None:
        """Until nobody is inside; who is, is stopped by the gate at the next call."""
        with self._changed:
            while self._inside:
                self._changed.wait(timeout=0.5)

    def _out(self, new: bool) -> None:
        self._inside -= 1
        self._inside_new -= new
        self._changed.notify_all()

    def _full(self, new: bool) -> bool:
        if self._meter.allows(self._predictors) - self.kept <= self._inside:
            return True
        limit = self._ledger.budget.rollouts
        if limit is None or not new:
            return False
        made = self._ledger.spent().rollouts + self._inside_new
        return made >= limit - self._meter.kept - self.kept

    def _stop(self) -> RunStopped:
        limit = self._ledger.budget.rollouts
        what = "no further rollout fits" if limit is None else f"{limit} rollouts"
        return RunStopped(f"budget: {what}", cause=BudgetExceeded(f"the budget: {what}"))
