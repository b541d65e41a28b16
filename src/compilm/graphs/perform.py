"""Running what a walk asks for: steps one by one, branches side by side; in threads or in tasks."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import dspy

from ..errors import ProgramError
from .accepts import aheld, held
from .nodes import Function
from .pauses import Pause, Paused
from .policies import aattempted, attempted, falls_back
from .progress import Done, Place
from .side import aside_by_side, blocking, side_by_side
from .walk import Task, Walk, Walked, inputs_of

__all__ = ["Nested", "adrive", "drive"]


_new: Any = tuple.__new__  # as in the walk


@runtime_checkable
class Nested(Protocol):
    """A module that has steps of its own in a run: a graph in a graph, a map."""

    def within(self, inputs: Mapping[str, Any], name: str, place: Place) -> Any:
        """As a call, with its steps at this place of the run."""
        ...

    async def awithin(self, inputs: Mapping[str, Any], name: str, place: Place) -> Any:
        """As `within`, in a task."""
        ...


def drive(walk: Walk) -> Walked:
    """Run a walk to its end in this thread, its branches in others."""
    try:
        asked = next(walk)
        while True:
            if isinstance(asked, list):
                asked = walk.send(side_by_side([_driven(branch) for branch in asked]))
            else:
                asked = walk.send(perform(asked))
    except StopIteration as end:
        found: Walked = end.value
        return found


async def adrive(walk: Walk) -> Walked:
    """Run a walk to its end in this task, its branches in others."""
    try:
        asked = next(walk)
        while True:
            if isinstance(asked, list):
                asked = walk.send(await aside_by_side([_adriven(branch) for branch in asked]))
            else:
                asked = walk.send(await aperform(asked))
    except StopIteration as end:
        found: Walked = end.value
        return found


def _driven(walk: Walk) -> Callable[[], Walked]:
    return lambda: drive(walk)


def _adriven(walk: Walk) -> Callable[[], Coroutine[Any, Any, Walked]]:
    return lambda: adrive(walk)


def perform(task: Task) -> Done:
    """The step's outcome, kept."""
    _, name, spot, _, step, names, progress = task
    if progress.tell is not None:
        progress.tell("started", names + name, step, {})
    try:
        inputs = inputs_of(task)
        if spot.is_simple:
            output = spot.function(**inputs)
        else:
            output = call(task, inputs) if spot.is_plain else attempted(task, inputs, call)
        if type(output) is not dict or spot.only is not None:
            output = update_of(output, name, spot.only)
        if not spot.is_plain:
            output = held(task, inputs, output)
        done = _new(Done, (names + name, output, False))
    except Pause as pause:
        pause.at(names + name, step, task.state)
        raise
    except Exception as error:  # border: a node's failure goes to its fallback, or on with a note
        done = falls_back(error, task)
    if progress.keep is None and progress.tell is None:
        progress.done[step] = done
        return done
    return progress.completed(step, done)


async def aperform(task: Task) -> Done:
    """As `perform`, in a task."""
    _, name, spot, _, step, names, progress = task
    if progress.tell is not None:
        progress.tell("started", names + name, step, {})
    try:
        inputs = inputs_of(task)
        if spot.is_plain and spot.is_async:
            output = await spot.function(**inputs)
        elif spot.is_plain:
            output = await acall(task, inputs)
        else:
            output = await aattempted(task, inputs, acall)
        if type(output) is not dict or spot.only is not None:
            output = update_of(output, name, spot.only)
        if not spot.is_plain:
            output = await aheld(task, inputs, output)
        done = _new(Done, (names + name, output, False))
    except Pause as pause:
        pause.at(names + name, step, task.state)
        raise
    except Exception as error:  # border: a node's failure goes to its fallback, or on with a note
        done = falls_back(error, task)
    if progress.keep is None and progress.tell is None:
        progress.done[step] = done
        return done
    return progress.completed(step, done)


def call(task: Task, inputs: Mapping[str, Any]) -> Any:
    """What the step gives for these inputs, in this thread."""
    return called(task.graph.nodes[task.name], inputs, task.name, task.place)


async def acall(task: Task, inputs: Mapping[str, Any]) -> Any:
    """As `call`, awaited."""
    return await acalled(task.graph.nodes[task.name], inputs, task.name, task.place)


def called(step: dspy.Module, inputs: Mapping[str, Any], name: str, place: Place) -> Any:
    """What a module at this place gives, in this thread."""
    if isinstance(step, Function):
        output = step.function(**inputs)
        if inspect.isawaitable(output):
            _unawaited(output, name)
        return output
    if isinstance(step, Nested):
        return step.within(inputs, name, place)
    if not hasattr(type(step), "forward"):
        raise ProgramError(
            f"node {name!r} has only aforward: call the graph with await graph.acall(...)"
        )
    return step(**inputs)


async def acalled(step: dspy.Module, inputs: Mapping[str, Any], name: str, place: Place) -> Any:
    """What a module at this place gives, awaited; what can only block does so in a thread."""
    if isinstance(step, Function):
        if inspect.iscoroutinefunction(step.function):
            return await step.function(**inputs)
        return await blocking(lambda: step.function(**inputs))
    if isinstance(step, Nested):
        return await step.awithin(inputs, name, place)
    if hasattr(type(step), "aforward"):
        return await step.acall(**inputs)
    return await blocking(lambda: step(**inputs))


def update_of(output: Any, name: str, only: Sequence[str] | None) -> Mapping[str, Any]:
    """What a step's output writes into the state."""
    if type(output) is not dict:
        output = _mapping(output, name)
    found: Mapping[str, Any] = output
    return found if only is None else {key: found[key] for key in only if key in found}


def _mapping(output: Any, name: str) -> Mapping[str, Any]:
    if output is None:
        return {}
    if isinstance(output, dspy.Example):
        return dict(output.items())
    if isinstance(output, Mapping):
        return output
    if inspect.isawaitable(output):
        _unawaited(output, name)
    if isinstance(output, Paused):
        raise ProgramError(
            f"node {name!r} has a graph inside another module, and that graph paused: make the "
            "graph itself the node, so that the question can be asked and answered"
        )
    raise ProgramError(
        f"node {name!r} returned a {type(output).__name__}: return a dspy.Prediction, or a "
        f"mapping of what it writes, as in {{{name!r}: ...}}"
    )


def _unawaited(output: Awaitable[Any], name: str) -> None:
    if isinstance(output, Coroutine):
        output.close()
    raise ProgramError(
        f"node {name!r} is an async function: call the graph with await graph.acall(...)"
    )
