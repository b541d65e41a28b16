"""A drill: a program answers its inputs while its providers fail, and what survived is counted."""

from __future__ import annotations

import contextvars
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from ..clock import SYSTEM_CLOCK, Clock
from ..config import RoleSettings, RuntimeSettings
from ..engine import SAMPLE
from ..errors import CompilmError, ProgramError, RunStopped, UsageError
from ..programs.models import RoleLM, is_embedded
from .faults import FAULTS
from .standins import REQUEST, StandIn, StandIns

__all__ = ["MENDABLE", "Ask", "DrillResult", "Failure", "drill", "mix_of"]

MENDABLE = tuple(fault for fault in FAULTS if fault not in {"400", "slow"})
"""The faults that another attempt may not meet: what a rate alone is shared among."""

_LONGEST = 200  # characters of an example

Ask = Callable[[Mapping[str, Any]], Any]
"""Answers one input; what it gives is compared with `==`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The requests that ended with one kind of error, and the message of the first of them."""

    kind: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What survived. Times are seconds; `calm_` are those of the same requests without faults.

    `share` is `answered` over `requests`. `changed` answers differ from the one that the same
    input has without faults. `calls` are what the program asked of its models, `attempts` what
    went over the wire, `amplification` the second over the first. `fallbacks` calls were answered
    by another model than the first of their chain. `left_out` inputs fail without faults too.
    """

    requests: int
    answered: int
    share: float
    changed: int
    failures: tuple[Failure, ...]
    calls: int
    attempts: int
    amplification: float
    fallbacks: int
    models: tuple[StandIn, ...]
    p50: float
    p99: float
    calm_p50: float
    calm_p99: float
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one request ended: an answer or an error, after so many seconds."""

    seconds: float
    answer: Any = None
    error: Exception | None = None


def mix_of(text: str) -> dict[str, float]:
    """The rates that a person writes: one for all mendable faults, or one for each that is named.

    Raises `UsageError` for what is no rate, no fault, or more than 100 % together.

    >>> mix_of("500=20%, hang=0.05")
    {'500': 0.2, 'hang': 0.05}
    >>> round(sum(mix_of("30%").values()), 9)
    0.3
    """
    if "=" not in text:
        return dict.fromkeys(MENDABLE, _rate(text, text) / len(MENDABLE))
    mix: dict[str, float] = {}
    for part in text.split(","):
        fault, _, rate = (word.strip() for word in part.partition("="))
        if fault not in FAULTS or fault in mix:
            known = ", ".join(FAULTS)
            raise UsageError(f"faults {text!r}: {fault!r} is no fault, or named twice: {known}")
        mix[fault] = _rate(rate, text)
    if sum(mix.values()) > 1:
        raise UsageError(f"faults {text!r} come to {sum(mix.values()):.0%}: 100 % is the most")
    return mix


def _rate(text: str, whole: str) -> float:
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        rate = float(number) / (100 if percent else 1)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise UsageError(
            f"faults {whole!r}: expected a rate as 30% or 0.3, or rates by name as 500=20%,hang=5%"
        )
    return rate


def drill(
    bind: Callable[[StandIns], Ask],
    chains: Mapping[str, RoleSettings],
    inputs: Sequence[Mapping[str, Any]],
    *,
    mix: Mapping[str, float],
    settings: RuntimeSettings | None = None,
    requests: int = 100,
    concurrency: int = 32,
    seed: int = 0,
    clock: Clock = SYSTEM_CLOCK,
) -> DrillResult:
    """What survives of `requests` requests when the models of `chains` fail at the rates of `mix`.

    `bind` gives what answers an input by these stand-ins. The inputs are asked in turn, over and
    over, `concurrency` side by side: first without faults, when those that fail are left out (and
    others asked instead), then with them. One seed gives one set of faults; what policies that
    look at the time (circuits, limits, deadlines) make of them may differ.

    Raises `ProgramError` where nothing is answered without faults, or where the program reaches a
    model that is not of `chains`: it is stopped before it is asked.

    >>> def bind(there):
    ...     def ask(given):
    ...         with dspy.context(lm=there.roles["default"]):
    ...             return dspy.Predict("mail -> order_id")(**given).order_id
    ...     return ask
    >>> two = {"default": RoleSettings(model=("openai/a", "anthropic/b"))}
    >>> mails = [{"mail": f"Where is C-{n}?"} for n in range(5)]
    >>> found = drill(bind, two, mails, mix={"500": 0.4}, requests=5, seed=1)
    >>> found.answered, found.changed, found.calls
    (5, 0, 5)
    """
    asked = [inputs[number % len(inputs)] for number in range(requests if inputs else 0)]
    with StandIns(chains, settings) as there:
        calm = _outcomes(bind(there), asked, concurrency, clock)
    kept = [(row, one) for row, one in zip(asked, calm, strict=True) if one.error is None]
    if not kept:
        raise _nothing(calm)
    turns = [kept[number % len(kept)] for number in range(requests)]
    with StandIns(chains, settings, mix=mix, seed=seed) as there:
        found = _outcomes(bind(there), [row for row, _ in turns], concurrency, clock)
        calls, models = there.calls, there.told()
        fallbacks = there.fallbacks
    answers = [(one, was) for one, (_, was) in zip(found, turns, strict=True) if one.error is None]
    attempts = sum(model.attempts for model in models)
    return DrillResult(
        requests=requests,
        answered=len(answers),
        share=len(answers) / requests,
        changed=sum(one.answer != was.answer for one, was in answers),
        failures=tuple(_failures(found)),
        calls=calls,
        attempts=attempts,
        amplification=attempts / max(calls, 1),
        fallbacks=fallbacks,
        models=models,
        p50=_quantile(found, 0.5),
        p99=_quantile(found, 0.99),
        calm_p50=_quantile(calm, 0.5),
        calm_p99=_quantile(calm, 0.99),
        left_out=sum(one.error is not None for one in calm[: len(inputs)]),
    )


def _outcomes(
    ask: Ask, rows: Sequence[Mapping[str, Any]], concurrency: int, clock: Clock
) -> list[_Outcome]:
    """How each row ends, in their order."""

    def one(number: int, row: Mapping[str, Any]) -> _Outcome:
        REQUEST.set(number)
        began = clock.now()
        try:
            with dspy.context(callbacks=[_NoOther()]):
                answer = ask(row)
        except Exception as error:  # border: how a request ended is what a drill is about
            return _Outcome(clock.now() - began, error=error)
        return _Outcome(clock.now() - began, answer)

    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="compilm-drill")
    try:
        waiting = [
            pool.submit(contextvars.copy_context().run, one, number, row)
            for number, row in enumerate(rows)
        ]
        return [each.result() for each in waiting]
    except RunStopped as stop:
        raise ProgramError(stop.reason) from stop
    finally:
        pool.shutdown(cancel_futures=True)


class _NoOther(BaseCallback):
    """Stops a call of a model that is no stand-in, before anything is sent."""

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:  # noqa: ARG002 - dspy's signature
        if isinstance(instance, RoleLM) or SAMPLE.get() is not None or is_embedded(instance):
            return
        raise RunStopped(
            f"the program asks {instance.model!r}, which it holds where it cannot be exchanged; "
            "a drill asks no provider: make it an attribute of the program, or a role"
        )


def _nothing(calm: Sequence[_Outcome]) -> CompilmError:
    """Why there is no input to drill with."""
    if not calm:
        return UsageError("there is no input to ask: give one, and at least one request")
    first = calm[0].error
    if isinstance(first, CompilmError):
        return first
    return ProgramError(
        f"no input is answered even without faults: {type(first).__name__}: {first}; a drill's "
        "answers are those of the embedded engine, which is not a language model"
    )


def _failures(found: Sequence[_Outcome]) -> Iterator[Failure]:
    """The kinds of errors, the most frequent first."""
    errors = [one.error for one in found if one.error is not None]
    for kind, count in Counter(map(_kind, errors)).most_common():
        first = next(error for error in errors if _kind(error) == kind)
        told = " ".join(str(first).split())
        short = told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"
        yield Failure(kind, count, short)


def _kind(error: Exception) -> str:
    """The class of an error; of one of ours in DSPy's clothes, our class: it says more."""
    cause = error.__cause__
    return type(cause if isinstance(cause, CompilmError) else error).__name__


def _quantile(found: Sequence[_Outcome], share: float) -> float:
    """The least time within which this share of the requests ended."""
    ordered = sorted(one.seconds for one in found)
    return ordered[ceil(share * len(ordered)) - 1]
