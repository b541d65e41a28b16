"""Demonstrations: labeled ones from the training data, bootstrapped ones from good rollouts."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ... import canonical
from ...artifact import Predictor, secret_in
from ...datasets import DataSet
from ..candidate import Proposal
from ..evaluate import Rollout
from .base import Scene

__all__ = ["Demos", "Swap", "bootstrapped", "distinct", "labeled", "spread"]

_THINKING = frozenset({"reasoning", "rationale"})
_GOOD = 1.0 - 1e-9

Demo = dict[str, Any]
Source = Literal["labeled", "bootstrapped", "mixed"]


def labeled(predictor: Predictor, train: DataSet) -> list[Demo]:
    """Demos that the data itself gives `predictor`: every input and every output is a column.

    A field named `reasoning` may be absent; an output that is null is not a demonstration.
    """
    inputs = [field.name for field in predictor.inputs]
    outputs = [field.name for field in predictor.outputs if field.name not in _THINKING]
    found = []
    for example in train:
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


@dataclass(frozen=True, slots=True)
class Demos:
    """A move: new demonstrations, `k` each, from one source, for every predictor or for one.

    A predictor that the source cannot serve is served by the other one, where that can.
    """

    source: Source
    k: int
    every: bool = True

    @property
    def name(self) -> str:
        return f"{self.source} demos"

    def __call__(self, scene: Scene) -> Proposal | None:
        changes = {}
        able = scene.tunable if self.every else scene.rng.sample(scene.tunable, 1)
        for predictor in able:
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
class Swap:
    """A move: one predictor's demonstrations, a part of them exchanged for others of the pool."""

    part: float = 0.5

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


def _without(taken: Sequence[Demo], pool: Sequence[Demo], predictor: Predictor) -> list[Demo]:
    shown = {_shown(demo, predictor) for demo in taken}
    return [demo for demo in pool if _shown(demo, predictor) not in shown]


def _shown(demo: Demo, predictor: Predictor) -> str:
    """What a demonstration is an example of: its inputs. Another answer to them is no other one."""
    return canonical.dumps([demo.get(field.name) for field in predictor.inputs])
