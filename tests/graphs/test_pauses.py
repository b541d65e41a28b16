"""A run that asks a person is plain data, and goes on anywhere without doing anything twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import dspy
import pytest

from compilm.errors import ProgramError
from compilm.graphs import END, Choice, Graph, Map, Node, Pause, Paused
from compilm.testing.engines import scripted_lm


def approve(draft: str, approved: bool | None = None) -> dict[str, Any]:
    if approved is None:
        raise Pause("May this be sent?", draft=draft)
    return {"verdict": "good" if approved else "redo"}


def desk() -> Graph:
    return Graph(
        nodes={
            "draft": dspy.ChainOfThought("question -> draft"),
            "approve": approve,
            "answer": dspy.Predict("question, draft -> answer"),
        },
        edges={
            "draft": "approve",
            "approve": Choice("verdict", {"good": "answer", "redo": "draft"}),
            "answer": END,
        },
        start="draft",
        inputs=["question"],
        outputs=["answer"],
    )


def through_json(paused: Any) -> dict[str, Any]:
    assert isinstance(paused, Paused)
    body: dict[str, Any] = json.loads(json.dumps(paused.to_json()))
    return body


def test_a_paused_run_goes_on_in_another_graph_object_without_calling_again() -> None:
    lm = scripted_lm(
        [
            {"reasoning": "r", "draft": "d1"},
            {"reasoning": "r", "draft": "d2"},
            {"answer": "A"},
        ]
    )
    with dspy.context(lm=lm):
        one = desk()(question="q")
        assert (one.node, one.question, one.details) == (
            "approve",
            "May this be sent?",
            {"draft": "d1"},
        )
        two = desk().resume(through_json(one), approved=False)
        assert two.details == {"draft": "d2"}  # in the loop it is asked again
        three = asyncio.run(desk().aresume(through_json(two), approved=True))
    assert (three.answer, lm.engine.calls) == ("A", 3)


def test_a_pause_in_a_task_is_the_same() -> None:
    lm = scripted_lm([{"reasoning": "r", "draft": "d"}, {"answer": "A"}])
    with dspy.context(lm=lm):
        paused = asyncio.run(desk().acall(question="q"))
        assert desk().resume(through_json(paused), approved=True).answer == "A"


def test_a_question_in_a_graph_in_a_graph_is_asked_by_the_outer_one() -> None:
    calls: list[str] = []

    def before() -> dict[str, str]:
        calls.append("before")
        return {"draft": "d"}

    inner = Graph(
        {"before": before, "approve": approve}, {"before": "approve", "approve": END}, "before"
    )
    outer = Graph(
        {"desk": inner, "end": lambda verdict: {"end": verdict}},
        {"desk": "end", "end": END},
        "desk",
    )
    paused = outer()
    assert (paused.node, paused.step) == ("desk.approve", "0.1")
    assert outer.resume(through_json(paused), approved=True).end == "good"
    assert calls == ["before"]


def test_branches_and_items_that_are_finished_stay_so() -> None:
    calls: list[Any] = []

    def ask(name: str) -> Any:
        def step(**given: Any) -> dict[str, Any]:
            if name not in given:
                raise Pause(f"{name}?")
            return {f"said_{name}": given[name]}

        return Node(step, writes=(f"said_{name}",))

    def look(item: int, ok: bool | None = None) -> int:
        if item >= 1 and ok is None:
            raise Pause(f"{item}?")
        calls.append(item)
        return item

    graph = Graph(
        nodes={
            "begin": dict,
            "a": ask("a"),
            "b": ask("b"),
            "c": Map(look, over="items", into="looked", item="item", concurrency=1),
        },
        edges={"begin": ("a", "b", "c"), "a": END, "b": END, "c": END},
        start="begin",
        inputs=["items"],
    )
    paused = graph(items=[0, 1, 2])
    asked = []
    for answer in ({"a": 1}, {"b": 2}, {"ok": True}, {"ok": True}):
        asked.append(paused.question)
        paused = graph.resume(through_json(paused), **answer)
    assert asked == ["a?", "b?", "1?", "2?"]  # each item is asked for itself
    assert (paused.said_a, paused.said_b, paused.looked) == (1, 2, [0, 1, 2])
    assert calls == [0, 1, 2]


def test_a_node_may_ask_several_questions_one_after_another() -> None:
    def form(name: str | None = None, age: int | None = None) -> dict[str, Any]:
        if name is None:
            raise Pause("name?")
        if age is None:
            raise Pause("age?", name=name)
        return {"person": f"{name}, {age}"}

    graph = Graph({"form": form}, {"form": END}, "form", inputs=[])
    paused = graph.resume(through_json(graph()), name="Ada")
    assert paused.question == "age?"
    assert graph.resume(through_json(paused), age=36).person == "Ada, 36"


def test_a_history_in_the_state_stays_one() -> None:
    history = dspy.History(messages=[{"question": "q", "answer": "a"}])

    def ask(history: Any, ok: bool | None = None) -> dict[str, Any]:
        if ok is None:
            raise Pause("ok?")
        return {"same": isinstance(history, dspy.History), "n": len(history.messages)}

    graph = Graph({"ask": ask}, {"ask": END}, "ask")
    found = graph.resume(through_json(graph(history=history)), ok=True)
    assert (found.same, found.n) == (True, 1)


def test_what_cannot_be_kept_or_answered_is_told() -> None:
    graph = Graph({"ask": approve}, {"ask": END}, "ask")
    with pytest.raises(ProgramError, match="'draft' in the details of the question cannot be kept"):
        graph(draft=object())
    paused = graph(draft="d")
    with pytest.raises(
        ProgramError, match="node 'ask' takes no answer called 'yes'; it takes draft"
    ):
        graph.resume(paused, yes=True)
    with pytest.raises(ProgramError, match="this is no paused run"):
        graph.resume({"node": "ask"}, approved=True)


def test_a_run_of_another_graph_is_refused() -> None:
    def graph(first: str) -> Graph:
        return Graph(
            {first: lambda: {"draft": "d"}, "ask": approve}, {first: "ask", "ask": END}, first
        )

    paused = graph("one")()
    with pytest.raises(ProgramError, match="step 0 of this run was node 'one' and would now be"):
        graph("two").resume(paused, approved=True)


def test_a_pause_inside_another_module_is_refused_with_the_remedy() -> None:
    class Hidden(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = Graph({"ask": approve}, {"ask": END}, "ask")

        def forward(self, draft: str) -> Any:
            return self.graph(draft=draft)

    graph = Graph({"hidden": Hidden()}, {"hidden": END}, "hidden")
    with pytest.raises(ProgramError, match="node 'hidden' has a graph inside another module"):
        graph(draft="d")
