"""Demonstrations: labeled ones from the training data, bootstrapped ones from good rollouts."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import dspy

from ... import canonical
from ...artifact import Predictor, secret_in
from ...metrics.attribution import Part, attributed
from ..candidate import Proposal
from ..rollout import Rollout
from .base import Scene

__all__ = [
    "Attributed",
    "Demos",
    "Swap",
    "Usual",
    "bootstrapped",
    "distinct",
    "labeled",
    "spread",
    "usual",
]

_THINKING = frozenset({"reasoning", "rationale"})
_GOOD = 1.0 - 1e-9

Demo = dict[str, Any]
Source = Literal["labeled", "bootstrapped", "mixed"]


def labeled(predictor: Predictor, examples: Iterable[dspy.Example]) -> list[Demo]:
    """Demos that the data itself gives `predictor`: every input and every output is a column.

    A field named `reasoning` may be absent; an output that is null is not a demonstration.
    """
    inputs = [field.name for field in predictor.inputs]
    outputs = [field.name for field in predictor.outputs if field.name not in _THINKING]
    found = []
    for example in examples:
        values = {name: example.get(name) for name in [*inputs, *outputs]}
        if outputs and all(value is not None for value in values.values()):
            found.append(canonical.plain(values))
    return _shareable(found)


def bootstrapped(predictor: Predictor, rollouts: Sequence[Rollout]) -> list[Demo]:
    """Demos out of the steps of good rollouts: the perfect ones, else the best third above 0."""
    scored = [r for r in rollouts if not r.score.is_missing and not r.error]
    good = [r for r in scored if r.score.value >= _GOOD]
    if not good:
        ranked = sorted((r for r in scored if r.score.value > 0), key=lambda r: -r.score.value)
        good = ranked[: max(1, len(ranked) // 3)]
    wanted = {field.name for field in (*predictor.inputs, *predictor.outputs)}
    return _shareable(
        [
            {name: v for name, v in {**step.inputs, **step.outputs}.items() if name in wanted}
            for rollout in good
            for step in rollout.steps
            if step.path == predictor.path
        ]
    )


def _shareable(found: list[Demo]) -> list[Demo]:
    """Demos without the ones that hold what looks like a key: an artifact may not carry it."""
    return [demo for demo in found if secret_in(demo) is None]


def distinct(pool: Sequence[Demo], predictor: Predictor) -> list[Demo]:
    """The demos of the pool; of those with the same inputs the first."""
    return list({_shown(demo, predictor): demo for demo in reversed(pool)}.values())[::-1]


def spread(pool: Sequence[Demo], predictor: Predictor, k: int, rng: random.Random) -> list[Demo]:
    """`k` demos of the pool, in random order, as evenly over the answers as the pool allows.

    Of demos with the same inputs the first stays. Answers that stand only once are one group: a
    step that copies a number or says `none` is shown both as often, not one `none` among many.
    """
    pool = distinct(pool, predictor)
    first = next((f.name for f in predictor.outputs if f.name not in _THINKING), "")
    answers = [canonical.dumps(demo.get(first)) for demo in pool]
    repeats = Counter(answers)
    groups: dict[str, list[Demo]] = defaultdict(list)
    for demo, answer in zip(pool, answers, strict=True):
        groups[answer if repeats[answer] > 1 else ""].append(demo)
    queues = [rng.sample(group, len(group)) for _, group in sorted(groups.items())]
    rng.shuffle(queues)
    chosen: list[Demo] = []
    while queues and len(chosen) < k:
        for queue in queues[: k - len(chosen)]:
            chosen.append(queue.pop())
        queues = [queue for queue in queues if queue]
    rng.shuffle(chosen)
    return chosen


def usual(pool: Sequence[Demo], predictor: Predictor) -> list[Demo]:
    """The demos of the pool that have its commonest answer, if more than half of them have it.

    All outputs count. Where most messages hold nothing that a step looks for, few demos that say
    so can be worth more than many that show what to find.
    """
    names = [field.name for field in predictor.outputs if field.name not in _THINKING]
    answers = [canonical.dumps([demo.get(name) for name in names]) for demo in pool]
    most, count = next(iter(Counter(answers).most_common(1)), ("", 0))
    if 2 * count <= len(pool):
        return []
    return [demo for demo, answer in zip(pool, answers, strict=True) if answer == most]


@dataclass(frozen=True, slots=True)
class Demos:
    """A move: new demonstrations, `k` for each predictor, from one source.

    A predictor that the source cannot serve is served by the other one, where that can.
    """

    source: Source
    k: int

    asks: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return f"{self.source} demos"

    def __call__(self, scene: Scene) -> Proposal | None:
        changes = {}
        for predictor in scene.tunable:
            chosen = self._choose(predictor, scene)
            if chosen:
                changes[predictor.path] = replace(predictor, demos=tuple(chosen))
        note = f"up to {self.k} for {', '.join(changes)}"
        return Proposal(self.name, changes, note) if changes else None

    def _choose(self, predictor: Predictor, scene: Scene) -> list[Demo]:
        own = labeled(predictor, scene.train)
        made = bootstrapped(predictor, scene.seen)
        if self.source == "mixed" and own and made:
            half = spread(made, predictor, self.k // 2, scene.rng)
            rest = _without(half, own, predictor)
            return [*half, *spread(rest, predictor, self.k - len(half), scene.rng)]
        pool = (own or made) if self.source == "labeled" else (made or own)
        return spread(pool, predictor, self.k, scene.rng)


@dataclass(frozen=True, slots=True)
class Usual:
    """A move: a step that mostly answers the same is shown `k` demonstrations of that, no others.

    On top of another move (`Both`) it leaves to that one the steps whose answers vary.
    """

    k: int

    asks: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "usual demos"

    def __call__(self, scene: Scene) -> Proposal | None:
        changes = {}
        for predictor in scene.tunable:
            pool = labeled(predictor, scene.train) or bootstrapped(predictor, scene.seen)
            chosen = spread(usual(pool, predictor), predictor, self.k, scene.rng)
            if chosen:
                changes[predictor.path] = replace(predictor, demos=tuple(chosen), nearest=None)
        note = f"up to {self.k} of one answer for {', '.join(changes)}"
        return Proposal(self.name, changes, note) if changes else None


@dataclass(frozen=True, slots=True)
class Swap:
    """A move: one predictor's demonstrations, a part of them exchanged for others of the pool."""

    part: float = 0.5

    asks: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "swapped demos"

    def __call__(self, scene: Scene) -> Proposal | None:
        able = [p for p in scene.tunable if p.demos]
        if not able:
            return None
        predictor = scene.rng.choice(able)
        pool = labeled(predictor, scene.train) or bootstrapped(predictor, scene.seen)
        fresh = _without(predictor.demos, pool, predictor)
        count = max(1, round(len(predictor.demos) * self.part))
        kept = scene.rng.sample(list(predictor.demos), len(predictor.demos) - count)
        demos = [*kept, *spread(fresh, predictor, count, scene.rng)]
        scene.rng.shuffle(demos)
        changes = {predictor.path: replace(predictor, demos=tuple(demos))}
        return Proposal(self.name, changes, f"{count} of {predictor.path}") if fresh else None


@dataclass(frozen=True, slots=True)
class Attributed:
    """A move: `k` demonstrations for one predictor, the ones that candidates gained by.

    What a demonstration adds is read off all candidates that had it, and drawn from its posterior:
    one that was never tried gets the widest. Of the better half of the pool the answers are then
    spread evenly, as in `Demos`.
    """

    k: int

    asks: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "attributed demos"

    def __call__(self, scene: Scene) -> Proposal | None:
        able = [p for p in scene.tunable if p.demos]
        if not able or len(scene.others) < 2:
            return None
        predictor = scene.rng.choice(able)
        made = bootstrapped(predictor, scene.seen)
        pool = [*predictor.demos, *labeled(predictor, scene.train), *made]
        pool = list({_shown(demo, predictor): demo for demo in pool}.values())
        worth = self._worth(pool, predictor, scene)
        ranked = sorted(pool, key=lambda demo: -worth[_shown(demo, predictor)])
        chosen = spread(ranked[: 2 * self.k], predictor, self.k, scene.rng)
        changes = {predictor.path: replace(predictor, demos=tuple(chosen))}
        return Proposal(self.name, changes, f"{len(chosen)} of {len(pool)} for {predictor.path}")

    def _worth(self, pool: Sequence[Demo], own: Predictor, scene: Scene) -> dict[str, float]:
        known = [scene.incumbent, *scene.others]
        sets = [{_shown(demo, own) for demo in one.by_path[own.path].demos} for one in known]
        found = attributed([scene.gains.get(one.id, 0.0) for one in known], sets)
        widest = max((part.sd for part in found.values()), default=1.0) or 1.0
        parts = [(name, found.get(name, Part(0.0, widest))) for name in
                 (_shown(demo, own) for demo in pool)]  # fmt: skip
        return {name: scene.rng.gauss(part.value, part.sd) for name, part in parts}


def _without(taken: Sequence[Demo], pool: Sequence[Demo], predictor: Predictor) -> list[Demo]:
    shown = {_shown(demo, predictor) for demo in taken}
    return [demo for demo in pool if _shown(demo, predictor) not in shown]


def _shown(demo: Demo, predictor: Predictor) -> str:
    """What a demonstration is an example of: its inputs. Another answer to them is no other one."""
    return canonical.dumps([demo.get(field.name) for field in predictor.inputs])
