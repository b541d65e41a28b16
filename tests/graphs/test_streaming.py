"""A run tells what happens in it, when it happens."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from compilm.clock import ManualClock
from compilm.graphs import END, Choice, Event, Graph, Node, Pause, Paused
from compilm.graphs.side import THREADS


def approve(ok: bool | None = None) -> dict[str, Any]:
    if ok is None:
        raise Pause("ok?", draft="d")
    return {"ok": ok}


def fail() -> None:
    raise ConnectionError("down")


def graph() -> Graph:
    return Graph(
        nodes={
            "try": Node(fail, retries=1, fallback="inner"),
            "inner": Graph({"ask": approve}, {"ask": END}, "ask", inputs=[]),
        },
        edges={"try": "inner", "inner": END},
        start="try",
        clock=ManualClock(),
    )


def told(events: list[Event]) -> list[str]:
    return [f"{event.kind} {event.node}".strip() for event in events]


FIRST = ["started try", "retried try", "failed try", "started inner", "started inner.ask"]
LAST = ["started inner", "started inner.ask", "finished inner.ask", "finished inner", "ended"]


def test_every_step_is_told_and_the_outcome_last() -> None:
    events = list(graph().stream())
    assert told(events) == [*FIRST, "paused inner.ask", "ended"]
    assert (events[-2].data, events[1].data["attempt"]) == ({"question": "ok?", "draft": "d"}, 1)
    paused = events[-1].outcome
    assert isinstance(paused, Paused)
    after = list(graph().stream(paused, ok=True))
    assert told(after) == LAST
    assert after[-1].outcome.ok is True


def test_in_tasks_too() -> None:
    async def read() -> list[list[Event]]:
        first = [event async for event in graph().astream()]
        return [first, [event async for event in graph().astream(first[-1].outcome, ok=True)]]

    first, after = asyncio.run(read())
    assert (told(first)[:5], told(after)) == (FIRST, LAST)


def test_an_event_is_there_before_the_next_step_ends() -> None:
    heard = threading.Event()

    def slow() -> dict[str, Any]:
        assert heard.wait(20)
        return {"b": 1}

    events = Graph({"a": lambda: {"a": 1}, "b": slow}, {"a": "b", "b": END}, "a").stream()
    assert [next(events).kind for _ in range(3)] == ["started", "finished", "started"]
    heard.set()
    assert told(list(events)) == ["finished b", "ended"]


def test_a_failure_is_raised_to_the_reader() -> None:
    with pytest.raises(ConnectionError):
        list(Graph({"x": fail}, {"x": END}, "x").stream())


def test_a_run_whose_reader_left_ends() -> None:
    steps, go = [], threading.Event()

    def step(n: int) -> dict[str, int]:
        assert go.wait(20)
        steps.append(n)
        return {"n": n + 1}

    again = Choice("n", {-1: END}, otherwise="x")
    loop = Graph({"x": step}, {"x": again}, "x", inputs=["n"], max_steps=1000)
    events = loop.stream(n=0)
    next(events)
    events.close()
    go.set()
    while THREADS.abandoned:  # the run ends by itself: nothing is left at work
        go.wait()
    assert len(steps) <= 1


def test_a_task_whose_reader_left_is_cancelled() -> None:
    seen = []

    async def main() -> None:
        async def step() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("ended")

        events = Graph({"x": step}, {"x": END}, "x").astream()
        await anext(events)
        await asyncio.sleep(0)
        await events.aclose()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["ended"]
