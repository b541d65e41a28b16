"""A run's events as they happen, for a caller in a thread or in a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from .progress import Event, Progress
from .side import THREADS

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["astreamed", "streamed"]


class _Left(BaseException):
    """Ends a run whose events nobody reads any more."""


def streamed(graph: Graph, inputs: Mapping[str, Any], progress: Progress) -> Iterator[Event]:
    """The events of a run in a thread; closing this ends the run at its next event."""
    events: SimpleQueue[Event | None] = SimpleQueue()
    has_left = False

    def put(event: Event) -> None:
        if has_left:
            raise _Left
        events.put(event)

    progress.tell = _teller(graph.clock, put)
    future = THREADS.run(lambda: graph.run(inputs, progress))
    future.add_done_callback(lambda _: events.put(None))
    try:
        while (event := events.get()) is not None:
            yield event
        yield _ended(graph.clock, future.result())
    finally:
        has_left = True
        if not future.done():
            THREADS.abandon(future)


async def astreamed(
    graph: Graph, inputs: Mapping[str, Any], progress: Progress
) -> AsyncIterator[Event]:
    """The events of a run in a task; closing this cancels the run."""
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(event: Event | None) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    progress.tell = _teller(graph.clock, put)
    task = asyncio.ensure_future(graph.arun(inputs, progress))
    task.add_done_callback(lambda _: put(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        yield _ended(graph.clock, await task)
    finally:
        task.cancel()


def _teller(
    clock: Clock, put: Callable[[Event], None]
) -> Callable[[str, str, str, Mapping[str, Any]], None]:
    def tell(kind: str, node: str, step: str, data: Mapping[str, Any]) -> None:
        put(Event(kind, node, step, clock.now(), data))

    return tell


def _ended(clock: Clock, outcome: Any) -> Event:
    return Event("ended", "", "", clock.now(), {}, outcome)
