"""A program between checks: what goes in is examined before, what came out after."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from ..errors import CheckFailed, ProgramError, UsageError
from ..programs.awaiting import acalled
from ..programs.veils import note
from .asking import Advising
from .check import Check, Verdict
from .injection.check import Injection
from .injection.spotlight import Spotlight
from .named import checked_names, inputs_of

__all__ = ["Guard", "Outcome"]

ACTIONS = ("refuse", "retry", "escalate", "raise", "flag")
REFUSAL = "I cannot answer this."


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a guarded call ended: `passed`, `mended` (after asking again), `flagged`, `refused` or
    `escalated`; by which verdicts, after how many calls of a program."""

    outcome: str
    attempts: int
    verdicts: tuple[Verdict, ...]

    def toDict(self) -> dict[str, Any]:
        """What may be written down: reasons, and no word of what was said."""
        told = [verdict.to_json() for verdict in self.verdicts]
        return {"outcome": self.outcome, "attempts": self.attempts, "verdicts": told}


@dataclass(frozen=True, slots=True)
class _Examine:
    """A step of a guarded call: this check looks."""

    check: Check
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Ask:
    """A step of a guarded call: this program answers, with advice where it is asked again."""

    program: dspy.Module
    inputs: Mapping[str, Any]
    advice: str = ""
    fields: tuple[str, ...] = ()


_Steps = Generator[_Examine | _Ask, Any, dspy.Prediction]


class Guard(dspy.Module):
    """The program, with checks before and after it.

    Args:
        program: what is guarded; it stays at `program`, where optimizers find its predictors.
        before: checks of the inputs. The first that fails ends the call: nothing is asked.
        after: checks of the outputs, all of them, in order; one may rewrite fields for the next.
        on_fail: what happens when one fails, for all or by the check's name: `refuse` (the
            `answer` is `refusal`), `retry` (ask again, told what was wrong, up to `attempts`
            calls in all), `escalate` (`fallback` answers; without one, or where its answer fails
            too, the prediction says `escalated`), `raise` (`CheckFailed`), `flag` (the answer
            stands, the verdict tells). An input cannot be retried: for it `retry` is `refuse`.
        then: what happens when the attempts are used up.
        answer: the output that a refusal is written to; the others are None.
        refusal: the text of a refusal.
        fallback: a program with the same fields that answers where the first does not pass.
        attempts: calls of `program` at most.

    The prediction has the program's fields and `guard`, an `Outcome`.

    >>> from compilm.guardrails import Length
    >>> from compilm.testing.engines import scripted_lm
    >>> lm = scripted_lm([{"answer": "One. Two. Three."}, {"answer": "One. Two."}])
    >>> program = Guard(dspy.Predict("question -> answer"), after=[Length("answer", most=2,
    ...     unit="sentences")], on_fail="retry")
    >>> with dspy.context(lm=lm):
    ...     found = program(question="How many?")
    >>> found.answer, found.guard.outcome, found.guard.attempts
    ('One. Two.', 'mended', 2)
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        before: Sequence[Check] = (),
        after: Sequence[Check] = (),
        on_fail: str | Mapping[str, str] = "refuse",
        then: str = "refuse",
        answer: str = "answer",
        refusal: str = REFUSAL,
        fallback: dspy.Module | None = None,
        attempts: int = 3,
    ) -> None:
        super().__init__()
        _check_parts(program, [*before, *after], fallback, attempts)
        for check in before:
            if isinstance(check, Injection | Spotlight):  # elsewhere what is missing fails the call
                checked_names(check.fields, inputs_of(program), f"{check.name} looks at")
        self.program, self.fallback = program, fallback
        self.before, self.after = list(before), list(after)
        names = [check.name for check in (*before, *after)]
        self._actions = _actions(on_fail, names)
        self._then = _action(then, "then")
        if self._then == "retry":
            raise UsageError("then= says what happens when retries are used up: not 'retry'")
        self._answer, self._refusal, self._attempts = answer, refusal, attempts

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of a call, where the program says so."""
        return tuple(getattr(self.program, "inputs", ()))

    @property
    def optional_inputs(self) -> tuple[str, ...]:
        """The inputs that a call may leave out, where the program says so."""
        return tuple(getattr(self.program, "optional_inputs", ()))

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """The program's prediction, if it passes; else what `on_fail` says."""
        steps, result = self._steps(inputs), None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as ended:
                return ended.value
            if isinstance(step, _Examine):
                result = step.check.examine(step.inputs, step.outputs)
            else:
                with _asking(step):
                    result = step.program(**step.inputs)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """As `forward`; parts without an `aforward` run in a thread."""
        steps, result = self._steps(inputs), None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as ended:
                return ended.value
            if isinstance(step, _Examine):
                result = await step.check.aexamine(step.inputs, step.outputs)
                continue
            with _asking(step):
                result = await acalled(step.program, step.inputs)

    def _steps(self, inputs: Mapping[str, Any]) -> _Steps:
        """The call as steps, which somebody takes and sends what came of each."""
        given, verdicts = dict(inputs), []
        for check in self.before:
            verdict = yield _Examine(check, given, {})
            verdicts.append(verdict)
            given.update(verdict.changes)
            action = self._actions[check.name]
            if not verdict.passed and action != "flag":
                return self._ended("refuse" if action == "retry" else action, 0, verdicts)
        return (yield from self._answered(given, verdicts))

    def _answered(self, given: Mapping[str, Any], verdicts: list[Verdict]) -> _Steps:
        advice, action = "", ""
        fields: tuple[str, ...] = ()
        for attempt in range(1, self._attempts + 1):
            prediction = yield _Ask(self.program, given, advice, fields)
            failed, action, outputs = yield from self._judged(prediction, given, verdicts)
            if not failed or action == "flag":
                outcome = "flagged" if failed else "passed" if attempt == 1 else "mended"
                return self._made(outputs, prediction, outcome, attempt, verdicts)
            if action != "retry":
                break
            advice = _advice(failed, attempt)
            fields = tuple(name for verdict in failed for name in verdict.fields)
        action = self._then if action == "retry" else action
        if action == "flag":
            return self._made(outputs, prediction, "flagged", attempt, verdicts)
        if action == "escalate" and self.fallback is not None:
            prediction = yield _Ask(self.fallback, given)
            failed, _, outputs = yield from self._judged(prediction, given, verdicts)
            if not failed:
                return self._made(outputs, prediction, "mended", attempt + 1, verdicts)
        return self._ended(action, attempt, verdicts)

    def _judged(
        self, prediction: Any, given: Mapping[str, Any], verdicts: list[Verdict]
    ) -> Generator[_Examine, Verdict, tuple[list[Verdict], str, dict[str, Any]]]:
        """The verdicts that are against it, the gravest action of theirs, and the outputs."""
        outputs = dict(prediction.items())
        failed, actions = [], []
        for check in self.after:
            verdict = yield _Examine(check, given, outputs)
            verdicts.append(verdict)
            outputs.update(verdict.changes)
            if not verdict.passed:
                failed.append(verdict)
                actions.append(self._actions[check.name])
        return failed, max(actions, key=_GRAVITY.index) if actions else "", outputs

    def _made(
        self, outputs: dict[str, Any], like: Any, outcome: str, calls: int, verdicts: list[Verdict]
    ) -> dspy.Prediction:
        told = Outcome(outcome, calls, tuple(verdicts))
        note("guard", {**told.toDict(), "verdicts": _counted(verdicts)})
        made = dspy.Prediction(**{**outputs, "guard": told})
        if like is not None:
            made.set_lm_usage(like.get_lm_usage())
        return made

    def _ended(self, action: str, calls: int, verdicts: list[Verdict]) -> dspy.Prediction:
        """The end of a call that no answer passed."""
        failed = tuple(verdict for verdict in verdicts if not verdict.passed)
        outcome = "escalated" if action == "escalate" else "refused"
        empty = dict.fromkeys(self._outputs())
        if action == "refuse":
            empty[self._answer] = self._refusal
        made = self._made(empty, None, outcome, calls, verdicts)
        if action == "raise":
            raise CheckFailed(failed)
        return made

    def _outputs(self) -> list[str]:
        """The fields that the program's last predictor gives, and the answer's."""
        named = self.program.named_predictors()
        last = list(named[-1][1].signature.output_fields) if named else []
        return [*last, self._answer]


_GRAVITY = ("flag", "retry", "escalate", "refuse", "raise")  # what happens where several fail


def _asking(step: _Ask) -> Any:
    """The context of one call: with advice, its predictors hear it."""
    if not step.advice:
        return dspy.context()
    inner = dspy.settings.adapter or dspy.ChatAdapter()
    return dspy.context(adapter=Advising(inner, step.advice, step.fields))


def _advice(failed: Sequence[Verdict], attempt: int) -> str:
    """What the model hears; the number makes it another question for a cache."""
    told = "\n".join(f"- {verdict.advice or verdict.reason}" for verdict in failed)
    return f"Attempt {attempt} did not pass:\n{told}"


def _counted(verdicts: Sequence[Verdict]) -> str:
    """Which checks failed how often, in a word for a trace."""
    failed = [verdict.check for verdict in verdicts if not verdict.passed]
    named = ", ".join(f"{name} {failed.count(name)}" for name in dict.fromkeys(failed))
    return f"{len(verdicts)} verdicts" + (f", failed: {named}" if named else "")


def _check_parts(program: Any, checks: list[Any], fallback: Any, attempts: int) -> None:
    for each in [program, *([] if fallback is None else [fallback])]:
        if not isinstance(each, dspy.Module):
            raise ProgramError(f"a guard goes around a dspy.Module, not a {type(each).__name__}")
    wrong = next((each for each in checks if not isinstance(each, Check)), None)
    if wrong is not None:
        raise UsageError(
            f"{wrong!r} is no check: derive from guardrails.Check, or write "
            "Constraint('answer', your_function, says='the rule in words')"
        )
    if attempts < 1:
        raise UsageError(f"attempts is at least 1, not {attempts}")


def _actions(on_fail: str | Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    if isinstance(on_fail, str):
        return dict.fromkeys(names, _action(on_fail, "on_fail"))
    unknown = [name for name in on_fail if name not in names]
    if unknown:
        raise UsageError(f"on_fail names {unknown[0]!r}, and the checks are {', '.join(names)}")
    return {name: _action(on_fail.get(name, "refuse"), f"on_fail[{name!r}]") for name in names}


def _action(action: str, what: str) -> str:
    if action not in ACTIONS:
        raise UsageError(f"{what} is one of {', '.join(ACTIONS)}, not {action!r}")
    return action
