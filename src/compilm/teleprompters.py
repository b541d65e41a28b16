"""A compile as one of DSPy's teleprompters, for code that calls optimizers as DSPy's are called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt.teleprompt import Teleprompter

from .api import Data, Progress, compile
from .errors import UsageError
from .journal import Journal
from .optimizers.budget import Budget
from .optimizers.front import Constraints
from .optimizers.result import CompileResult

__all__ = ["Compile"]

_UNSHOWN = Constraints(show_val=False)


class Compile(Teleprompter):
    """`compilm.compile` behind DSPy's own interface: made once, then `compile(student, ...)`.

    The arguments are those of `compilm.compile`; unless you give other `constraints`, no validation
    example is shown, for DSPy's programs are compared on these. What comes back is a program of
    DSPy's, the student's copy where nothing was shown to be better; verdict, proof, spending and
    artifact are in `last_result`. They are not put on the program, which could then not be saved.

    >>> rows = [dspy.Example(n=str(n), odd=str(n % 2)).with_inputs("n") for n in range(30)]
    >>> optimizer = Compile("exact(odd)", level=0)
    >>> program = optimizer.compile(dspy.Predict("n -> odd"), trainset=rows)
    >>> type(program).__name__, optimizer.last_result.verdict
    ('Predict', 'unproven')
    """

    def __init__(
        self,
        metric: Any,
        *,
        level: int = 2,
        optimizer: str | None = None,
        optimizer_options: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        roles: Mapping[str, dspy.LM] | None = None,
        seed: int = 0,
        concurrency: int = 32,
        journal: Journal | str | Path | None = None,
        constraints: Constraints = _UNSHOWN,
        progress: Progress = "none",
        track: str | None = None,
    ) -> None:
        super().__init__()
        self.metric = metric
        self.last_result: CompileResult | None = None
        self._how: dict[str, Any] = {
            "level": level,
            "optimizer": optimizer,
            "optimizer_options": optimizer_options,
            "budget": budget,
            "roles": roles,
            "seed": seed,
            "concurrency": concurrency,
            "journal": journal,
            "constraints": constraints,
            "progress": progress,
            "track": track,
        }

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Data,
        teacher: dspy.Module | None = None,
        valset: Data | None = None,
        testset: Data | None = None,
    ) -> dspy.Module:
        """The compiled program; examples that are not given are split off, as in `compilm.compile`.

        Raises `UsageError` and its kin for what the caller can mend; a `teacher` is one of them.
        """
        if teacher is not None:
            raise UsageError(
                "teacher: a compile has none. Bind roles={'proposer': lm} to a stronger model; it "
                "writes the instructions"
            )
        self.last_result = result = compile(
            student, self.metric, trainset=trainset, valset=valset, testset=testset, **self._how
        )
        program = student.deepcopy() if result.program is student else result.program
        program._compiled = True
        return program

    def get_params(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {"metric": self.metric, **self._how}
