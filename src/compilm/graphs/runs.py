"""Durable runs: every finished step is in the journal before the next one begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..canonical import dumps
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ProgramError
from ..journal import Journal
from .graph import Graph
from .pauses import Paused
from .records import KINDS, Kept, checked_id, read_back
from .taken import Taken, asked_of, check
from .values import plain_values

__all__ = ["Runs"]


class Runs:
    """Runs of a graph that outlive the process.

    A run killed at any instant is taken up by `resume` (or by the same `start` again) in any
    process that has the journal; finished steps are not run again. A run that waits for a person
    is in the journal and nowhere else. The state of a durable run is plain JSON between steps, so
    that a run which was killed sees what one that was not would have seen.

    A node with `effect=True` that declares `idempotency_key` is begun again after a kill, with
    the same key. One that does not is never begun twice: the run pauses and asks whether it
    `happened`, and what it `wrote`.

    Args:
        graph: what is run; every process must give the same.
        journal: where runs are kept, as from `compilm.open_journal("runs.db")`.
        name: tells this graph's runs from others' in the same journal.
        clock: the time of records.

    >>> from compilm.graphs import END, Pause
    >>> from compilm.journal import MemoryJournal
    >>> def approve(draft, approved=None):
    ...     if approved is None:
    ...         raise Pause("May this be sent?")
    ...     return {"sent": approved}
    >>> runs = Runs(Graph({"approve": approve}, {"approve": END}, "approve"), MemoryJournal())
    >>> runs.start("mail-1", draft="Hello.").question
    'May this be sent?'
    >>> runs.paused()
    ['mail-1']
    >>> runs.resume("mail-1", approved=True).sent
    True
    """

    def __init__(
        self, graph: Graph, journal: Journal, *, name: str = "graph", clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if not isinstance(graph, Graph):
            raise ProgramError(
                f"a durable run is one of a Graph, not of a {type(graph).__name__}, whose steps "
                "nobody sees: give the graph itself"
            )
        self.graph, self.journal, self.name, self._clock = graph, journal, name, clock

    def start(self, run: str, /, **inputs: Any) -> Any:
        """Begin a run under an id of your choice; a prediction, or `Paused`.

        An id that is there already goes on if it was given equal inputs; others are refused.
        """
        with self._taken(run) as taken:
            self._begin(taken, inputs)
            return self._gone_on(taken)

    async def astart(self, run: str, /, **inputs: Any) -> Any:
        """As `start`, in a task."""
        with self._taken(run) as taken:
            self._begin(taken, inputs)
            return await self._agone_on(taken)

    def resume(self, run: str, /, **answer: Any) -> Any:
        """Go on with a run: after a kill or a failure as it is, after a question with the answer.

        A finished run gives its prediction again.
        """
        with self._taken(run) as taken:
            taken.answer(answer)
            return self._gone_on(taken)

    async def aresume(self, run: str, /, **answer: Any) -> Any:
        """As `resume`, in a task."""
        with self._taken(run) as taken:
            taken.answer(answer)
            return await self._agone_on(taken)

    def look(self, run: str, /) -> Kept:
        """The run as far as the journal tells: status, question, finished steps, outputs."""
        return read_back(run, self.journal.read(checked_id(run), kinds=KINDS))

    def question(self, run: str, /) -> Paused | None:
        """What the run asks, as the journal has it; `None` where it does not wait.

        Nothing is run for it, and the run is not claimed.
        """
        kept = self.look(run)
        return asked_of(self.graph, kept) if kept.status == "paused" else None

    def check(self, run: str, /, **answer: Any) -> None:
        """Raise `ProgramError` where this could not be the answer to what the run asks."""
        kept = self.look(run)
        if kept.status == "paused":
            check(self.graph, kept.question, answer)

    def paused(self) -> list[str]:
        """The ids of the runs of this graph that wait for an answer, the oldest question first."""
        return [run for run, kind in self._last().items() if kind == "graph.paused"]

    def unfinished(self) -> list[str]:
        """The ids of runs that neither ended nor wait: killed, failed, or being worked on."""
        ends = ("graph.paused", "graph.finished")
        return [run for run, kind in self._last().items() if kind not in ends]

    def _last(self) -> dict[str, str]:
        last: dict[str, str] = {}
        kinds = [kind for kind in KINDS if kind not in ("graph.step", "graph.begun")]
        for record in self.journal.read(kinds=kinds):
            if record.kind == "graph.started" and record.body["graph"] != self.name:
                continue
            if record.kind == "graph.started" or last.pop(record.run, None) is not None:
                last[record.run] = record.kind
        return last

    def _gone_on(self, taken: Taken) -> Any:
        known = taken.outcome()
        if known is not None:  # which may be a prediction without fields, and so be false
            return known
        return taken.end(self.graph.run(taken.inputs, taken.progress()))

    async def _agone_on(self, taken: Taken) -> Any:
        known = taken.outcome()
        if known is not None:
            return known
        return taken.end(await self.graph.arun(taken.inputs, taken.progress()))

    def _taken(self, run: str) -> Taken:
        return Taken(self.graph, self.journal, self._clock, checked_id(run), self.name)

    def _begin(self, taken: Taken, inputs: Mapping[str, Any]) -> None:
        plain = plain_values(inputs, "the inputs")
        if taken.kept.status == "new":
            taken.write("graph.started", {"graph": self.name, "inputs": plain})
            taken.kept.inputs = plain
        elif dumps(plain) != dumps(dict(taken.kept.inputs)):
            raise ProgramError(
                f"run {taken.kept.run!r} was started with other inputs: resume it, or choose "
                "another id"
            )
