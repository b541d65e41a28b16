"""A run while a process works on it: claimed, read back, written step by step, and given back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dspy

from ..clock import Clock
from ..errors import ProgramError
from ..journal import Journal, Record
from .graph import Graph
from .pauses import Paused
from .progress import Done, Progress
from .records import KINDS, Kept, read_back
from .told import told_of
from .values import from_plain, plain_values
from .walk import accepted

__all__ = ["Taken", "asked_of", "check"]

HAPPENED, WROTE = "happened", "wrote"


class Taken:
    """A run while this process works on it; no other can."""

    def __init__(self, graph: Graph, journal: Journal, clock: Clock, run: str, name: str) -> None:
        self._graph, self._journal, self._clock, self._name = graph, journal, clock, name
        self._run, self._is_running = run, False

    def __enter__(self) -> Taken:
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
                self.write("graph.failed", told_of(error))
        finally:
            self._release()

    @property
    def inputs(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = from_plain(dict(self.kept.inputs))
        return found

    def write(self, kind: str, body: Mapping[str, Any]) -> None:
        self._journal.append(Record(kind, self._clock.wall(), self._run, dict(body)))
        self.kept.asked += kind == "graph.paused"
        if self.kept.status == "new":
            self.kept.status = "unfinished"

    def progress(self) -> Progress:
        kept, self._is_running = self.kept, True
        return Progress(
            run=self._run,
            done=kept.done,
            answers=kept.answers,
            askers=kept.askers,
            keep=self._keep,
            begin=self._begun,
        )

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Take a person's answer into the run."""
        kept, asked = self.kept, self.kept.question
        if kept.status == "new":
            raise ProgramError(f"there is no run {kept.run!r}: start it")
        if not answer:
            return
        if kept.status != "paused":
            raise ProgramError(f"run {kept.run!r} is {kept.status} and asks nothing")
        check(self._graph, asked, answer)
        if asked.get("in_flight"):
            self._settle(asked, answer)
        else:
            self._take(asked["step"], asked["node"], plain_values(answer, "an answer"))
        kept.status, kept.question = "unfinished", {}

    def outcome(self) -> Any:
        """What the run gave already, or what has to be asked before it may go on."""
        kept = self.kept
        if kept.status == "finished":
            return dspy.Prediction(**kept.outputs)
        if kept.status == "paused":
            return asked_of(self._graph, kept)
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
                kept.question = question
                return asked_of(self._graph, kept)
        return None

    def end(self, outcome: Any) -> Any:
        """Keep how this attempt at the run ended."""
        if isinstance(outcome, Paused):
            names = ("step", "node", "question", "details", "state")
            self.write("graph.paused", {name: getattr(outcome, name) for name in names})
            return replace(outcome, asked=self.kept.asked)
        outputs = plain_values(dict(outcome.items()), "the outputs")
        self.write("graph.finished", {"outputs": outputs})
        return outcome

    def _keep(self, step: str, done: Done) -> Done:
        body = done.to_json()
        self.write("graph.step", {"step": step, "done": body})
        return Done.from_json(body)

    def _begun(self, step: str, node: str, is_safe: bool) -> None:
        self.write("graph.begun", {"step": step, "node": node, "is_safe": is_safe})

    def _take(self, step: str, node: str, answer: dict[str, Any]) -> None:
        self.write("graph.answered", {"step": step, "node": node, "answer": answer})
        earlier = self.kept.answers.get(step, {})
        self.kept.answers[step] = {**earlier, **from_plain(answer)}
        self.kept.askers[step] = node

    def _settle(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """A person says whether an effect happened."""
        step, kept = asked["step"], self.kept
        if answer[HAPPENED]:
            kept.done[step] = self._keep(step, Done(asked["node"], answer.get(WROTE, {})))
        else:
            self.write("graph.answered", {"step": step, "answer": {}, "repeat": True})
        kept.begun.pop(step, None)


def check(graph: Graph, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """Nothing, or the error of an answer that does not fit what was asked."""
    if not asked.get("in_flight"):
        accepted(answer, graph.wanted(asked["node"]), asked["node"])
        return
    if not isinstance(answer.get(HAPPENED), bool) or not isinstance(answer.get(WROTE, {}), Mapping):
        raise ProgramError(
            f"answer happened=True or happened=False, and wrote={{...}} if node "
            f"{asked['node']!r} writes something"
        )


def asked_of(graph: Graph, kept: Kept) -> Paused:
    """The pause of a run that is kept."""
    names = ("question", "details", "node", "step", "state")
    return Paused(
        **{name: kept.question[name] for name in names},
        inputs=kept.inputs,
        done={step: done.to_json() for step, done in kept.done.items()},
        answers={step: plain_values(one, "an answer") for step, one in kept.answers.items()},
        run=kept.run,
        outputs=graph.outputs or (),
        asked=kept.asked,
    )
