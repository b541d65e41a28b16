"""Programs in the order of their price: the first whose answer is accepted gives it, else a person.

A cascade, as in FrugalGPT (Chen, Zaharia and Zou 2023, arXiv:2305.05176).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import dspy
from dspy.utils.exceptions import AdapterParseError

from ..errors import ProgramError, UsageError
from ..programs.awaiting import acalled
from .accepting import Accept, averdict_of, foreseen, verdict_of
from .case import Attempt, Case, Verdict

__all__ = ["Escalate", "Person"]

# Gives an answer, or raises what pauses the run that it is part of.
Person: TypeAlias = Callable[[Case], Any]

_UNREADABLE = (AdapterParseError, dspy.ContextWindowExceededError)
_YES = Verdict(True)


class _Rung(NamedTuple):
    name: str
    step: dspy.Module
    accept: Accept | None


class Escalate(dspy.Module):
    """Asks its steps in order until an answer is accepted, and gives that one.

    steps: programs with the same inputs and outputs, the cheapest first; or one mapping of names
    to programs. accept: a check (prediction to bool) or a `Confidence`, one for all steps or a
    list with one for each step that may be refused. The last step's answer stands, unless there is
    a `person`: then it must be accepted too, else the person is asked with the `Case` (whose
    `tried` tells why each step was refused) and gives the prediction, or raises what pauses the
    run (`compilm.graphs.Pause`); a call that has all of `answers` among its inputs, as a resumed
    run has, gives those.

    A step whose answer cannot be parsed, or whose prompt is too long for its model, is refused
    too; other errors pass. Where a signal needs the inputs alone (`Alike`), a step that would be
    refused is not run. The prediction's field `escalation` tells `step`, `confidence`, and of each
    step in `tried` the same with its `reason`.

    All predictors are the program's own: `steps.0…`, a judge's under `accept`. What refused steps
    said is kept out of DSPy's trace while one is compiled, so that it becomes no demonstration.

    Raises `UsageError` where steps and checks do not fit each other.

    >>> from compilm.testing.engines import scripted_lm
    >>> cheap, dear = dspy.Predict("q -> a"), dspy.Predict("q -> a")
    >>> program = Escalate(cheap, dear, accept=lambda prediction: prediction.a != "unsure")
    >>> with dspy.context(lm=scripted_lm([{"a": "unsure"}, {"a": "4"}])):
    ...     given = program(q="2+2?")
    >>> given.a, given.escalation["step"], len(given.escalation["tried"])
    ('4', '1', 1)
    """

    def __init__(
        self,
        *steps: dspy.Module | Mapping[str, dspy.Module],
        accept: Accept | Sequence[Accept],
        person: Person | None = None,
        answers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.steps = _named(steps)
        self.accept = list(accept) if isinstance(accept, Sequence) else accept
        self.person, self.answers = person, tuple(answers)
        self._checks()

    def forward(self, **inputs: Any) -> dspy.Prediction:
        if self._is_answered(inputs):
            return self._answered(inputs)
        case = Case(inputs)
        for rung in self._rungs():
            attempt = _foreseen(rung, case)
            if attempt is None:
                with _apart() as said:
                    try:
                        prediction = rung.step(**inputs)
                    except _UNREADABLE as error:
                        attempt = _unread(rung, error)
            if attempt is None:
                verdict = _judged(rung, replace(case, prediction=prediction))
                attempt = Attempt(rung.name, prediction, verdict)
            if attempt.verdict:
                return _given(attempt, case, said)
            case = replace(case, tried=(*case.tried, attempt))
        return self._by_person(case)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        if self._is_answered(inputs):
            return self._answered(inputs)
        case = Case(inputs)
        for rung in self._rungs():
            attempt = _foreseen(rung, case)
            if attempt is None:
                with _apart() as said:
                    try:
                        prediction = await acalled(rung.step, inputs)
                    except _UNREADABLE as error:
                        attempt = _unread(rung, error)
            if attempt is None:
                verdict = await _ajudged(rung, replace(case, prediction=prediction))
                attempt = Attempt(rung.name, prediction, verdict)
            if attempt.verdict:
                return _given(attempt, case, said)
            case = replace(case, tried=(*case.tried, attempt))
        return self._by_person(case)

    def _checks(self) -> list[Accept | None]:
        """What each step is held against, in order; `None` for one whose answer stands."""
        wanted = len(self.steps) - (self.person is None)
        checks = self.accept if isinstance(self.accept, list) else [self.accept] * wanted
        if wanted < 1 or len(checks) != wanted:
            raise UsageError(
                f"{len(self.steps)} steps and {len(checks)} checks: give two steps or more, or one "
                f"and a person, and a check for each that may be refused ({max(wanted, 1)} here)"
            )
        return [*checks, *([None] if self.person is None else [])]

    def _rungs(self) -> Iterator[_Rung]:
        for (name, step), accept in zip(self.steps.items(), self._checks(), strict=True):
            yield _Rung(name, step, accept)

    def _is_answered(self, inputs: Mapping[str, Any]) -> bool:
        return bool(self.answers) and all(name in inputs for name in self.answers)

    def _answered(self, inputs: Mapping[str, Any]) -> dspy.Prediction:
        given = dspy.Prediction(**{name: inputs[name] for name in self.answers})
        return _given(Attempt("person", given, _YES), Case(inputs), [])

    def _by_person(self, case: Case) -> dspy.Prediction:
        assert self.person is not None  # without one, the last step's answer stands
        said = self.person(case)
        prediction = said if isinstance(said, dspy.Prediction) else dspy.Prediction(**said)
        return _given(Attempt("person", prediction, _YES), case, [])


def _named(steps: Sequence[Any]) -> dict[str, dspy.Module]:
    """The steps by name: by their places where they have none."""
    given = steps[0] if len(steps) == 1 and isinstance(steps[0], Mapping) else steps
    named = dict(given) if isinstance(given, Mapping) else dict(zip(map(str, count()), given))
    for name, step in named.items():
        if not isinstance(step, dspy.Module):
            raise UsageError(
                f"step {name!r} is a {type(step).__name__}: a step is a dspy.Module, so that an "
                "optimizer finds what is in it"
            )
    if len({id(step) for step in named.values()}) < len(named):
        raise UsageError(
            "one program stands in two steps: give program.deepcopy() as the second, so that each "
            "has texts and a model of its own"
        )
    return named


def _foreseen(rung: _Rung, case: Case) -> Attempt | None:
    """The attempt that need not be made, as the inputs alone tell."""
    if rung.accept is None or not foreseen(rung.accept):
        return None
    verdict = verdict_of(rung.accept, case)
    return None if verdict else Attempt(rung.name, None, verdict)


def _judged(rung: _Rung, case: Case) -> Verdict:
    """What is said of an answer; nothing, where its inputs were judged or it stands anyway."""
    if rung.accept is None or foreseen(rung.accept):
        return _YES
    return verdict_of(rung.accept, case)


async def _ajudged(rung: _Rung, case: Case) -> Verdict:
    if rung.accept is None or foreseen(rung.accept):
        return _YES
    return await averdict_of(rung.accept, case)


def _unread(rung: _Rung, error: Exception) -> Attempt:
    """The attempt whose answer cannot be used; the error itself where its answer would stand."""
    if rung.accept is None:
        raise error
    told = str(error).partition("\n")[0][:200]
    return Attempt(rung.name, None, Verdict(False, None, f"{type(error).__name__}: {told}"))


def _given(attempt: Attempt, case: Case, said: Sequence[Any]) -> dspy.Prediction:
    """The accepted answer, with how it came about; only now its calls stand in DSPy's trace."""
    trace = dspy.settings.trace
    if trace is not None and said:
        trace.extend(said)
    prediction = attempt.prediction
    if not isinstance(prediction, dspy.Prediction):
        raise ProgramError(
            f"step {attempt.step!r} gave a {type(prediction).__name__}: a step of Escalate gives a "
            "dspy.Prediction"
        )
    told = {
        "step": attempt.step,
        "confidence": attempt.verdict.confidence,
        "tried": [one.to_json() for one in case.tried],
    }
    if "escalation" in prediction:  # of an Escalate that is a step of this one
        told["within"] = prediction["escalation"]
    prediction["escalation"] = told
    return prediction


@contextmanager
def _apart() -> Iterator[list[Any]]:
    """A context whose calls stand in the list it gives, where DSPy collects them for a compile.

    The trace of a served call is of another kind: it keeps what refused steps said, as it should.
    """
    if type(dspy.settings.trace) is not list:
        yield []
        return
    said: list[Any] = []
    with dspy.context(trace=said):
        yield said
