"""The core: the way of a run through a graph, as a generator that asks for each step's outcome.

What it asks for is a `Task` (one step) or a list of such generators (branches, side by side).
It waits for nothing and calls nothing, so threads and tasks drive the same one. A run that goes
on walks the same way again and finds finished steps in its `Progress`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..errors import GraphStuck, ProgramError
from .edges import END, Choice
from .merging import merged
from .progress import Done, Place, Progress

if TYPE_CHECKING:
    from .graph import Graph
    from .plan import Spot
    from .wants import Wants

__all__ = ["Task", "Walk", "Walked", "accepted", "inputs_of", "walk"]

State = dict[str, Any]

_new: Any = tuple.__new__  # half the time of a named tuple's own way, which only names arguments


class Task(NamedTuple):
    """One step to be run: its node, and the state it may read."""

    graph: Graph
    name: str
    spot: Spot
    state: State
    step: str
    names: str
    progress: Progress

    @property
    def place(self) -> Place:
        """Where it is, for what has steps of its own there."""
        return Place(self.step, self.names, self.progress)


class Walked(NamedTuple):
    """What a way wrote, and how many steps it took."""

    written: State
    steps: int


Walk: TypeAlias = "Generator[Task | list[Walk], Any, Walked]"


def walk(
    graph: Graph, place: Place, state: State, *, at: str, until: str = END, steps: int = 0
) -> Walk:
    """The way from node `at` to `until`. `place.step` is what its steps' places begin with."""
    held = vars(graph)
    spots, most = held["plan"], held["max_steps"]
    prefix, names, progress = place
    finished, written = progress.done, State()
    while at != until:
        if steps >= most:
            raise GraphStuck(
                f"stopped before node {names + at!r}: max_steps={most} steps were taken; if its "
                "loop is meant to go on longer, raise it"
            )
        step = f"{prefix}{steps}"
        spot = spots[at]
        done: Done | None = finished.get(step)
        if done is None:
            if progress.askers and progress.askers.get(step, names + at) != names + at:
                raise _another(step, progress.askers[step], names + at)
            done = yield _new(Task, (graph, at, spot, state, step, names, progress))
        elif done.node != names + at:
            raise _another(step, done.node, names + at)
        state.update(done.update)
        written.update(done.update)
        steps += 1
        edge = spot.policy.fallback if done.failed else spot.edge
        if isinstance(edge, str):
            at = edge
        elif isinstance(edge, Choice):
            at = edge.target(state, names + at)
        else:
            found: list[Walked] = yield [
                walk(
                    graph,
                    Place(f"{prefix}{steps}:{head}.", names, progress),
                    dict(state),
                    at=head,
                    until=spot.join,
                    steps=steps,
                )
                for head in edge or ()
            ]
            update = merged(graph.merge, [each.written for each in found])
            state.update(update)
            written.update(update)
            steps += sum(each.steps - steps for each in found)
            at = spot.join
    return Walked(written, steps)


def _another(step: str, was: str, would_be: str) -> ProgramError:
    return ProgramError(
        f"step {step} of this run was node {was!r} and would now be {would_be!r}: it was begun "
        "with another graph; go on with that one"
    )


def inputs_of(task: Task) -> Mapping[str, Any]:
    """What the step is given: what it wants of the state, answers, and its idempotency key."""
    _, name, spot, state, step, names, progress = task
    wants = spot.wants
    inputs: State = {}
    try:
        for key in wants.required:
            inputs[key] = state[key]
    except KeyError as error:
        raise GraphStuck(
            f"node {names + name!r} reads {error.args[0]!r}, which is not in the state on this "
            f"way; there are {', '.join(sorted(state)) or 'no keys'}"
        ) from None
    if spot.is_strict and not progress.answers:
        return inputs
    if wants.anything:
        inputs.update(state)
    for key in wants.optional:
        if key in state:
            inputs[key] = state[key]
    if wants.key:
        inputs["idempotency_key"] = f"{progress.id}/{names}{name}/{step}"
    if progress.answers and step in progress.answers:
        inputs.update(accepted(progress.answers[step], wants, names + name))
    return inputs


def accepted(answer: Mapping[str, Any], wants: Wants, node: str) -> Mapping[str, Any]:
    """The answer, if the node that asked takes every part of it."""
    unknown = [] if wants.anything else [key for key in answer if key not in wants.names]
    if unknown:
        raise ProgramError(
            f"node {node!r} takes no answer called {unknown[0]!r}; it takes "
            f"{', '.join(wants.names) or 'none'}"
        )
    return answer
