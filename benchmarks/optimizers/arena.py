"""Where a contestant runs: a world or a task, its model, what was counted, and the true score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any, Protocol

import dspy

from compilm.errors import UsageError

from .response import Responses
from .task_engine import TaskEngine, task_lm
from .tasks import TASKS, Task, missing, task
from .world_engine import Counts, WorldEngine, world_lm
from .worlds import WORLDS, World, named

__all__ = ["Arena", "Place", "arena", "lacking"]


class Place(Protocol):
    """What a contestant is shown of a world or a task: examples to learn from, program, metric."""

    @property
    def train(self) -> list[dspy.Example]: ...

    @property
    def val(self) -> list[dspy.Example]: ...

    @property
    def steps(self) -> tuple[str, ...]: ...

    @property
    def metric(self) -> Callable[..., float]: ...

    @property
    def metric_with_feedback(self) -> Callable[..., Any]: ...

    def program(self) -> dspy.Module: ...


@dataclass(frozen=True, slots=True)
class Arena:
    """A place with its model. `lm` counts into `counts`, and `calls` gives the program calls.

    true_scores: of programs of the place, on the same examples that no contestant has seen; they
    are not counted.
    uncounted: another LM of the same kind that counts nowhere.
    """

    place: Place
    lm: dspy.LM
    counts: Counts
    calls: Callable[[], float]
    true_scores: Callable[..., list[float]]
    uncounted: Callable[[], dspy.LM]


def arena(name: str, seed: int) -> Arena:
    """The world or task of that name, as the seed draws it.

    >>> arena("rules", 0).place.steps
    ('answer',)
    """
    return _in_task(task(name, seed)) if name in TASKS else _in_world(World(named(name), seed))


def lacking(name: str) -> str:
    """What a world or task lacks to run, in words; an unknown name is a `UsageError`.

    >>> lacking("rules/8")
    ''
    """
    if name in TASKS:
        return missing(name)
    if name.partition("/")[0] not in WORLDS:
        raise UsageError(f"{name!r} is no world and no task: give some of {', '.join(TASKS)}")
    named(name)
    return ""


def _in_world(world: World) -> Arena:
    engine, responses = WorldEngine(world), Responses(world)
    return Arena(
        world,
        world_lm(engine),
        engine.counts,
        lambda: engine.counts.task_calls / len(world.steps),
        responses.true_scores,
        lambda: world_lm(WorldEngine(world)),
    )


def _in_task(task: Task) -> Arena:
    engine = TaskEngine(task.program())

    def uncounted() -> dspy.LM:
        return task_lm(TaskEngine(task.program()))

    def tested(*programs: dspy.Module) -> list[float]:
        with dspy.context(lm=uncounted(), num_threads=1, disable_history=True):
            return [
                mean(task.metric(example, program(**example.inputs())) for example in task.test)
                for program in programs
            ]

    lm = task_lm(engine)
    return Arena(task, lm, engine.counts, lambda: engine.runs, tested, uncounted)
