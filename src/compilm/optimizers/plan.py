"""What a compile would take, told before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ..prices import Tokens
from ..programs import models
from .driven.estimate import rollouts_of
from .job import Job
from .power import SD, Power, least_proven, power_of
from .proof import held_out_of
from .recipes import recipe

__all__ = ["Plan", "Range", "plan_job"]

_ANSWER = 120  # tokens of a typical answer of one predictor
_SECONDS_A_CALL = (0.5, 3.0)  # of a remote model, between quick and slow
_EMBEDDED_SECONDS = (0.002, 0.02)
_GAIN = 0.05  # a true gain that one would not want to miss


class Range(NamedTuple):
    """A low and a high guess."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A guess at what a compile takes; the budget caps every figure.

    seconds are wall time at the job's concurrency. usd is `None` where the price is unknown.
    held_out counts the test examples that the budget allows. minimum_detectable: the true gain
    that they prove four times in five; power: the chances that a true gain of 0.05 is proven, and
    that it is shipped. Both are lower bounds, from 30 examples on (`compilm.optimizers.power`).
    """

    rollouts: Range
    calls: Range
    tokens: Range
    usd: Range | None
    seconds: Range
    minimum_detectable: float
    held_out: int
    power: Power
    note: str = ""

    def to_json(self) -> dict[str, object]:
        """The plan as plain JSON."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return {k: v._asdict() if isinstance(v, (Range, Power)) else v for k, v in named.items()}

    def __str__(self) -> str:
        money = (
            "price unknown" if self.usd is None else f"${self.usd.low:.2f} to ${self.usd.high:.2f}"
        )
        return "\n".join(
            [
                f"rollouts  {self.rollouts.low:,.0f} to {self.rollouts.high:,.0f}",
                f"calls     {self.calls.low:,.0f} to {self.calls.high:,.0f}",
                f"tokens    {self.tokens.low:,.0f} to {self.tokens.high:,.0f}",
                f"money     {money}",
                f"time      {_time(self.seconds.low)} to {_time(self.seconds.high)}",
                f"proof     {_proof(self)}",
                *([self.note] if self.note else []),
            ]
        )


def plan_job(job: Job) -> Plan:
    """The plan for `job`: rollouts from its recipe and data, the rest from them."""
    steps = recipe(job.level)
    n, final = min(len(job.val), 300), 2 * len(job.test)
    low, high = float(n + len(job.test)), float(n + final)
    if job.optimizer is not None:
        low, high = rollouts_of(job)
    elif steps.opening:
        first = 10 * (len(steps.opening) + 1)
        low = min(50, n) + min(48, len(job.train)) + first + len(job.test)
        high = n + steps.most_rounds * (48 + 2.5 * n) + 3 * first + final
    if job.budget.rollouts is not None:
        low, high = min(low, job.budget.rollouts), min(high, job.budget.rollouts)
    predictors = len(job.predictors)
    calls = Range(low * predictors, high * predictors)
    if job.budget.calls is not None:
        calls = Range(min(calls.low, job.budget.calls), min(calls.high, job.budget.calls))
    bare, shown = _prompt_tokens(job)
    held_out = _held_out(job)
    sd = SD * math.sqrt(_design_effect(job, held_out))
    tokens = Range(calls.low * (bare + _ANSWER), calls.high * (bare + 16 * shown + _ANSWER))
    if job.budget.tokens is not None:
        tokens = Range(min(tokens.low, job.budget.tokens), min(tokens.high, job.budget.tokens))
    return Plan(
        Range(low, high),
        calls,
        tokens,
        _usd(job, calls, tokens),
        _seconds(job, calls),
        least_proven(held_out, sd=sd),
        held_out,
        power_of(_GAIN, held_out, sd=sd),
        job.notice,
    )


def _held_out(job: Job) -> int:
    """How many test examples the end of the compile compares on, as far as the budget tells."""
    limits = [] if job.budget.rollouts is None else [job.budget.rollouts]
    if job.budget.calls is not None:
        limits.append(job.budget.calls // len(job.predictors))
    return held_out_of(len(job.test), min(limits)) if limits else len(job.test)


def _design_effect(job: Job, held_out: int) -> float:
    """How many times fewer examples they may be worth: those of one group may all say the same."""
    groups = len(set(job.test.groups)) if job.test.groups else held_out
    return max(1.0, held_out / max(groups, 1))


def _prompt_tokens(job: Job) -> tuple[float, float]:
    """Tokens of a bare prompt and of one more demonstration, a predictor on average."""
    example = job.train[0]
    inputs = sum(len(str(value)) for value in dict(example.inputs()).values()) / 4
    outputs = sum(len(str(value)) for value in dict(example.labels()).values()) / 4
    fields = [len(p.instructions) + 60 * len((*p.inputs, *p.outputs)) for p in job.predictors]
    return sum(fields) / len(fields) / 4 + 150 + inputs, inputs + outputs + 30


def _usd(job: Job, calls: Range, tokens: Range) -> Range | None:
    price = job.prices.find(str(job.roles["default"].model))
    if price is None:
        return None

    def cost(all_tokens: float, all_calls: float) -> float:
        out = int(all_calls * _ANSWER)
        return price.usd(Tokens(max(0, int(all_tokens) - out), out))

    cap = job.budget.usd if job.budget.usd is not None else float("inf")
    low, high = cost(tokens.low, calls.low), cost(tokens.high, calls.high)
    return Range(min(low, cap), min(high, cap))


def _seconds(job: Job, calls: Range) -> Range:
    embedded = models.is_embedded(job.roles["default"])
    quick, slow = _EMBEDDED_SECONDS if embedded else _SECONDS_A_CALL
    side_by_side = 1 if embedded else min(job.concurrency, 10)
    found = Range(calls.low * quick / side_by_side, calls.high * slow / side_by_side)
    cap = job.budget.seconds
    return found if cap is None else Range(min(found.low, cap), min(found.high, cap))


def _proof(plan: Plan) -> str:
    if plan.minimum_detectable == 1:
        return f"{plan.held_out:,} held-out examples are too few to prove a gain"
    proven, shipped = plan.power
    bound = "80 % or more" if plan.held_out >= 30 else "about 80 %"
    return (
        f"{plan.held_out:,} held-out examples prove a true gain of {plan.minimum_detectable:.3f} "
        f"in {bound}, of {_GAIN:.3f} in {proven:.0%} (and ship it in {shipped:.0%})"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
