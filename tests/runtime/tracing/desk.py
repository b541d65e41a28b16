"""A program with two predictors, loaded under a tracer whose journal is in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import dspy

from compilm.artifact import Artifact
from compilm.clock import ManualClock
from compilm.config import RuntimeSettings
from compilm.journal import Journal, MemoryJournal
from compilm.programs.dspy_state import adopt
from compilm.runtime.load import Runtime, load
from compilm.runtime.stack import Stacks
from compilm.runtime.tracing import Span, Trace, Tracer
from compilm.testing.engines import scripted_lm

ANSWER = {"reasoning": "sums", "answer": "4", "verdict": "fine"}


class Desk(dspy.Module):
    """Drafts an answer and checks it."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.ChainOfThought("question -> answer")
        self.check = dspy.Predict("answer -> verdict")

    def forward(self, question: str) -> dspy.Prediction:
        draft = self.draft(question=question)
        return dspy.Prediction(answer=draft.answer, verdict=self.check(answer=draft.answer).verdict)


def artifact_of(program: dspy.Module) -> Artifact:
    with TemporaryDirectory() as folder:
        program.save(f"{folder}/state.json")
        return adopt(f"{folder}/state.json", program)


class Kept:
    """A runtime, its tracer, and the traces that it kept."""

    def __init__(
        self,
        program: Callable[[], dspy.Module] = Desk,
        lm: dspy.LM | None = None,
        *,
        journal: Journal | None = None,
        clock: ManualClock | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or ManualClock(start=1000.0)
        self.journal = journal or MemoryJournal()
        settings = {"keeps": "texts", "rng": random.Random(0), **settings}
        self.tracer = Tracer(self.journal, clock=self.clock, **settings)
        made = program()
        roles = {"default": lm or scripted_lm([ANSWER])}
        self.runtime: Runtime = load(artifact_of(made), made, roles=roles, tracer=self.tracer)

    def traces(self) -> list[Trace]:
        """What is in the journal now."""
        assert self.tracer.flush()
        return [Trace.of(record) for record in self.journal.read(kinds=["trace"])]

    def trace(self) -> Trace:
        """The only one."""
        (found,) = self.traces()
        return found


def stacked(*scripts: Any, clock: ManualClock | None = None, **settings: Any) -> dspy.LM:
    """The LM of a stack over models that answer by these scripts: a/0, then a/1, and so on."""
    lms = [scripted_lm(script, model=f"a/{n}") for n, script in enumerate(scripts)]
    found: dspy.LM = Stacks(RuntimeSettings(**settings), clock or ManualClock()).over(*lms).lm
    return found


def drawn(trace: Trace, span: Span | None = None) -> list[Any]:
    """The spans as (kind, name, error, those under it)."""
    spans = trace.under(None if span is None else span.number)
    return [(one.kind, one.name, one.error, drawn(trace, one)) for one in spans]
