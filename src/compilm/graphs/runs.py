"""Durable runs: every finished step is in the journal before the next one begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy

from ..canonical import dumps
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ProgramError
from ..journal import Journal, Record
from .graph import Graph
from .pauses import Paused
from .progress import Done, Progress
from .records import KINDS, Kept, checked_id, read_back
from .values import from_plain, plain_values
from .walk import accepted

__all__ = ["Runs"]

HAPPENED, WROTE = "happened", "wrote"


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
        self.graph, self.journal, self.name, self._clock = graph, journal, name, clock

    def start(self, run: str, /, **inputs: Any) -> Any:
        """Begin a run under an id of your choice; a prediction, or `Paused`.

        An id that is there already goes on if it was given equal inputs; others are refused.
        """
        with self._taken(run) as taken:
            self._begin(taken, inputs)
            return taken.outcome() or taken.end(self.graph.run(taken.inputs, taken.progress()))

    async def astart(self, run: str, /, **inputs: Any) -> Any:
        """As `start`, in a task."""
        with self._taken(run) as taken:
            self._begin(taken, inputs)
            return taken.outcome() or taken.end(
                await self.graph.arun(taken.inputs, taken.progress())
            )

    def resume(self, run: str, /, **answer: Any) -> Any:
        """Go on with a run: after a kill or a failure as it is, after a question with the answer.

        A finished run gives its prediction again.
        """
        with self._taken(run) as taken:
            taken.answer(answer)
            return taken.outcome() or taken.end(self.graph.run(taken.inputs, taken.progress()))

    async def aresume(self, run: str, /, **answer: Any) -> Any:
        """As `resume`, in a task."""
        with self._taken(run) as taken:
            taken.answer(answer)
            return taken.outcome() or taken.end(
                await self.graph.arun(taken.inputs, taken.progress())
            )

    def look(self, run: str, /) -> Kept:
        """The run as far as the journal tells: status, question, finished steps, outputs."""
        return read_back(run, self.journal.read(checked_id(run), kinds=KINDS))

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

    def _taken(self, run: str) -> _Taken:
        return _Taken(self.graph, self.journal, self._clock, checked_id(run), self.name)

    def _begin(self, taken: _Taken, inputs: Mapping[str, Any]) -> None:
        plain = plain_values(inputs, "the inputs")
        if taken.kept.status == "new":
            taken.write("graph.started", {"graph": self.name, "inputs": plain})
            taken.kept.inputs = plain
        elif dumps(plain) != dumps(dict(taken.kept.inputs)):
            raise ProgramError(
                f"run {taken.kept.run!r} was started with other inputs: resume it, or choose "
                "another id"
            )


class _Taken:
    """A run while this process works on it; no other can."""

    def __init__(self, graph: Graph, journal: Journal, clock: Clock, run: str, name: str) -> None:
        self._graph, self._journal, self._clock, self._name = graph, journal, clock, name
        self._run, self._is_running = run, False

    def __enter__(self) -> _Taken:
        self._release = self._journal.claim(self._run)
        try:
            self.kept = read_back(self._run, self._journal.read(self._run, kinds=KINDS))
            if self.kept.graph not in ("", self._name):
                raise ProgramError(
                    f"run {self._run!r} is one of the graph {self.kept.graph!r}, not of "
                    f"{self._name!r}"
                )
        except BaseException:  # border: the claim must not outlive this; it passes
            self._release()
            raise
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if isinstance(error, Exception) and self._is_running:
                told = {"error": type(error).__name__, "message": str(error)[:500]}
                self.write("graph.failed", told)
        finally:
            self._release()

    @property
    def inputs(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = from_plain(dict(self.kept.inputs))
        return found

    def write(self, kind: str, body: Mapping[str, Any]) -> None:
        self._journal.append(Record(kind, self._clock.wall(), self._run, dict(body)))
        if self.kept.status == "new":
            self.kept.status = "unfinished"

    def progress(self) -> Progress:
        kept, self._is_running = self.kept, True
        return Progress(
            run=self._run, done=kept.done, answers=kept.answers, keep=self._keep, begin=self._begun
        )

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Take a person's answer into the run."""
        kept, asked = self.kept, self.kept.question
        if kept.status == "new":
            raise ProgramError(f"there is no run {kept.run!r}: start it")
        if kept.status == "paused" and not answer:
            return
        if answer and kept.status != "paused":
            raise ProgramError(f"run {kept.run!r} is {kept.status} and asks nothing")
        if asked.get("in_flight"):
            self._settle(asked, answer)
        elif answer:
            accepted(answer, self._graph.wanted(asked["node"]), asked["node"])
            body = {"step": asked["step"], "answer": plain_values(answer, "an answer")}
            self.write("graph.answered", body)
            earlier = kept.answers.get(asked["step"], {})
            kept.answers[asked["step"]] = {**earlier, **from_plain(body["answer"])}
            kept.status, kept.question = "unfinished", {}

    def outcome(self) -> Any:
        """What the run gave already, or what has to be asked before it may go on."""
        kept = self.kept
        if kept.status == "finished":
            return dspy.Prediction(**kept.outputs)
        if kept.status == "paused":
            return self._asked(kept.question)
        for step, body in kept.begun.items():
            if not body["is_safe"]:
                question = {
                    "step": step,
                    "node": body["node"],
                    "question": f"Node {body['node']!r} was at work when the run ended. Did it "
                    f"happen? If so, answer what it wrote too.",
                    "details": {"answers": [HAPPENED, WROTE]},
                    "state": {},
                    "in_flight": True,
                }
                self.write("graph.paused", question)
                return self._asked(question)
        return None

    def end(self, outcome: Any) -> Any:
        """Keep how this attempt at the run ended."""
        if isinstance(outcome, Paused):
            names = ("step", "node", "question", "details", "state")
            self.write("graph.paused", {name: getattr(outcome, name) for name in names})
        else:
            outputs = plain_values(dict(outcome.items()), "the outputs")
            self.write("graph.finished", {"outputs": outputs})
        return outcome

    def _keep(self, step: str, done: Done) -> Done:
        body = done.to_json()
        self.write("graph.step", {"step": step, "done": body})
        return Done.from_json(body)

    def _begun(self, step: str, node: str, is_safe: bool) -> None:
        self.write("graph.begun", {"step": step, "node": node, "is_safe": is_safe})

    def _settle(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """A person says whether an effect happened."""
        wrote = answer.get(WROTE, {})
        if not isinstance(answer.get(HAPPENED), bool) or not isinstance(wrote, Mapping):
            raise ProgramError(
                f"answer happened=True or happened=False, and wrote={{...}} if node "
                f"{asked['node']!r} writes something"
            )
        step, kept = asked["step"], self.kept
        if answer[HAPPENED]:
            kept.done[step] = self._keep(step, Done(asked["node"], wrote))
        else:
            self.write("graph.answered", {"step": step, "answer": {}, "repeat": True})
        kept.begun.pop(step, None)
        kept.status, kept.question = "unfinished", {}

    def _asked(self, question: Mapping[str, Any]) -> Paused:
        kept = self.kept
        names = ("question", "details", "node", "step", "state")
        return Paused(
            **{name: question[name] for name in names},
            inputs=kept.inputs,
            done={step: done.to_json() for step, done in kept.done.items()},
            answers={step: plain_values(one, "an answer") for step, one in kept.answers.items()},
            run=kept.run,
            outputs=self._graph.outputs or (),
        )
