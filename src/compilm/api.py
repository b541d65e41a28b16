"""The Python face: compile, plan, evaluate, load."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import dspy

from . import canonical
from .assemble import default_lm, retry_layer
from .clock import SYSTEM_CLOCK, Clock
from .datasets import NEAR_ROWS, DataSet, Splits, as_dataset, check_leaks, split
from .errors import (
    BudgetExceeded,
    CallFailed,
    CompilmError,
    DataError,
    ProviderRejected,
    UsageError,
)
from .journal import Journal, MemoryJournal, open_journal
from .metrics import Estimate, as_metric, mean_interval, paired_gain
from .optimizers.budget import Budget, Spent
from .optimizers.compile import compile_job, measure
from .optimizers.driven.catalog import Choice, choose
from .optimizers.front import FREE, Constraints
from .optimizers.job import Job
from .optimizers.plan import Plan, plan_job
from .optimizers.recipes import Recipe, recipe
from .optimizers.result import CompileResult
from .optimizers.rollout import Rollout
from .prices import Prices
from .programs.models import RoleLM
from .progress import watch
from .report import render as render_page
from .tracking import track as track_run
from .views.story import read_story
from .views.summary import summary_html

__all__ = ["Evaluation", "compile", "evaluate", "halves", "plan"]

Data = DataSet | Sequence[dspy.Example]
Progress = Literal["auto", "live", "plain", "notebook", "none"]


def compile(
    program: dspy.Module,
    metric: Any,
    *,
    trainset: Data,
    valset: Data | None = None,
    testset: Data | None = None,
    level: int = 2,
    optimizer: str | None = None,
    optimizer_options: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
    roles: Mapping[str, dspy.LM] | None = None,
    seed: int = 0,
    concurrency: int = 32,
    journal: Journal | str | Path | None = None,
    freeze: Sequence[str] = (),
    constraints: Constraints = FREE,
    name: str | None = None,
    reference: str = "",
    progress: Progress = "auto",
    track: str | None = None,
    allow_leaks: bool = False,
    split_note: str = "",
    attempts: int = 4,
    prices: Prices | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> CompileResult:
    """The compiled program with the proof that it is better, or the given one if it is not.

    program: any `dspy.Module`; it is not changed. metric: any DSPy metric callable. trainset,
    valset, testset: lists of `dspy.Example` with inputs, or data sets; what is not given is split
    off, and said; what stands in pools of demos in the end are examples of trainset and valset, so
    judge the program on others. level: 0 measures, 1 searches demonstrations, 2 instructions too, 3
    reflects on failures and then makes the winner cheaper where that is not worse. optimizer: one
    of DSPy's in the place of the level, as "dspy.MIPROv2", with its options by name. budget: hard
    ceilings; without one, a number of rollouts that fits the data. roles: `dspy.LM`s by role
    (`default`, `proposer`); without them `dspy.settings.lm`, else the embedded engine, which is not
    a language model. journal: a path makes the compile resumable: the same call goes on where a
    killed one stopped and pays nothing twice. freeze: predictor paths that stay as they are.
    constraints: limits on what may be shipped, in dollars, tokens or score. track: an MLflow
    tracking URI. attempts: requests for one call at most, retries included; a budget counts each.
    prices: other than those that come along.

    Raises `UsageError` and its kin for what the caller can mend. A budget that ends, an interrupt
    and a provider's refusal do not raise: `result.stop` says so.

    >>> rows = [dspy.Example(n=str(n), odd=str(n % 2)).with_inputs("n") for n in range(30)]
    >>> parity = dspy.Predict("n -> odd")
    >>> result = compile(parity, "exact(odd)", trainset=rows, level=0, progress="none")
    >>> result.verdict, result.candidate, result.notes[0]
    ('unproven', 'c0', 'embedded, not a language model')
    """
    if progress not in get_args(Progress):
        raise UsageError(f"progress={progress!r}: give one of {', '.join(get_args(Progress))}")
    sets = _sets(trainset, valset, testset, seed, allow_leaks)
    choice = _choice(optimizer, optimizer_options)
    job = replace(
        _job(program, metric, sets, level, choice, budget, roles, seed, name),
        reference=reference, frozen=tuple(freeze), constraints=constraints,
        split_note=split_note or sets.note, concurrency=concurrency, journal=_journal(journal),
        retry=retry_layer(clock, attempts), prices=prices or Prices(), clock=clock,
    )  # fmt: skip
    with watch(job.journal, job.run, mode=progress, stream=sys.stderr) as display:
        result = compile_job(job, display.interrupted)
    result = replace(result, render=_render)
    if track is not None:
        track_run(job.journal, job.run, track)
    return result


def plan(
    program: dspy.Module,
    metric: Any,
    *,
    trainset: Data,
    valset: Data | None = None,
    testset: Data | None = None,
    level: int = 2,
    optimizer: str | None = None,
    optimizer_options: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
    roles: Mapping[str, dspy.LM] | None = None,
    seed: int = 0,
    concurrency: int = 32,
    freeze: Sequence[str] = (),
    constraints: Constraints = FREE,
    name: str | None = None,
    allow_leaks: bool = False,
    prices: Prices | None = None,
) -> Plan:
    """What a compile with the same arguments would take, before anything is spent.

    >>> rows = [dspy.Example(n=str(n), odd=str(n % 2)).with_inputs("n") for n in range(30)]
    >>> plan(dspy.Predict("n -> odd"), "exact(odd)", trainset=rows, level=0).usd
    Range(low=0.0, high=0.0)
    """
    sets = _sets(trainset, valset, testset, seed, allow_leaks)
    choice = _choice(optimizer, optimizer_options)
    job = replace(
        _job(program, metric, sets, level, choice, budget, roles, seed, name),
        frozen=tuple(freeze), constraints=constraints, concurrency=concurrency,
        prices=prices or Prices(),
    )  # fmt: skip
    return plan_job(job)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The score of a program on examples, with its 95 % interval, and its rollouts in order.

    `gain` is the paired difference to the program it was held against, if any. `missing` counts
    examples without a score; they are in no mean.
    """

    score: Estimate
    gain: Estimate | None
    rollouts: tuple[Rollout, ...]
    spent: Spent
    missing: int
    stop: str = ""


def evaluate(
    program: dspy.Module,
    metric: Any,
    data: Data,
    *,
    against: dspy.Module | None = None,
    roles: Mapping[str, dspy.LM] | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    concurrency: int = 32,
    journal: Journal | str | Path | None = None,
    attempts: int = 4,
    prices: Prices | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Evaluation:
    """The score of `program` on `data`, and against another program on the same examples.

    Raises, where no example was scored, `CallFailed` if models did not answer (`ProviderRejected`
    if they refuse this account), `BudgetExceeded` if the budget ended before, else `DataError`.

    >>> rows = [dspy.Example(n="7", odd="1").with_inputs("n")]
    >>> evaluate(dspy.Predict("n -> odd"), "contains(odd)", rows).score.n
    1
    """
    examples = as_dataset(data)
    kept, whole = _journal(journal), budget or Budget()

    def measured(one: dspy.Module, limit: Budget) -> tuple[tuple[Rollout, ...], Spent, str]:
        job = Job(
            one, as_metric(metric), examples, examples, examples, 0, limit,
            _roles(roles), seed, kept, "eval", concurrency=concurrency,
            retry=retry_layer(clock, attempts), clock=clock, prices=prices or Prices(),
        )  # fmt: skip
        return measure(job)

    rollouts, spent, stop = measured(program, whole)
    scores = [rollout.score.value for rollout in rollouts]
    scored = [score for score in scores if score == score]
    if not scored:
        raise _unscored(rollouts, stop, len(examples))
    gain = None
    if against is not None:
        theirs, more, stopped = measured(against, whole.less(spent))
        spent, stop = _sum(spent, more), stop or stopped
        count = min(len(theirs), len(scores))
        others = [rollout.score.value for rollout in theirs[:count]]
        gain = paired_gain(others, scores[:count], seed=seed)
    missing = len(scores) - len(scored)
    return Evaluation(mean_interval(scored, seed=seed), gain, rollouts, spent, missing, stop)


def _unscored(rollouts: Sequence[Rollout], stop: str, size: int) -> CompilmError:
    """Why no example of `size` has a score."""
    if stop.startswith("rejected"):
        return ProviderRejected(f"no example was scored: {stop}")
    reason = next((one.score.missing for one in rollouts if one.score.is_missing), "")
    if "model call failed" in reason:
        return CallFailed(f"none of the first {len(rollouts)} examples got a score: {reason}")
    if stop:
        return BudgetExceeded(f"no example was scored before the end: {stop}")
    return DataError(f"none of the {size} examples got a score: {reason}")


def _job(
    program: dspy.Module,
    metric: Any,
    sets: _Sets,
    level: int,
    choice: Choice | None,
    budget: Budget | None,
    roles: Mapping[str, dspy.LM] | None,
    seed: int,
    name: str | None,
) -> Job:
    """What decides the result of a compile, in a journal of its own."""
    parts = recipe(level)  # an unknown level is told here
    budget = budget or _budget(parts, len(sets.val), len(sets.test))
    bound = _roles(roles)
    return Job(
        program, as_metric(metric), sets.train, sets.val, sets.test, level, budget, bound, seed,
        MemoryJournal(), name or type(program).__name__.lower(),
        notes=(*sets.warnings, *_chain_notes(bound)), optimizer=choice.name if choice else None,
        options=dict(choice.options) if choice else {},
    )  # fmt: skip


def _choice(optimizer: str | None, options: Mapping[str, Any] | None) -> Choice | None:
    if optimizer is not None:
        return choose(optimizer, options)
    if options:
        raise UsageError(
            f"optimizer_options={dict(options)!r} without an optimizer: name it, as "
            "optimizer='dspy.MIPROv2'"
        )
    return None


def _leak_notes(splits: Mapping[str, DataSet], allow: bool) -> list[str]:
    leaks = check_leaks(splits, allow=allow)
    notes = []
    if leaks:
        notes.append(f"{len(leaks)} near or allowed duplicates across the splits: {leaks[0]}")
    if max(map(len, splits.values())) > NEAR_ROWS:
        notes.append(f"near duplicates were looked for in the first {NEAR_ROWS:,} rows of a split")
    return notes


def _chain_notes(roles: Mapping[str, dspy.LM]) -> list[str]:
    """A score is of one model: of a chain the first is asked, and that is said."""
    return [
        f"{role}: {lm.model} alone is asked; {', '.join(lm.fallbacks)} stand in when it is served"
        for role, lm in roles.items()
        if isinstance(lm, RoleLM) and lm.fallbacks
    ]


class _Sets(NamedTuple):
    """The examples of a compile, how they were divided, and what to beware of."""

    train: DataSet
    val: DataSet
    test: DataSet
    note: str
    warnings: tuple[str, ...] = ()


def _sets(
    trainset: Data,
    valset: Data | None,
    testset: Data | None,
    seed: int,
    allow_leaks: bool,
) -> _Sets:
    sets = _divided(trainset, valset, testset, seed)
    by_name = {"train": sets.train, "val": sets.val, "test": sets.test}
    return sets._replace(warnings=tuple(_leak_notes(by_name, allow_leaks)))


def _divided(trainset: Data, valset: Data | None, testset: Data | None, seed: int) -> _Sets:
    train = as_dataset(trainset, name="train")
    if valset is None:
        rest = (0.6, 0.4, 0.0) if testset is not None else (0.4, 0.3, 0.3)
        parts = split(train, train=rest[0], val=rest[1], test=rest[2], seed=seed)
        test = as_dataset(testset, name="test") if testset is not None else parts.test
        return _Sets(parts.train, parts.val, test, parts.note)
    val = as_dataset(valset, name="val")
    if testset is not None:
        return _Sets(train, val, as_dataset(testset, name="test"), "")
    parts = halves(val, seed)
    note = f"no test examples were given: {len(parts.test)} of valset are held out for the proof"
    return _Sets(train, parts.val, parts.test, note)


def halves(val: DataSet, seed: int) -> Splits:
    """What a compile without test examples searches by (`val`) and what it proves on (`test`).

    The hash is not that of `split` with this seed, by which they may have come to be `val`.

    >>> rows = [dspy.Example(n=str(n)).with_inputs("n") for n in range(9)]
    >>> parts = halves(as_dataset(rows), seed=0)
    >>> len(parts.train), len(parts.val) + len(parts.test)
    (0, 9)
    """
    own = int(canonical.digest(["halves", seed])[7:15], 16)
    return split(val, train=0.0, val=0.5, test=0.5, seed=own)


def _roles(roles: Mapping[str, dspy.LM] | None) -> dict[str, dspy.LM]:
    bound = dict(roles or {})
    bound.setdefault("default", bound.get("default") or default_lm())
    for role, lm in bound.items():
        if not isinstance(lm, dspy.BaseLM):
            raise UsageError(f"role {role!r} is bound to {lm!r}: bind it to a dspy.LM")
    return bound


def _budget(recipe: Recipe, val: int, test: int) -> Budget:
    """Rollouts that let a level do its work on this much data."""
    return Budget(rollouts=recipe.val_passes * max(val, 30) + 2 * test + 50)


def _journal(journal: Journal | str | Path | None) -> Journal:
    if journal is None:
        return MemoryJournal()
    return open_journal(journal) if isinstance(journal, (str, Path)) else journal


def _sum(one: Spent, two: Spent) -> Spent:
    usd = None if one.usd is None or two.usd is None else one.usd + two.usd
    return Spent(
        one.rollouts + two.rollouts, one.calls + two.calls, one.tokens + two.tokens, usd,
        one.seconds + two.seconds,
    )  # fmt: skip


def _render(result: CompileResult, form: str) -> str:
    assert result.journal is not None
    story = read_story(result.journal.read(result.run))
    return str(render_page(story) if form == "page" else summary_html(story))
