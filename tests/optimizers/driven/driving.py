"""Driven compiles for tests: every optimizer at a small size, whole or cut off at a record."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dspy
import pytest
from tests.optimizers import worlds

from compilm.journal import MemoryJournal, Record
from compilm.optimizers.budget import Budget
from compilm.optimizers.compile import compile_job
from compilm.optimizers.job import Job
from compilm.optimizers.result import CompileResult

from . import minds

SIZES = (20, 20, 20)
ROLLOUTS = 220
# For what has to run to its end, whatever it finds.
SHORT: dict[str, Any] = {"sizes": (12, 12, 12), "budget": Budget(rollouts=180)}

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed"
)
NAMES = (
    "LabeledFewShot", "BootstrapFewShot", "BootstrapFewShotWithRandomSearch", "COPRO", "SIMBA",
    "GEPA", "InferRules", "BetterTogether",
)  # fmt: skip
EVERY = (*NAMES, pytest.param("MIPROv2", marks=needs_optuna))

# Options that ask for more than the tests' budget holds.
GREEDY: dict[str, dict[str, Any]] = {
    "BootstrapFewShotWithRandomSearch": {"num_candidate_programs": 40},
    "COPRO": {"breadth": 12, "depth": 4},
    "SIMBA": {"bsize": 10, "num_candidates": 4, "max_steps": 12},
    "GEPA": {"max_full_evals": 40},
    "InferRules": {"num_candidates": 40},
}


def reply_for(name: str) -> minds.Reply:
    """The world's mind; for SIMBA, which looks for answers that vary, a moody one."""
    return minds.mind(minds.moody) if name == "SIMBA" else minds.mind()


def driven(name: str, *, lm: dspy.LM | None = None, **how: Any) -> Job:
    """The job of one of DSPy's optimizers in the world."""
    how = {"sizes": SIZES, "budget": Budget(rollouts=ROLLOUTS), **how}
    return worlds.job(lm=lm or minds.lm(reply_for(name)), optimizer=f"dspy.{name}", **how)


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its job, its records and its result."""

    job: Job = field(repr=False)
    records: list[Record] = field(repr=False)
    result: CompileResult = field(repr=False)


@cache
def undisturbed(name: str, greedy: bool = False) -> Whole:
    """`name` from start to end, run once for all tests that only look at it."""
    journal = MemoryJournal()
    job = driven(name, journal=journal, options=GREEDY[name] if greedy else {})
    result = compile_job(job)
    return Whole(job, list(journal.read()), result)


def bodies(job: Job, kind: str) -> list[dict[str, Any]]:
    return [record.body for record in job.journal.read(kinds=[kind])]


def answered(records: list[Record]) -> Counter[str]:
    """The answered calls by key."""
    return Counter(record.body["key"] for record in records if record.kind == "call")
