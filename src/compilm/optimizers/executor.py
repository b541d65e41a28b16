"""Where rollouts are made: the search asks for some and gets them back in the order it asked.

`LocalExecutor` runs the program in threads of this process. A call that failed for reasons of
infrastructure leaves the score *missing*, never 0; a program that raises by itself scores 0 and
the feedback says why.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import dspy

from .. import canonical
from ..clock import Clock
from ..datasets import DataSet
from ..errors import ContractError, RunStopped
from ..metrics import Metric, Score
from ..programs import models
from ..programs.nearest import scored
from ..programs.predictors import applied, predictors
from ..programs.rendering import rendered
from ..programs.roles import DEFAULT_ROLE
from ..programs.veils import Veil, veil_maker
from .calls import SCOPE, Scope
from .candidate import Candidate
from .guard import Guard
from .hearing import Heard, mark_modules
from .records import Writer
from .rollout import Rollout, Step

__all__ = ["Executor", "LocalExecutor", "Work"]

Work = tuple[Candidate, str, int]
T = TypeVar("T")

_KEPT_PROGRAMS = 64


class Executor(Protocol):
    """Makes rollouts, wherever. Each is in the journal before `rollouts` returns."""

    def rollouts(self, work: Sequence[Work], made: Callable[[Rollout], None]) -> None:
        """Run each candidate on the example at its place in a split.

        `made` is called with each rollout as soon as there is one, from any thread, so that what
        is finished is kept. Raises the first `ContractError` in the order of `work`, else
        `RunStopped` where the budget ended.
        """
        ...

    def side_by_side(self, tasks: Iterable[Callable[[], T]]) -> list[T]:
        """The results of the tasks in their order; errors as in `rollouts`."""
        ...

    def meanwhile(
        self, work: Sequence[Work], made: Callable[[Rollout], None], *, held: bool
    ) -> None:
        """Rollouts that will be asked for later, whatever comes: made where workers are idle.

        held: whether the budget holds their calls back for the end. Others come first.
        """
        ...

    def forget(self) -> None:
        """What was to be made meanwhile, is not held and has not begun will not be asked for."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class LocalExecutor:
    """Runs the program in threads of this process.

    lm answers for the program, `roles` for predictors that a candidate moved to another model;
    `exchange` gives the metered twin of an LM that the program brought along.
    """

    def __init__(
        self,
        program: dspy.Module,
        metric: Metric,
        splits: Mapping[str, DataSet],
        *,
        lm: dspy.LM,
        exchange: Callable[[dspy.LM], dspy.LM],
        roles: Mapping[str, dspy.LM],
        writer: Writer,
        guard: Guard,
        clock: Clock,
        concurrency: int,
    ) -> None:
        self._program, self._metric, self._splits = program, metric, splits
        self._lm, self._exchange, self._roles = lm, exchange, roles
        self._writer, self._guard, self._clock = writer, guard, clock
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="compilm-rollout")
        self._paths = tuple(predictors(program))
        self._ready: OrderedDict[str, _Ready] = OrderedDict()
        self._adapter = rendered(dspy.settings.adapter or dspy.ChatAdapter())
        self._concurrency = concurrency
        self._soon: dict[tuple[str, str, int], Callable[[], None]] = {}
        self._later: dict[tuple[str, str, int], Callable[[], None]] = {}  # held for the end
        self._early: dict[tuple[str, str, int], Future[None]] = {}

    def rollouts(self, work: Sequence[Work], made: Callable[[Rollout], None]) -> None:
        """See `Executor`."""
        self.side_by_side(self._task(one, made) for one in work if not self._made_early(one))

    def side_by_side(self, tasks: Iterable[Callable[[], T]]) -> list[T]:
        """See `Executor`; each task begins before the next is asked for, which may take a while."""
        futures = [self._submit(task) for task in tasks]
        for _ in range(-len(futures) % self._concurrency):
            for waiting in (self._soon, self._later):
                if waiting:
                    cell = next(iter(waiting))
                    self._early[cell] = self._submit(waiting.pop(cell))
                    break
        wait(futures)
        _raise_first(futures)
        return [future.result() for future in futures]

    def meanwhile(
        self, work: Sequence[Work], made: Callable[[Rollout], None], *, held: bool
    ) -> None:
        """See `Executor`; a batch's last workers take some, so that none waits for the others."""

        def task(one: Work) -> Callable[[], None]:
            asked = self._task(one, made)

            def early() -> None:
                self._guard.early(len(self._paths))
                asked()

            return early if held else asked

        (self._later if held else self._soon).update((_cell(one), task(one)) for one in work)

    def forget(self) -> None:
        """See `Executor`."""
        self._soon.clear()

    def close(self) -> None:
        """Let the worker threads go, when what is in flight is in the journal."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, task: Callable[[], T]) -> Future[T]:
        return self._pool.submit(contextvars.copy_context().run, task)

    def _task(self, one: Work, made: Callable[[Rollout], None]) -> Callable[[], None]:
        candidate, split, index = one
        ready = self._made_ready(candidate)
        return lambda: made(self._rollout(candidate, ready, split, index))

    def _made_early(self, one: Work) -> bool:
        """Whether this was made meanwhile; what failed so is made again, and says why."""
        self._soon.pop(_cell(one), None)
        self._later.pop(_cell(one), None)
        future = self._early.pop(_cell(one), None)
        return future is not None and future.exception() is None

    def _made_ready(self, candidate: Candidate) -> _Ready:
        ready = self._ready.pop(candidate.digest, None) or _Ready(self._applied(candidate))
        self._ready[candidate.digest] = ready
        while len(self._ready) > _KEPT_PROGRAMS:
            self._ready.popitem(last=False)
        return ready

    def _applied(self, candidate: Candidate) -> dspy.Module:
        program = applied(self._program, candidate.by_path)
        models.exchange(program, self._exchange)
        found = predictors(program)
        for each in candidate.predictors:
            # The default is what answers anyway, unless a predictor brought its own along.
            if each.role != DEFAULT_ROLE and each.role in self._roles:
                found[each.path].lm = self._roles[each.role]
        return program

    def _rollout(self, candidate: Candidate, ready: _Ready, split: str, index: int) -> Rollout:
        data = self._splits[split]
        scope, trace = Scope(), []  # type: ignore[var-annotated]  # dspy appends its own tuples
        SCOPE.set(scope)
        began = self._clock.now()
        # Pools are made of train examples, which must not see themselves; val and test run as
        # they will be served.
        asked = data[index] if split == "train" else None
        with dspy.context(
            lm=self._lm,
            adapter=self._adapter,
            trace=trace,
            callbacks=Heard([*(dspy.settings.callbacks or []), self._guard]),
            disable_history=True,
            usage_tracker=None,
            **scored(asked),
        ):
            held = split == "test"
            attempt = self._attempt(ready.program, data[index], data.ids[index], held=held)
        attempt = _veiled(ready.veil_maker, attempt)
        score = attempt.score
        if scope.failures and not score.is_missing:
            score = Score.unscored(f"a model call failed: {', '.join(sorted(set(scope.failures)))}")
        rollout = Rollout(
            candidate.id,
            candidate.digest,
            split,
            data.ids[index],
            score,
            attempt.outputs,
            _steps(ready.paths, trace, attempt.said),
            tuple(scope.keys),
            scope.unmanaged,
            attempt.error,
            round(self._clock.now() - began, 6),
        )
        self._guard.count_rollout()
        self._writer.append("rollout", rollout.to_json())
        return rollout

    def _attempt(
        self, program: dspy.Module, example: dspy.Example, id: str, *, held: bool
    ) -> _Attempt:
        try:
            prediction = _call(program, dict(example.inputs()))
        except ContractError:
            raise
        except KeyboardInterrupt:
            self._guard.interrupt()
            raise RunStopped("interrupted") from None
        except Exception as error:  # border: the user's program; what it raised is the feedback
            told = f"{type(error).__name__}: {error}"[:500]
            return _Attempt(None, Score(0.0, f"the program raised {told}"), told)
        outputs = _outputs(prediction)
        try:
            score = self._metric.score(example, prediction, example_id=id)
        except ContractError:
            raise
        except Exception as error:  # border: a judge's model call that failed; seen by the scope
            told = f"the metric's model call failed: {type(error).__name__}"
            return _Attempt(outputs, Score.unscored(told), type(error).__name__)
        right = score.is_missing or score.value >= 1
        return _Attempt(
            outputs, score, said={} if held or right else self._said(example, prediction)
        )

    def _said(self, example: dspy.Example, prediction: Any) -> dict[str, str]:
        """What the metric says to each predictor, where it speaks to single ones (as for GEPA)."""
        if len(self._paths) < 2 or not self._metric.speaks_to_predictors:
            return {}
        scope = SCOPE.get()
        failures = len(scope.failures) if scope else 0
        try:
            return {
                path: self._metric.score(example, prediction, predictor=path).feedback
                for path in self._paths
            }
        except Exception:  # border: the user's metric; the score stands without more words
            if scope:
                del scope.failures[failures:]
            return {}


def _cell(one: Work) -> tuple[str, str, int]:
    return one[0].digest, one[1], one[2]


class _Ready:
    """A candidate's program with what every rollout of it asks: to look takes a walk through all
    that the program holds."""

    __slots__ = ("paths", "program", "veil_maker")

    def __init__(self, program: dspy.Module) -> None:
        mark_modules(program)
        self.program = program
        self.paths = {id(predictor): path for path, predictor in predictors(program).items()}
        self.veil_maker = veil_maker(program)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of one execution: outputs, score, the program's error, words to predictors."""

    outputs: dict[str, Any] | None
    score: Score
    error: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


def _veiled(made: Callable[[], Veil] | None, attempt: _Attempt) -> _Attempt:
    """What is written down of it and told to a proposer, where the program hides things."""
    if made is None:
        return attempt
    score = replace(attempt.score, feedback="")
    told: dict[str, Any] = {name: getattr(attempt, name) for name in ("outputs", "error", "said")}
    hidden = made()({**told, "feedback": attempt.score.feedback})
    return _Attempt(score=replace(score, feedback=hidden.pop("feedback")), **hidden)


def _raise_first(futures: Sequence[Future[Any]]) -> None:
    """A broken contract before a stop: it is what the caller must mend."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    contract = [error for error in errors if not isinstance(error, RunStopped)]
    for error in [*contract, *errors]:
        raise error


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


def _steps(paths: Mapping[int, str], trace: list[Any], said: Mapping[str, str]) -> tuple[Step, ...]:
    """The trace by predictor path; a step whose values have no JSON form is left out."""
    steps = []
    for predictor, inputs, outputs in trace:
        path = paths.get(id(predictor))
        if path is not None:
            try:
                came, gave = canonical.plain(inputs), canonical.plain(dict(outputs))
                steps.append(Step(path, came, gave, said.get(path, "")))
            except TypeError:
                continue
    return tuple(steps)
