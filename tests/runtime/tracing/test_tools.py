"""The tools of a traced program: each call a span, with texts only where those are kept."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
from tests.runtime.tracing.desk import Kept, drawn

from compilm.runtime.load import load
from compilm.runtime.tracing.names import attributes_of, name_of
from compilm.runtime.tracing.replay import Replay
from compilm.runtime.tracing.tree import tree_of
from compilm.testing.engines import scripted_lm
from compilm.testing.tools import ScriptedTool
from compilm.tools import call_all, tool


@tool
def half(number: float) -> float:
    """Half of a number."""
    return number / 2


class Halving(dspy.Module):
    """Asks, and uses its tools."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        calls = [{"name": "half", "args": {"number": 9}}, {"name": "half", "args": {"n": 1}}]
        found = call_all([half], calls)
        return dspy.Prediction(answer=f"{self.ask(question=question).answer} {found[0].value}")

    async def aforward(self, question: str) -> dspy.Prediction:
        await half.acall(number=4)
        return dspy.Prediction(answer=(await self.ask.acall(question=question)).answer)


def kept(keeps: str) -> Kept:
    return Kept(Halving, scripted_lm([{"answer": "It is"}]), keeps=keeps)


def test_each_call_of_a_tool_is_a_span_with_the_kind_of_its_error() -> None:
    one = kept("numbers")
    assert one.runtime(question="Half of 9?").answer == "It is 4.5"
    trace = one.trace()
    used = {each[:3] for each in drawn(trace)[0][3] if each[0] == "tool"}
    assert used == {("tool", "half", None), ("tool", "half", "arguments")}
    assert not any(span.texts for span in trace.spans), "numbers alone"
    assert any(line.startswith("├─ tool half  0.") for line in tree_of(trace))


def test_in_a_task_too_and_with_its_texts_where_they_are_kept() -> None:
    one = kept("texts")

    async def main() -> Any:
        return await one.runtime.acall(question="?")

    asyncio.run(main())
    trace = one.trace()
    (span,) = [each for each in trace.spans if each.kind == "tool"]
    assert span.texts == {"inputs": {"number": 4}, "outputs": 2.0}
    assert name_of(span) == "execute_tool half"
    told = attributes_of(trace, span)
    assert told["gen_ai.operation.name"] == "execute_tool"
    assert told["gen_ai.tool.name"] == "half"
    assert told["compilm.outputs"] == "2.0"


TICKETS = ScriptedTool("ticket", [1, 2, ValueError("full")])


class Ticketing(dspy.Module):
    """Draws tickets, which changes the world."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        drawn = [TICKETS.tool(who=question) for _ in range(3)]
        return dspy.Prediction(answer=f"{self.ask(question=str(drawn)).answer} {drawn}")


def test_in_a_replay_tools_tell_what_they_told_and_none_is_called() -> None:
    one = Kept(Ticketing, scripted_lm([{"answer": "drawn"}]))
    first = one.runtime(question="ann").answer
    assert first.startswith("drawn [1, 2, {'error': 'failed', 'message': 'ValueError: full'}")
    made, replay = len(TICKETS.calls), Replay(one.trace())
    runtime = load(one.runtime.artifact, one.runtime.program, roles=replay.roles)
    with replay.offline():
        assert runtime(**replay.inputs).answer == first
        assert replay.missing == 0
        assert TICKETS.tool(who="bob")["error"] == "refused"
    assert (len(TICKETS.calls), replay.missing) == (made, 1)
