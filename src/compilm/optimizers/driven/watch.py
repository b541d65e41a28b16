"""Every execution of a driven program: counted, scored once, written down, never 0 for an outage.

DSPy turns every exception into a score of 0. Here a rollout whose model calls failed is given back
as `Unanswered`: it is missing in the journal, and the optimizer is told a neutral score. If that
happens too often, the run stops and can be taken up again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import dspy

from ... import canonical
from ...clock import Clock
from ...errors import ContractError, ProviderRejected, RunStopped
from ...metrics import Metric, Score
from ...programs.nearest import scoring
from ...programs.predictors import predictors
from ..calls import SCOPE, Scope
from ..guard import Guard
from ..records import Writer
from ..rollout import Rollout, Step
from .cells import UNKNOWN, Cell, Cells
from .standings import Standings
from .states import State, States
from .turnstile import Turnstile

__all__ = ["Unanswered", "Watch", "past_rollouts"]

_TOLERATED = 0.05  # share of examples without an answer that an optimizer goes on with
_AT_LEAST = 3
_UNASKED = "the optimizer asked for no score"


class Unanswered(dspy.Prediction):
    """What stands for the prediction of a rollout whose model calls failed."""


@dataclass(slots=True)
class _Running:
    """One execution, from its start to its record."""

    state: State | None
    cell: Cell
    key: str
    new: bool
    scope: Scope = field(default_factory=Scope)
    steps: list[Any] = field(default_factory=list)
    paths: Mapping[int, str] = field(default_factory=dict)
    prediction: Any = None
    score: Score | None = None
    error: str = ""
    seconds: float = 0.0


def past_rollouts(writer: Writer) -> Counter[str]:
    """How often the journal holds each execution of a driven program; one without answers, not."""
    kept: Counter[str] = Counter()
    for record in writer.journal.read(writer.run, kinds=["rollout"]):
        missing = record.body["score"]["missing"]
        if "driven" in record.body and missing in ("", _UNASKED):
            kept[record.body["driven"]] += 1
    return kept


class Watch:
    """The hook around a student, and the metric that goes with it."""

    def __init__(
        self,
        metric: Metric,
        cells: Cells,
        states: States,
        standings: Standings,
        turnstile: Turnstile,
        *,
        guard: Guard,
        writer: Writer,
        clock: Clock,
        neutral: float,
    ) -> None:
        self._metric, self._cells, self._states = metric, cells, states
        self._standings, self._turnstile = standings, turnstile
        self._guard, self._writer, self._clock = guard, writer, clock
        self._neutral = neutral
        self._past = past_rollouts(writer)
        self._met: set[Cell] = set()
        self._unanswered: set[Cell] = set()
        self._open: dict[int, _Running] = {}
        # The latest execution of this thread: DSPy scores in the thread that ran the program.
        self._latest: ContextVar[_Running | None] = ContextVar("compilm_latest", default=None)
        self._inside: ContextVar[bool] = ContextVar("compilm_inside", default=False)
        self.broken: ContractError | None = None

    def execute(
        self,
        student: dspy.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """One rollout of the student; a call of itself by itself is part of the same one."""
        if self._inside.get():
            return forward(*args, **kwargs)
        running = self._started(student, kwargs)
        token = self._inside.set(True)
        try:
            failure = self._attempt(running, forward, args, kwargs)
        except BaseException:  # border: it does not count; it passes
            self._turnstile.turn_back(new=running.new)
            raise
        finally:
            self._inside.reset(token)
        self._turnstile.leave(
            new=running.new, keys=running.scope.keys, unmanaged=running.scope.unmanaged
        )
        self._latest.set(running)
        if running.scope.failures:
            return self._without_answer(running)
        if failure is not None:
            self._record(running, Score(0.0, f"the program raised {running.error}"))
            raise failure
        self._open[id(running)] = running
        return running.prediction

    def metric(
        self,
        example: dspy.Example,
        prediction: Any,
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> Any:
        """The run's metric with the arguments that any DSPy optimizer passes; a number for it."""
        latest = self._latest.get()
        if prediction is None and latest is not None and latest.score is not None:
            return latest.score.value  # SIMBA asks for the score of a program that raised
        if isinstance(prediction, Unanswered):
            return self._told(Score.unscored("a model call failed"), trace, pred_name)
        mine = latest if latest is not None and latest.prediction is prediction else None
        if mine is not None and mine.score is not None:
            mine = None
        score = self._scored(mine, example, prediction, trace, pred_name, pred_trace)
        if mine is not None:
            cell = self._cells.of(example)
            mine.cell = mine.cell if cell is UNKNOWN else cell
            self._record(mine, score, plain=trace is None)
        return self._told(score, trace, pred_name)

    def flush(self) -> None:
        """Write down the executions that were never scored."""
        for running in list(self._open.values()):
            self._record(running, Score.unscored(_UNASKED), plain=False)

    def _started(self, student: dspy.Module, kwargs: Mapping[str, Any]) -> _Running:
        state, cell = self._states.of(student), self._cells.called_with(kwargs)
        named = [state.digest, state.variant] if state else ["", ""]
        key = canonical.short(canonical.digest([*named, *cell]), 16)
        new = self._past[key] <= 0
        self._turnstile.enter(new=new)
        if not new:
            self._past[key] -= 1
        self._met.add(cell)
        paths = {id(each): path for path, each in predictors(student).items()}
        if state is not None:
            self._standings.met(state)
        return _Running(state, cell, key, new, paths=paths)

    def _attempt(
        self, running: _Running, forward: Callable[..., Any], args: Any, kwargs: Any
    ) -> Exception | None:
        """Run the program; what it raised by itself is returned, a stop is raised."""
        token = SCOPE.set(running.scope)
        outer, began = dspy.settings.trace, self._clock.now()
        try:
            learned = self._cells.learned_from(running.cell)
            with dspy.context(trace=running.steps), scoring(learned):
                running.prediction = forward(*args, **kwargs)
        except ContractError as error:
            raise self._contract(error) from error
        except KeyboardInterrupt:
            self._guard.interrupt()
            raise RunStopped("interrupted") from None
        except Exception as error:  # border: the user's program; what it raised is the feedback
            running.error = f"{type(error).__name__}: {error}"[:500]
            return error
        finally:
            SCOPE.reset(token)
            running.seconds = round(self._clock.now() - began, 6)
            if outer is not None:
                outer.extend(running.steps)
        return None

    def _scored(
        self,
        mine: _Running | None,
        example: dspy.Example,
        prediction: Any,
        trace: Any,
        pred_name: str | None,
        pred_trace: Any,
    ) -> Score:
        scope = Scope()
        token = SCOPE.set(scope)
        try:
            score = self._metric.score(
                example,
                prediction,
                trace=trace,
                example_id=self._cells.of(example).example or None,
                predictor=pred_name,
                predictor_trace=pred_trace,
            )
        except ContractError as error:
            raise self._contract(error) from error
        except Exception as error:  # border: a judge's model call that failed
            score = Score.unscored(f"the metric's model call failed: {type(error).__name__}")
        finally:
            SCOPE.reset(token)
            self._turnstile.asked(scope.keys, scope.unmanaged)
        if mine is not None:
            mine.scope.keys += scope.keys
            mine.scope.unmanaged += scope.unmanaged
        if scope.failures:
            self._count_unanswered(self._cells.of(example), scope.failures)
            score = Score.unscored(f"a model call failed: {scope.failures[0]}")
        return score

    def _told(self, score: Score, trace: Any, pred_name: str | None) -> Any:
        """What the optimizer hears: a missing score is neutral, and never makes a demonstration."""
        if pred_name is None:
            if score.is_missing:
                return 0.0 if trace is not None else self._neutral
            return score.value
        value = self._neutral if score.is_missing else score.value
        feedback = score.missing or score.feedback
        return dspy.Prediction(score=value, feedback=feedback) if feedback else value

    def _without_answer(self, running: _Running) -> Unanswered:
        why = ", ".join(sorted(set(running.scope.failures)))
        running.prediction = unanswered = Unanswered()
        self._record(running, Score.unscored(f"a model call failed: {why}"))
        self._count_unanswered(running.cell, running.scope.failures)
        return unanswered

    def _count_unanswered(self, cell: Cell, failures: list[str]) -> None:
        """Stop where many examples get no answer; one that never gets any is passed over."""
        self._unanswered.add(cell)
        failed, met = len(self._unanswered), len(self._met)
        if failed > max(_AT_LEAST, _TOLERATED * met):
            why = (
                f"{failed} of {met} examples got no answer ({failures[-1]}), and without answers "
                "an optimizer learns nothing; the same call goes on"
            )
            raise RunStopped(why, cause=ProviderRejected(why))

    def _contract(self, error: ContractError) -> RunStopped:
        """A stop that DSPy cannot swallow, for an error that must reach the caller."""
        self.broken = self.broken or error
        return RunStopped(str(error))

    def _record(self, running: _Running, score: Score, *, plain: bool = True) -> None:
        running.score = score
        self._open.pop(id(running), None)
        state = running.state
        plain = plain and state is not None and not state.variant
        digest = state.digest if state else ""
        name = self._standings.name_of(digest)
        if not plain:
            digest = canonical.digest([digest, state.variant if state else "", "varied"])
            name = f"{name}~"
        rollout = Rollout(
            name,
            digest,
            running.cell.split,
            running.cell.example,
            score,
            _outputs(running.prediction),
            _steps(running),
            tuple(running.scope.keys),
            running.scope.unmanaged,
            running.error,
            running.seconds,
        )
        if running.new:
            self._writer.append("rollout", {**rollout.to_json(), "driven": running.key})
        if plain and state is not None:
            self._standings.saw(state, running.cell, rollout)


def _steps(running: _Running) -> tuple[Step, ...]:
    steps = []
    for predictor, inputs, outputs in running.steps:
        path = running.paths.get(id(predictor))
        if path is not None:
            try:
                steps.append(Step(path, canonical.plain(inputs), canonical.plain(dict(outputs))))
            except (TypeError, ValueError):  # no JSON form, or no outputs that were parsed
                continue
    return tuple(steps)


def _outputs(prediction: Any) -> dict[str, Any] | None:
    if prediction is None or isinstance(prediction, Unanswered):
        return None
    items = prediction.items() if hasattr(prediction, "items") else [("value", prediction)]
    return {str(name): _plain(value) for name, value in items}


def _plain(value: Any) -> Any:
    try:
        return canonical.plain(value)
    except TypeError:
        return repr(value)[:200]
