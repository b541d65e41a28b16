"""One step for every item of a list, some at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dspy

from ..errors import GraphStuck, ProgramError
from .nodes import Step, as_module
from .pauses import Pause
from .perform import acalled, called
from .progress import Done, Place, Progress
from .side import aside_by_side, side_by_side
from .walk import accepted
from .wants import Wants, wants_of

__all__ = ["Map"]


class Map(dspy.Module):
    """Runs `step` for every item of the list `over` and writes the list of results `into`.

    Args:
        step: a `dspy.Module` or a function. It is given the item, and what else it reads from the
            state.
        over: the key of the list, in the state.
        into: the key of the results, in the order of the items. A prediction with one field gives
            that field's value, one with more an object; a function what it returns.
        concurrency: how many items may be worked on at once.
        item: the argument that gets the item; not needed for a step with one input.

    >>> lengths = Map(lambda word: len(word), over="words", into="lengths")
    >>> lengths(words=["a", "bee"]).lengths
    [1, 3]
    """

    def __init__(
        self, step: Step, over: str, into: str, concurrency: int = 8, *, item: str | None = None
    ) -> None:
        super().__init__()
        self.step = as_module(f"Map over {over}", step)
        self.over, self.into, self.concurrency = over, into, concurrency
        inner = wants_of(f"Map over {over}", self.step)
        self.item = item or _item(inner, over)
        if inner.key:
            raise ProgramError(
                f"the step of Map(over={over!r}) declares idempotency_key, which a Map does not "
                "give: make it a node with effect=True in a graph of its own"
            )
        if concurrency < 1:
            raise ProgramError(f"Map(over={over!r}): a concurrency of {concurrency} runs nothing")
        if self.item not in inner.names and not inner.anything:
            raise ProgramError(f"the step of Map(over={over!r}) takes no {self.item!r}")
        required = tuple(key for key in inner.required if key not in (self.item, over))
        optional = tuple(key for key in inner.optional if key not in (self.item, over))
        self.inner = inner
        self.wants = Wants((over, *required), optional, inner.anything)
        self.writes: tuple[str, ...] = (into,)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """The results for every item of `inputs[over]`."""
        return dspy.Prediction(**self.within(inputs, "map", Place("0", "", Progress())))

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """As `forward`, in a task."""
        return dspy.Prediction(**await self.awithin(inputs, "map", Place("0", "", Progress())))

    def within(self, inputs: Mapping[str, Any], name: str, place: Place) -> Mapping[str, Any]:
        """As a node `name` of a graph; each finished item is a step of its run."""

        def task(number: int) -> Callable[[], Done]:
            at, given = self._at(number, inputs, place)

            def run() -> Done:
                with _asking(at, name, given):
                    return _kept(at) or _keep(at, name, called(self.step, given, name, at))

            return run

        tasks = [task(number) for number in range(len(self._items(inputs)))]
        return {self.into: [_value(done) for done in side_by_side(tasks, self.concurrency)]}

    async def awithin(
        self, inputs: Mapping[str, Any], name: str, place: Place
    ) -> Mapping[str, Any]:
        """As `within`, in tasks."""

        def task(number: int) -> Callable[[], Coroutine[Any, Any, Done]]:
            at, given = self._at(number, inputs, place)

            async def run() -> Done:
                with _asking(at, name, given):
                    return _kept(at) or _keep(at, name, await acalled(self.step, given, name, at))

            return run

        tasks = [task(number) for number in range(len(self._items(inputs)))]
        return {self.into: [_value(done) for done in await aside_by_side(tasks, self.concurrency)]}

    def _items(self, inputs: Mapping[str, Any]) -> Any:
        items = inputs.get(self.over)
        if not isinstance(items, list | tuple):
            raise GraphStuck(
                f"Map(over={self.over!r}) needs a list there and found a {type(items).__name__}"
            )
        return items

    def _at(
        self, number: int, inputs: Mapping[str, Any], place: Place
    ) -> tuple[Place, dict[str, Any]]:
        given = dict(inputs)
        if self.over not in self.inner.names and not self.inner.anything:
            del given[self.over]
        given[self.item] = inputs[self.over][number]
        at = Place(f"{place.step}[{number}]", place.names, place.progress)
        given.update(accepted(place.progress.answers.get(at.step, {}), self.inner, "of the map"))
        return at, given


_VALUE = "value"


@contextmanager
def _asking(place: Place, name: str, given: Mapping[str, Any]) -> Iterator[None]:
    """A question of one item is asked at its place, and answered there."""
    try:
        yield
    except Pause as pause:
        pause.at(place.names + name, place.step, given)
        raise


def _kept(place: Place) -> Done | None:
    return place.progress.done.get(place.step)


def _keep(place: Place, name: str, output: Any) -> Done:
    if isinstance(output, dspy.Example):
        fields = dict(output.items())
        output = next(iter(fields.values())) if len(fields) == 1 else fields
    return place.progress.completed(place.step, Done(place.names + name, {_VALUE: output}))


def _value(done: Done) -> Any:
    return done.update[_VALUE]


def _item(wants: Wants, over: str) -> str:
    named = wants.required or wants.optional
    if len(named) == 1:
        return named[0]
    raise ProgramError(
        f"the step of Map(over={over!r}) has {len(named)} inputs: say which one gets the item, "
        "item='...'"
    )
