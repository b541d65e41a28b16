"""What each optimizer would execute with which settings, and the settings that fit a budget.

DSPy's optimizers have no budget of their own, so theirs is worked out before: the rollouts of a
setting are a formula (from the loops of dspy 3.4), and the first setting in an order of preference
that fits is taken. The ceiling itself does not rest on these figures, it holds in any case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import dspy

__all__ = ["FITS", "PASSES", "Fit", "Fitting", "Room", "choices", "first", "no_metric"]

PASSES = 12  # over val, where nothing limits an optimizer: what level 2 gets

_Setting = TypeVar("_Setting", bound=Sequence[Any])
_SIZES = (300, 100, 50, 35, 20, 10)
_TELLING = 35  # examples on which two candidates that differ by a fifth can be told apart
_RULES_FROM = 60  # examples: InferRules puts all of them into one prompt
_MINIBATCH_FROM = 50  # val examples, as MIPROv2 has it in its auto modes


@dataclass(frozen=True, slots=True)
class Room:
    """What an optimizer may use. `rollouts` are those that are left for it.

    mean: the given program's score. teacher: settings for bootstrapping, empty where the program's
    own model teaches. train, val: the examples in the order of the run.
    """

    rollouts: int
    predictors: int
    mean: float
    train: Sequence[dspy.Example]
    val: Sequence[dspy.Example]
    metric: Callable[..., Any]
    lm: Any
    proposer: Any
    teacher: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    seed: int = 0

    def attempts(self, demos: int, rounds: int = 1) -> int:
        """Rollouts one bootstrapping takes, at the share of good ones that the program has."""
        return min(len(self.train) * rounds, math.ceil(demos / max(self.mean, 0.1)))

    def sizes(self) -> list[int]:
        """Numbers of val examples to try, the most first."""
        most = len(self.val)
        return [most, *(size for size in _SIZES if size < most)]


@dataclass(frozen=True, slots=True)
class Fit:
    """Arguments for an optimizer's constructor and its `compile`, and what they will take.

    `told` is what a person should know of the settings that were chosen.
    """

    made: Mapping[str, Any]
    called: Mapping[str, Any]
    rollouts: int
    told: Mapping[str, Any] = field(default_factory=dict)


Fitting = Callable[[Room, Mapping[str, Any]], Fit]


def first(
    settings: Iterable[_Setting], cost: Callable[[_Setting], int], room: int
) -> tuple[_Setting, int]:
    """The first setting whose cost fits, else the cheapest; with its cost.

    >>> first([(10, 3), (5, 2)], lambda s: s[0] * s[1] * 10, 150)
    ((5, 2), 100)
    """
    costs = [(setting, cost(setting)) for setting in settings]
    fitting = [each for each in costs if each[1] <= room]
    return fitting[0] if fitting else min(costs, key=lambda each: each[1])


def no_metric(example: Any, prediction: Any, *rest: Any) -> float:  # noqa: ARG001 - DSPy's shape
    """Stands for a metric where an optimizer is only made, and never run."""
    return 0.0


def choices(settings: Sequence[_Setting], sizes: Sequence[int], rich: int) -> list[Any]:
    """Settings with a size appended, in the order of preference.

    The first `rich` settings on enough examples to tell candidates apart, then any on fewer.

    >>> choices([(9,), (3,)], [100, 20, 10], rich=1)
    [(9, 100), (9, 20), (3, 100), (3, 20), (9, 10), (3, 10)]
    """
    passes = [(settings[:rich], _TELLING), (settings, _TELLING // 2), (settings, 0)]
    found = [
        (*setting, size)
        for some, least in passes
        for setting in some
        for size in sizes
        if size >= min(least, sizes[0])
    ]
    return list(dict.fromkeys(found))


def labeled(room: Room, given: Mapping[str, Any]) -> Fit:  # noqa: ARG001 - the shape of all
    """Demonstrations drawn from train: nothing is executed."""
    return Fit({}, {"trainset": list(room.train)}, 0)


def bootstrap(room: Room, given: Mapping[str, Any]) -> Fit:
    """One bootstrapping, over as much of train as could be afforded if nothing went well."""
    rounds = int(given.get("max_rounds", 1))
    train = list(room.train)[: max(1, room.rollouts // max(rounds, 1))]
    made = {"metric": room.metric, "teacher_settings": dict(room.teacher)}
    cost = room.attempts(int(given.get("max_bootstrapped_demos", 4)), rounds)
    return Fit(made, {"trainset": train}, min(cost, room.rollouts), {"train": len(train)})


def random_search(room: Room, given: Mapping[str, Any]) -> Fit:
    """N + 3 evaluations on val (bare, labeled, bootstrapped, N shuffled) and N + 1 bootstraps."""
    demos, rounds = int(given.get("max_bootstrapped_demos", 4)), int(given.get("max_rounds", 1))
    tries = room.attempts(demos, rounds)
    wanted = given.get("num_candidate_programs")
    counts = range(16, -1, -1) if wanted is None else [int(wanted)]
    (count, size), cost = first(
        choices([(n,) for n in counts], room.sizes(), rich=11),
        lambda s: (s[0] + 3) * s[1] + (s[0] + 1) * tries,
        room.rollouts,
    )
    made = {
        "metric": room.metric,
        "teacher_settings": dict(room.teacher),
        "num_threads": room.threads,
        "num_candidate_programs": count,
    }
    called = {"trainset": list(room.train), "valset": list(room.val)[:size]}
    return Fit(made, called, cost, {"num_candidate_programs": count, "val": size})


def copro(room: Room, given: Mapping[str, Any]) -> Fit:
    """Breadth times depth evaluations; with several predictors each is re-run at every depth.

    COPRO shows no example to its proposer, it only scores on them: it is given val to score on.
    """
    settings = [
        (int(given.get("breadth", breadth)), int(given.get("depth", depth)))
        for breadth, depth in ((10, 3), (8, 3), (6, 2), (4, 2), (3, 2), (3, 1), (2, 1))
    ]

    def cost(setting: tuple[int, int, int]) -> int:
        breadth, depth, size = setting
        if room.predictors == 1:
            return breadth * depth * size
        return room.predictors * breadth * depth * (depth + 1) // 2 * size

    (breadth, depth, size), rollouts = first(
        choices(settings, room.sizes(), rich=4), cost, room.rollouts
    )
    made = {
        "metric": room.metric,
        "prompt_model": room.proposer,
        "breadth": breadth,
        "depth": depth,
    }
    quiet = {"num_threads": room.threads, "display_progress": False, "display_table": False}
    called = {"trainset": list(room.val)[:size], "eval_kwargs": quiet}
    return Fit(made, called, rollouts, {"breadth": breadth, "depth": depth, "val": size})


def mipro(room: Room, given: Mapping[str, Any]) -> Fit:
    """Bootstraps, the default program on val, trials on val or minibatches, full evaluations."""
    made = {
        "metric": room.metric,
        "prompt_model": room.proposer,
        "task_model": room.lm,
        "teacher_settings": dict(room.teacher),
        "num_threads": room.threads,
        "seed": room.seed,
    }
    aware = bool(given.get("program_aware_proposer", False))  # sends the program's source
    called: dict[str, Any] = {"trainset": list(room.train), "program_aware_proposer": aware}
    if given.get("auto") is not None:
        return Fit(made, {**called, "valset": list(room.val)}, room.rollouts)
    settings = [(int(given.get("num_candidates", count)),) for count in (12, 9, 6, 4, 3)]
    (candidates, size), cost = first(
        choices(settings, room.sizes(), rich=3),
        lambda setting: _mipro_cost(room, given, *setting),
        room.rollouts,
    )
    trials = int(given.get("num_trials", _trials(room, given, candidates)))
    minibatch = bool(given.get("minibatch", _minibatch(room, given, candidates, trials, size)))
    called.update(
        valset=list(room.val)[:size],
        num_trials=trials,
        minibatch=minibatch,
        minibatch_size=min(int(given.get("minibatch_size", 35)), size),
    )
    told = {"num_candidates": candidates, "num_trials": trials, "val": size}
    return Fit({**made, "auto": None, "num_candidates": candidates}, called, cost, told)


def _zero_shot(given: Mapping[str, Any]) -> bool:
    return not (given.get("max_bootstrapped_demos", 4) or given.get("max_labeled_demos", 4))


def _trials(room: Room, given: Mapping[str, Any], candidates: int) -> int:
    """MIPROv2's own recommendation: twice the variables times log2, or 1.5 a candidate."""
    variables = room.predictors * (1 if _zero_shot(given) else 2)
    return int(max(2 * variables * math.log2(max(candidates, 2)), 1.5 * candidates))


def _minibatch(
    room: Room, given: Mapping[str, Any], candidates: int, trials: int, size: int
) -> bool:
    """Whether minibatches pay, and cannot run out of combinations to evaluate in full.

    Where every combination has been evaluated, MIPROv2 raises instead of ending.
    """
    choices = candidates if _zero_shot(given) else candidates**2
    steps = int(given.get("minibatch_full_eval_steps", 5))
    return size > _MINIBATCH_FROM and trials // steps + 2 < choices**room.predictors


def _mipro_cost(room: Room, given: Mapping[str, Any], candidates: int, size: int) -> int:
    trials = int(given.get("num_trials", _trials(room, given, candidates)))
    demos = int(given.get("max_bootstrapped_demos", 4)) or 3  # 3 to show, even for zero-shot
    start = max(0, candidates - 2) * room.attempts(demos) + size
    if not given.get("minibatch", _minibatch(room, given, candidates, trials, size)):
        return start + trials * size
    batch = min(int(given.get("minibatch_size", 35)), size)
    steps = int(given.get("minibatch_full_eval_steps", 5))
    return start + trials * batch + (trials // steps + 2) * size


def simba(room: Room, given: Mapping[str, Any]) -> Fit:
    """A step samples and then tries candidates on its batch; the winners meet on all of train."""
    most = len(room.train)
    grid = [
        (
            min(int(given.get("bsize", batch)), most),
            int(given.get("num_candidates", candidates)),
            int(given.get("max_steps", steps)),
            max(min(size, most), min(int(given.get("bsize", batch)), most)),
        )
        for batch, candidates, steps in (
            (32, 6, 8), (32, 6, 4), (24, 5, 4), (16, 4, 4), (16, 4, 2), (10, 3, 2), (10, 3, 1),
            (6, 3, 1), (4, 2, 1),
        )
        for size in (most, 100, 50, 30, batch)
    ]  # fmt: skip

    def cost(setting: tuple[int, int, int, int]) -> int:
        batch, candidates, steps, size = setting
        return steps * batch * (2 * candidates + 1) + min(candidates, steps) * size + size

    (batch, candidates, steps, size), rollouts = first(grid, cost, room.rollouts)
    made = {
        "metric": room.metric,
        "prompt_model": room.proposer,
        "teacher_settings": dict(room.teacher) or None,
        "num_threads": room.threads,
        "bsize": batch,
        "num_candidates": candidates,
        "max_steps": steps,
    }
    called = {"trainset": list(room.train)[:size], "seed": room.seed}
    told = {"bsize": batch, "num_candidates": candidates, "max_steps": steps, "train": size}
    return Fit(made, called, rollouts, told)


def gepa(room: Room, given: Mapping[str, Any]) -> Fit:
    """Metric calls, less what one last iteration adds: GEPA looks at its limit between them."""
    batch = int(given.get("reflection_minibatch_size", 3))
    size = min(len(room.val), max(10, min(room.rollouts // 8, _SIZES[0])))
    last = 2 * batch + 5 + size
    limit = max(size + 2 * batch, room.rollouts - last)
    made: dict[str, Any] = {
        "metric": room.metric,
        "reflection_lm": room.proposer,
        "num_threads": room.threads,
        "seed": room.seed,
    }
    own = any(given.get(name) is not None for name in ("auto", "max_full_evals"))
    if not own:
        limit = int(given.get("max_metric_calls", limit))
        made["max_metric_calls"] = limit
    called = {"trainset": list(room.train), "valset": list(room.val)[:size]}
    told = {"val": size} if own else {"max_metric_calls": limit, "val": size}
    return Fit(made, called, room.rollouts if own else limit + last, told)


def infer_rules(room: Room, given: Mapping[str, Any]) -> Fit:
    """One bootstrapping and an evaluation on val for every set of rules."""
    demos = int(given.get("max_bootstrapped_demos", 4))
    settings = [(int(given.get("num_candidates", count)),) for count in (10, 8, 6, 4, 3, 2, 1)]
    tries = room.attempts(demos, int(given.get("max_rounds", 1)))
    (count, size), cost = first(
        choices(settings, room.sizes(), rich=4), lambda s: tries + s[0] * s[1], room.rollouts
    )
    train = list(room.train)[:_RULES_FROM]
    made = {
        "metric": room.metric,
        "teacher_settings": dict(room.teacher),
        "num_threads": room.threads,
        "num_candidates": count,
    }
    called = {"trainset": train, "valset": list(room.val)[:size]}
    return Fit(made, called, cost, {"num_candidates": count, "train": len(train), "val": size})


FITS: dict[str, Fitting] = {
    "LabeledFewShot": labeled,
    "BootstrapFewShot": bootstrap,
    "BootstrapFewShotWithRandomSearch": random_search,
    "COPRO": copro,
    "MIPROv2": mipro,
    "SIMBA": simba,
    "GEPA": gepa,
    "InferRules": infer_rules,
}
