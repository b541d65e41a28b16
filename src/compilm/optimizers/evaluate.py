"""Run candidates on examples: side by side, in order, never the same cell twice.

A *cell* is one candidate on one example. Results come back in the order they were asked for,
whatever the timing. A call that failed for reasons of infrastructure leaves the cell *missing*,
never 0; a program that raises by itself scores 0 and the feedback says why.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import dspy

from .. import canonical
from ..clock import Clock
from ..datasets import DataSet
from ..errors import ContractError, RunStopped
from ..metrics import Metric, Score
from ..programs import models
from ..programs.nearest import scoring
from ..programs.predictors import applied, predictors
from .calls import SCOPE, Scope
from .candidate import Candidate
from .guard import Guard
from .meter import Meter
from .records import Writer

__all__ = ["Evaluator", "Rollout", "Step"]

_KEPT_PROGRAMS = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One predictor's call inside a rollout: what went in and what came out, as plain JSON."""

    path: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One candidate on one example: the score, the outputs, the steps, and the calls asked for."""

    candidate: str
    digest: str
    split: str
    example: str
    score: Score
    outputs: Mapping[str, Any] | None
    steps: tuple[Step, ...] = ()
    keys: tuple[str, ...] = ()
    unmanaged: int = 0
    error: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The body of a `rollout` record."""
        return {
            "candidate": self.candidate,
            "digest": self.digest,
            "split": self.split,
            "example": self.example,
            "score": self.score.to_json(),
            "outputs": self.outputs,
            "steps": [
                {"path": s.path, "inputs": s.inputs, "outputs": s.outputs} for s in self.steps
            ],
            "keys": list(self.keys),
            "unmanaged": self.unmanaged,
            "calls": len(self.keys) + self.unmanaged,
            "error": self.error,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Rollout:
        """The rollout that a `rollout` record holds."""
        steps = tuple(Step(s["path"], s["inputs"], s["outputs"]) for s in body["steps"])
        named = {name: body[name] for name in cls.__slots__ if name in body}
        named.update(score=Score.from_json(body["score"]), steps=steps, keys=tuple(body["keys"]))
        return cls(**named)


class Evaluator:
    """Scores candidates on the examples of one run."""

    def __init__(
        self,
        program: dspy.Module,
        metric: Metric,
        splits: Mapping[str, DataSet],
        *,
        lm: dspy.LM,
        exchange: Callable[[dspy.LM], dspy.LM],
        writer: Writer,
        meter: Meter,
        guard: Guard,
        clock: Clock,
        concurrency: int,
    ) -> None:
        self._program, self._metric, self._splits = program, metric, splits
        self._lm, self._exchange = lm, exchange
        self._writer, self._meter, self._guard, self._clock = writer, meter, guard, clock
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="compilm-rollout")
        self._cells: dict[tuple[str, str, str], Rollout] = {}
        self._looked: set[tuple[str, str, str]] = set()
        self._programs: OrderedDict[str, dspy.Module] = OrderedDict()

    def learn(self, rollout: Rollout) -> None:
        """A rollout that the journal holds."""
        self._cells[rollout.digest, rollout.split, rollout.example] = rollout

    def known(self, candidate: Candidate, split: str, index: int) -> Rollout | None:
        """The rollout of a cell that was looked at; what else the journal holds is yet to come."""
        cell = self._cell(candidate, split, index)
        return self._cells[cell] if cell in self._looked else None

    def all_of(self, digest: str) -> list[Rollout]:
        """Every rollout of the candidate with this digest, in no order."""
        return [rollout for key, rollout in list(self._cells.items()) if key[0] == digest]

    def close(self) -> None:
        """Let the worker threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def run(self, work: Sequence[tuple[Candidate, int]], split: str) -> list[Rollout]:
        """Rollouts for pairs of candidate and index into `split`, in that order.

        Raises `RunStopped` when the budget ends, and the first `ContractError` in order when the
        metric breaks its contract. Finished cells are kept either way.
        """
        futures: dict[int, Future[Rollout]] = {}
        keys = [self._cell(candidate, split, index) for candidate, index in work]
        started: dict[tuple[str, str, str], int] = {}
        for place, (candidate, index) in enumerate(work):
            if keys[place] not in self._cells and keys[place] not in started:
                started[keys[place]] = place
                context = contextvars.copy_context()
                program = self._applied(candidate)
                futures[place] = self._pool.submit(
                    context.run, self._rollout, candidate, program, split, index
                )
        self._gather(futures)
        found = [self._cells[key] for key in keys]
        self._look(keys)
        return found

    def _gather(self, futures: dict[int, Future[Rollout]]) -> None:
        wait(futures.values())
        errors = [e for f in futures.values() if (e := f.exception()) is not None]
        contract = [error for error in errors if not isinstance(error, RunStopped)]
        for error in [*contract, *errors]:
            raise error

    def _look(self, keys: Sequence[tuple[str, str, str]]) -> None:
        for key in keys:
            if key not in self._looked:
                self._looked.add(key)
                self._meter.rollout(self._cells[key].keys, self._cells[key].unmanaged)

    def _cell(self, candidate: Candidate, split: str, index: int) -> tuple[str, str, str]:
        return candidate.digest, split, self._splits[split].ids[index]

    def _applied(self, candidate: Candidate) -> dspy.Module:
        program = self._programs.pop(candidate.digest, None)
        if program is None:
            program = applied(self._program, candidate.by_path)
            models.exchange(program, self._exchange)
        self._programs[candidate.digest] = program
        while len(self._programs) > _KEPT_PROGRAMS:
            self._programs.popitem(last=False)
        return program

    def _rollout(
        self, candidate: Candidate, program: dspy.Module, split: str, index: int
    ) -> Rollout:
        data = self._splits[split]
        scope, trace = Scope(), []  # type: ignore[var-annotated]  # dspy appends its own tuples
        SCOPE.set(scope)
        began = self._clock.now()
        # Pools are made of train examples, which must not see themselves; val and test run as
        # it will be served.
        asked = data[index] if split == "train" else None
        with (
            dspy.context(
                lm=self._lm,
                trace=trace,
                callbacks=[*(dspy.settings.callbacks or []), self._guard],
                disable_history=True,
                usage_tracker=None,
            ),
            scoring(asked),
        ):
            outputs, score, error = self._attempt(program, data[index], data.ids[index])
        if scope.failures and not score.is_missing:
            score = Score.unscored(f"a model call failed: {', '.join(sorted(set(scope.failures)))}")
        rollout = Rollout(
            candidate.id,
            candidate.digest,
            split,
            data.ids[index],
            score,
            outputs,
            _steps(program, trace),
            tuple(scope.keys),
            scope.unmanaged,
            error,
            round(self._clock.now() - began, 6),
        )
        self._guard.count_rollout()
        self._writer.append("rollout", rollout.to_json())
        self._cells[rollout.digest, split, rollout.example] = rollout
        return rollout

    def _attempt(
        self, program: dspy.Module, example: dspy.Example, id: str
    ) -> tuple[dict[str, Any] | None, Score, str]:
        try:
            prediction = _call(program, dict(example.inputs()))
        except ContractError:
            raise
        except KeyboardInterrupt:
            self._guard.interrupt()
            raise RunStopped("interrupted") from None
        except Exception as error:  # border: the user's program; what it raised is the feedback
            told = f"{type(error).__name__}: {error}"[:500]
            return None, Score(0.0, f"the program raised {told}"), told
        outputs = _outputs(prediction)
        try:
            return outputs, self._metric.score(example, prediction, example_id=id), ""
        except ContractError:
            raise
        except Exception as error:  # border: a judge's model call that failed; seen by the scope
            told = f"{type(error).__name__}"
            return outputs, Score.unscored(f"the metric's model call failed: {told}"), told


def _call(program: dspy.Module, inputs: dict[str, Any]) -> Any:
    if hasattr(type(program), "forward") or not hasattr(type(program), "aforward"):
        return program(**inputs)
    return asyncio.run(program.acall(**inputs))


def _outputs(prediction: Any) -> dict[str, Any]:
    items = prediction.items() if hasattr(prediction, "items") else [("value", prediction)]
    return {str(name): _plain(value) for name, value in items}


def _plain(value: Any) -> Any:
    try:
        return canonical.plain(value)
    except TypeError:
        return repr(value)[:200]


def _steps(program: dspy.Module, trace: list[Any]) -> tuple[Step, ...]:
    """The trace by predictor path; a step whose values have no JSON form is left out."""
    paths = {id(predictor): path for path, predictor in predictors(program).items()}
    steps = []
    for predictor, inputs, outputs in trace:
        path = paths.get(id(predictor))
        if path is not None:
            try:
                steps.append(Step(path, canonical.plain(inputs), canonical.plain(dict(outputs))))
            except TypeError:
                continue
    return tuple(steps)
