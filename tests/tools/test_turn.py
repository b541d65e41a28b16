"""The calls of one turn: at the same time, and in order."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import dspy
import pytest

from compilm.tools import ToolResult, acall_all, call_all, tool
from compilm.tools.turn import MOST_CALLS


def _meeting(count: int) -> Any:
    """A tool that answers only when `count` calls of it are under way."""
    barrier = threading.Barrier(count)

    def meet(place: int) -> int:
        barrier.wait(10)
        return place

    return tool(meet)


def _all(how: str, tools: Any, calls: Any) -> tuple[ToolResult, ...]:
    if how == "threads":
        return call_all(tools, calls)
    return asyncio.run(acall_all(tools, calls))


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_calls_of_a_turn_are_made_at_the_same_time_and_come_back_in_order(how: str) -> None:
    calls = [{"name": "meet", "args": {"place": place}} for place in range(8)]
    assert [each.value for each in _all(how, [_meeting(8)], calls)] == list(range(8))


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_one_that_fails_and_one_that_is_not_there_hold_up_no_other(how: str) -> None:
    def fails() -> None:
        raise ValueError("no")

    calls = dspy.ToolCalls.from_dict_list(
        [{"name": "fails", "args": {}}, {"name": "gone", "args": {}}, {"name": "ok", "args": {}}]
    )
    tools = [tool(fails), tool(lambda: 1, name="ok", schema={})]
    results = _all(how, tools, calls)
    assert [each.error and each.error.kind for each in results] == ["failed", "unknown", None]
    assert "there is fails, ok" in results[1].told["message"]


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_a_turn_has_a_most_of_calls(how: str) -> None:
    made = list[int]()
    one = tool(lambda: made.append(1), name="one", schema={})
    results = _all(how, [one], [{"name": "one"}] * (MOST_CALLS + 2))
    assert len(made) == MOST_CALLS
    assert [each.error and each.error.kind for each in results[MOST_CALLS:]] == ["too-many"] * 2
