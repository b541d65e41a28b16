"""The contestants: each optimizer as shipped, with a schedule that fits a number of program calls.

An optimizer that cannot keep within the number goes past it; the engine counts what it took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

import dspy

import compilm

from .arena import Place
from .neighbors import embedder

__all__ = ["CONTESTANTS", "FREE", "Contestant", "Outcome", "Setting"]


_BOOTSTRAPS = 24  # program calls to find four demos, where a program is not very poor


@dataclass(frozen=True, slots=True)
class Setting:
    """What a contestant is given: a world or task, its model, a number of calls, seed, threads."""

    world: Place
    lm: dspy.LM
    budget: int
    seed: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an optimizer gives back: a program and the score it tells.

    selection: the examples that the told score is over. told_gain: what it says was gained, where
    it says so itself. told: more of what it says, for the row.
    """

    program: dspy.Module
    reported: float | None
    selection: Sequence[dspy.Example] = ()
    told_gain: float | None = None
    told: Mapping[str, Any] = field(default_factory=dict)


Contestant: TypeAlias = Callable[[Setting], Outcome]


def bootstrap_rs(given: Setting) -> Outcome:
    """BootstrapFewShotWithRandomSearch: 4 bootstrapped and 16 labeled demos, its defaults.

    It evaluates three programs besides its candidates and takes some calls to bootstrap each.
    """
    from dspy.teleprompt import BootstrapFewShotWithRandomSearch

    world = given.world
    full = len(world.val)
    optimizer = BootstrapFewShotWithRandomSearch(
        metric=world.metric,
        num_candidate_programs=max(1, (given.budget - 3 * full) // (full + 6)),
        num_threads=given.threads,
    )
    program = optimizer.compile(world.program(), trainset=world.train, valset=world.val)
    best = max(found["score"] for found in program.candidate_programs)
    return Outcome(program, best / 100, world.val)


def mipro(given: Setting, *, candidates: int = 12) -> Outcome:
    """MIPROv2: 4 bootstrapped and 4 labeled demos, minibatches of 35, its defaults.

    Its `auto` settings know no number of calls; so as many trials as fit, by `mipro_trials`.
    """
    from dspy.teleprompt import MIPROv2

    world = given.world
    optimizer = MIPROv2(
        metric=world.metric,
        auto=None,
        num_candidates=candidates,
        num_threads=given.threads,
        seed=given.seed,
    )
    program = optimizer.compile(
        world.program(),
        trainset=world.train,
        valset=world.val,
        num_trials=mipro_trials(given.budget, len(world.val), candidates),
        minibatch_size=35,
    )
    return Outcome(program, program.score / 100, world.val)


def mipro_trials(budget: int, full: int, candidates: int) -> int:
    """The trials of MIPROv2 that fit, one at least.

    Six calls to bootstrap a candidate, a full evaluation at the start, a minibatch of 35 a trial,
    a full evaluation every five trials and at the end.

    >>> [mipro_trials(budget, 100, 12) for budget in (300, 1000, 2500)]
    [1, 12, 40]
    """
    trials = 1
    while _mipro_calls(trials + 1, full, candidates) <= budget:
        trials += 1
    return trials


def _mipro_calls(trials: int, full: int, candidates: int) -> int:
    evaluations = trials // 5 + 1 + (trials % 5 != 0)
    return 6 * candidates + full + 35 * trials + full * evaluations


def simba(given: Setting) -> Outcome:
    """SIMBA: batches of 16, 4 candidates; it knows no validation set and gets train and val as one.

    Its last evaluation, of five programs on all examples, may take half the calls and no more:
    steps fill the other half, and few calls mean few examples.
    """
    from dspy.teleprompt import SIMBA

    world = given.world
    batch, candidates = 16, 4
    step = batch * candidates + (candidates + 1) * batch
    most = len(world.train) + len(world.val)
    last = (candidates + 1) * min(most, given.budget // 2 // (candidates + 1))
    steps = max(1, (given.budget - last) // step)
    shown = (given.budget - steps * step) // (min(steps, candidates) + 1)
    shown = max(batch, min(most, shown))
    examples = [*world.train[: shown // 2], *world.val[: shown - shown // 2]]
    optimizer = SIMBA(
        metric=world.metric_with_feedback,
        bsize=batch,
        num_candidates=candidates,
        max_steps=steps,
        num_threads=given.threads,
    )
    program = optimizer.compile(world.program(), trainset=examples, seed=given.seed)
    return Outcome(program, float(program.candidate_programs[0]["score"]), examples)


def gepa(given: Setting) -> Outcome:
    """GEPA: its defaults, a reflection model at temperature 1, as its documentation asks."""
    world = given.world
    optimizer = dspy.GEPA(
        metric=world.metric_with_feedback,
        max_metric_calls=given.budget,
        reflection_lm=given.lm.copy(temperature=1.0),
        num_threads=given.threads,
        seed=given.seed,
        track_stats=True,
    )
    program = optimizer.compile(world.program(), trainset=world.train, valset=world.val)
    best = max(program.detailed_results.val_aggregate_scores)
    return Outcome(program, float(best), world.val)


def infer_rules(given: Setting) -> Outcome:
    """InferRules: 4 bootstrapped and 16 labeled demos, its defaults, and rules from all of train.

    It evaluates as many candidates as fit; its best score stands in its log only.
    """
    from dspy.teleprompt import InferRules

    class Telling(InferRules):  # type: ignore[misc]
        def evaluate_program(self, program: Any, dataset: Any) -> Any:
            scores.append(super().evaluate_program(program, dataset))
            return scores[-1]

    scores: list[float] = []
    world = given.world
    candidates = max(1, (given.budget - _BOOTSTRAPS) // len(world.val))
    optimizer = Telling(metric=world.metric, num_candidates=candidates, num_threads=given.threads)
    program = optimizer.compile(world.program(), trainset=world.train, valset=world.val)
    return Outcome(program, max(scores) / 100, world.val)


def zero_shot(given: Setting) -> Outcome:
    """The program as it is."""
    return Outcome(given.world.program(), None)


def labeled(given: Setting) -> Outcome:
    """LabeledFewShot: 16 training examples as demos, its default."""
    from dspy.teleprompt import LabeledFewShot

    optimizer = LabeledFewShot(k=16)
    return Outcome(optimizer.compile(given.world.program(), trainset=given.world.train), None)


def knn(given: Setting, *, k: int, with_val: bool = False) -> Outcome:
    """KNNFewShot: the `k` nearest training examples as demos of each call, none bootstrapped.

    With its own default it would bootstrap in every call that it serves. What it makes cannot be
    saved. with_val: it is given the validation examples too, which leaves none to say what it
    scores.
    """
    from dspy.teleprompt import KNNFewShot

    examples = [*given.world.train, *(given.world.val if with_val else [])]
    optimizer = KNNFewShot(k=k, trainset=examples, vectorizer=embedder(), max_bootstrapped_demos=0)
    return Outcome(optimizer.compile(given.world.program()), None)


def ours(given: Setting, *, level: int) -> Outcome:
    """compilm at a level; the validation examples are its to divide."""
    world = given.world
    result = compilm.compile(
        world.program(),
        world.metric_with_feedback,
        trainset=world.train,
        valset=world.val,
        level=level,
        budget=compilm.Budget(rollouts=given.budget),
        roles={"default": given.lm},
        seed=given.seed,
        concurrency=max(2, given.threads),
        progress="none",
    )
    shipped = result.verdict in {"proven", "likely"}
    compiled = result.compiled.get("test")
    told = {
        "verdict": result.verdict,
        "shipped": shipped,
        "estimate": result.gain.value,
        "low": result.gain.low,
        "high": result.gain.high,
        "held_out": result.gain.n,
        "rollouts": result.spent.rollouts,
        "stop": result.stop,
    }
    return Outcome(
        result.program,
        None if compiled is None else compiled.value,
        told_gain=result.gain.value if shipped else 0.0,
        told=told,
    )


# They take no program calls.
FREE: Final = frozenset({"zero-shot", "labeled", "knn", "knn-4", "knn-all"})
CONTESTANTS: Final[Mapping[str, Contestant]] = {
    "bootstrap-rs": bootstrap_rs,
    "mipro": mipro,
    "mipro-medium": partial(mipro, candidates=18),
    "simba": simba,
    "gepa": gepa,
    "infer-rules": infer_rules,
    "zero-shot": zero_shot,
    "labeled": labeled,
    "knn": partial(knn, k=8),
    "knn-4": partial(knn, k=4),
    "knn-all": partial(knn, k=4, with_val=True),
    "ours-1": partial(ours, level=1),
    "ours-2": partial(ours, level=2),
    "ours-3": partial(ours, level=3),
}
