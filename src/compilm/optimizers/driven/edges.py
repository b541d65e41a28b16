"""Where DSPy's evaluations begin and end: only a complete one changes the standings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspy.utils.callback import BaseCallback

from ...errors import RunStopped
from ..calls import Scope
from .cells import Cell, Cells
from .standings import Standings
from .states import States
from .turnstile import Turnstile

__all__ = ["Edges"]


class Edges(BaseCallback):
    """A DSPy callback that settles an evaluation's scores when it is complete.

    `scope` is that of the optimizer itself, outside of rollouts: what its proposer asked is looked
    at by the meter at the same moments. `fault` is a bug of ours, which DSPy would swallow.
    """

    def __init__(
        self,
        standings: Standings,
        states: States,
        cells: Cells,
        turnstile: Turnstile,
        scope: Scope,
    ) -> None:
        self._standings, self._turnstile = standings, turnstile
        self._states, self._cells, self._scope = states, cells, scope
        self._running: dict[str, tuple[str, Sequence[Cell]]] = {}
        self._asked = self._unmanaged = 0
        self.fault: Exception | None = None

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        try:
            state = self._states.of(inputs["program"])
            rows = inputs.get("devset") or instance.devset
            if state is not None:
                self._running[call_id] = state.digest, [self._cells.of(row) for row in rows]
        except Exception as error:  # border: DSPy swallows what its callbacks raise
            self._broke(error)

    def on_evaluate_end(
        self, call_id: str, outputs: Any, exception: BaseException | None = None
    ) -> None:
        digest, cells = self._running.pop(call_id, ("", ()))
        if not digest or outputs is None or exception is not None:
            return
        try:
            self.settle_calls()
            self._standings.settle(digest, cells)
        except Exception as error:  # border: as above
            self._broke(error)

    def settle_calls(self) -> None:
        """Let the meter look at what was asked outside of rollouts since the last time."""
        keys, unmanaged = list(self._scope.keys), self._scope.unmanaged
        self._turnstile.asked(keys[self._asked :], unmanaged - self._unmanaged)
        self._asked, self._unmanaged = len(keys), unmanaged

    def _broke(self, error: Exception) -> None:
        self.fault = error
        raise RunStopped(f"a bug of ours: {error!r}") from error
