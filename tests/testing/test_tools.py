"""The scripted tool of tests."""

from __future__ import annotations

import pytest

from compilm.clock import ManualClock
from compilm.testing.tools import ScriptedTool


def test_a_script_is_used_up_in_order_and_its_last_entry_repeats() -> None:
    lookup = ScriptedTool("lookup", [1, ConnectionError("reset"), 2])
    assert [lookup.tool.run(n=n).value for n in range(4)] == [1, None, 2, 2]
    assert lookup.calls == [{"n": n} for n in range(4)]


def test_options_are_those_of_a_tool_and_a_function_sees_the_arguments() -> None:
    clock = ManualClock()
    flaky = ScriptedTool(
        "flaky", [ConnectionError(), 5], idempotent=True, timeout=None, clock=clock
    )
    assert flaky.tool.run().attempts == 2
    twice = ScriptedTool(
        "twice", lambda n: 2 * n, schema={"properties": {"n": {"type": "integer"}}}
    )
    assert (twice.tool(n=4), twice.tool(m=4)["error"]) == (8, "arguments")


@pytest.mark.parametrize("copies", [1, 2])
def test_copies_of_its_tool_are_counted_together(copies: int) -> None:
    one = ScriptedTool("one", [1])
    for _ in range(copies):
        one.tool.__deepcopy__()()
    assert len(one.calls) == copies
