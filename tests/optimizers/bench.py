"""The parts of a run on a bench: wired as a compile wires them, each within reach of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy

from compilm.engine import EnginePair, stack
from compilm.journal import MemoryJournal
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import Answers, Metered, Recorded
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.evaluate import Evaluator
from compilm.optimizers.executor import LocalExecutor
from compilm.optimizers.guard import Guard
from compilm.optimizers.job import Job
from compilm.optimizers.ledger import Ledger
from compilm.optimizers.meter import Meter
from compilm.optimizers.records import Writer
from compilm.prices import Prices
from compilm.programs import models

from . import worlds


class Calls:
    """One ledger, journal and store of answers, and the stacks that share them."""

    def __init__(self, budget: Budget | None = None, answers: Answers | None = None) -> None:
        self.journal, self.clock = MemoryJournal(), worlds.ManualClock()
        self.answers = answers or Answers()
        self.ledger = Ledger(budget or Budget(), self.clock)
        self.writer = Writer(self.journal, "r", self.clock)

    def over(self, engine: EnginePair, lm: dspy.LM, role: str = "default") -> EnginePair:
        recorded = Recorded(role, lm, self.answers, self.writer, Prices())
        metered = Metered(role, str(lm.model), self.ledger, self.writer, Prices())
        return stack(engine, recorded, metered)

    def role(self, lm: dspy.LM, role: str = "default") -> dspy.LM:
        return models.role_lm(self.over(models.as_engine(lm), lm, role), lm)

    def kinds(self) -> list[str]:
        return [record.kind for record in self.journal.read()]


@dataclass
class Bench:
    job: Job
    calls: Calls
    meter: Meter
    guard: Guard
    evaluator: Evaluator

    @property
    def baseline(self) -> Candidate:
        return Candidate(0, self.job.predictors)

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [record.body for record in self.calls.journal.read(kinds=[kind])]


@contextmanager
def bench(**settings: Any) -> Iterator[Bench]:
    """A bench for the job that `worlds.job` makes of the settings."""
    job = worlds.job(**settings)
    calls = Calls(job.budget)
    meter, guard = Meter(job.budget, calls.answers, calls.ledger), Guard(calls.ledger)
    executor = LocalExecutor(
        job.program,
        job.metric,
        job.splits,
        lm=calls.role(job.roles["default"]),
        exchange=calls.role,
        roles={},
        writer=calls.writer,
        guard=guard,
        clock=job.clock,
        concurrency=job.concurrency,
    )
    try:
        yield Bench(job, calls, meter, guard, Evaluator(job.splits, executor, meter))
    finally:
        executor.close()
