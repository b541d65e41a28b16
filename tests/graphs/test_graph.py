"""A graph runs as it is drawn: choices, loops, branches, maps, graphs in graphs."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, TypedDict

import dspy
import pytest

from compilm.errors import GraphStuck, ProgramError
from compilm.graphs import END, Choice, Graph, Map, Node
from compilm.testing.engines import scripted_lm


class Sum(TypedDict):
    total: int


def nothing() -> None: ...


def add(a: int, b: int = 1) -> Sum:
    return {"total": a + b}


def both(graph: Graph, **inputs: Any) -> list[Any]:
    """The same call in a thread and in a task."""
    return [graph(**inputs), asyncio.run(graph.acall(**inputs))]


def test_a_choice_is_made_by_a_value_of_the_state() -> None:
    graph = Graph(
        nodes={
            "kind": lambda n: {"kind": "even" if n % 2 == 0 else "odd"},
            "even": lambda n: {"half": n // 2},
            "odd": lambda: {"half": None},
        },
        edges={"kind": Choice("kind", {"even": "even", "odd": "odd"}), "even": END, "odd": END},
        start="kind",
        inputs=["n"],
    )
    assert [one.half for n in (4, 5) for one in both(graph, n=n)] == [2, 2, None, None]


def test_a_value_that_is_no_case_is_told_or_goes_otherwise() -> None:
    def graph(otherwise: str | None) -> Graph:
        choice = Choice("kind", {"even": END}, otherwise)
        return Graph({"kind": lambda: {"kind": "odd"}}, {"kind": choice}, "kind")

    assert graph(END)().kind == "odd"
    with pytest.raises(GraphStuck, match="'kind' is 'odd', which is none of 'even'"):
        graph(None)()


def test_a_loop_ends_at_max_steps() -> None:
    graph = Graph(
        nodes={"count": lambda n: {"n": n + 1, "is_done": n + 1 >= 5}},
        edges={"count": Choice("is_done", {True: END, False: "count"})},
        start="count",
        max_steps=5,
    )
    assert [one.n for one in both(graph, n=0)] == [5, 5]
    with pytest.raises(GraphStuck, match=r"before node 'count': max_steps=5 steps were taken"):
        graph(n=-1)


def test_branches_run_side_by_side_and_join() -> None:
    meeting = threading.Barrier(2, timeout=20)

    def left(n: int) -> dict[str, Any]:
        meeting.wait()
        return {"left": n + 1, "both": ["left"]}

    def right(n: int) -> dict[str, Any]:
        meeting.wait()
        return {"right": n + 2, "both": ["right"]}

    graph = Graph(
        nodes={
            "begin": lambda n: {"n": n * 10},
            "left": Node(left, writes=("left", "both")),
            "right": Node(right, writes=("right", "both")),
            "end": lambda left, right, both: {"all": [left, right, *both]},
        },
        edges={"begin": ("left", "right"), "left": "end", "right": "end", "end": END},
        start="begin",
        merge={"both": "join"},
        outputs=["all"],
    )
    assert [one.all for one in both(graph, n=1)] == [[11, 12, "left", "right"]] * 2


def test_a_branch_may_have_choices_loops_and_branches_of_its_own() -> None:
    def step(key: str) -> Node:
        return Node(lambda: {key: key}, writes=(key,))

    graph = Graph(
        nodes={name: step(name) for name in ("a", "b", "c", "d", "e", "f", "g")},
        edges={
            "a": ("b", "c"),
            "b": ("d", "e"),
            "d": "f",
            "e": "f",
            "f": "g",
            "c": Choice("a", {"a": "g", "x": "c"}),
            "g": END,
        },
        start="a",
    )
    assert [sorted(one.toDict()) for one in both(graph)] == [list("abcdefg")] * 2


def test_the_first_failure_of_branches_is_raised_with_its_place() -> None:
    def fail() -> Sum:
        raise ValueError("no")

    graph = Graph(
        nodes={
            "begin": nothing,
            "a": Node(nothing, writes=()),
            "b": fail,
        },
        edges={"begin": ("a", "b"), "a": END, "b": END},
        start="begin",
    )
    for call in (graph, lambda: asyncio.run(graph.acall())):
        with pytest.raises(ValueError) as raised:
            call()
        assert raised.value.__notes__ == ["in node 'b', step 1:b.1"]


def test_a_map_keeps_the_order_and_its_bound() -> None:
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Barrier(3, timeout=20)

    def double(n: int, factor: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait()  # three are really in here at once
        with lock:
            running -= 1
        return n * factor

    graph = Graph(
        nodes={"each": Map(double, over="numbers", into="doubled", concurrency=3, item="n")},
        edges={"each": END},
        start="each",
    )
    assert graph.inputs == ("numbers", "factor")
    for found in both(graph, numbers=[1, 2, 3, 4, 5, 6], factor=2):
        assert found.doubled == [2, 4, 6, 8, 10, 12]
    assert most == 3


def test_a_map_over_a_predictor_gives_values_or_objects() -> None:
    lm = scripted_lm(lambda request: {"reasoning": "so", "short": "s"})
    graph = Graph(
        nodes={
            "one": Map(dspy.Predict("text -> short"), over="texts", into="shorts"),
            "two": Map(dspy.ChainOfThought("text -> short"), over="texts", into="whole"),
        },
        edges={"one": "two", "two": END},
        start="one",
    )
    with dspy.context(lm=lm):
        found = graph(texts=["x", "y"])
    assert found.shorts == ["s", "s"]
    assert found.whole == [{"reasoning": "so", "short": "s"}] * 2


def test_a_graph_is_a_node_of_a_graph() -> None:
    inner = Graph({"add": add}, {"add": END}, "add", inputs=["a"])
    outer = Graph(
        nodes={"inner": inner, "more": lambda total: {"a": total, "is_big": total > 3}},
        edges={"inner": "more", "more": Choice("is_big", {True: END, False: "inner"})},
        start="inner",
    )
    assert outer.inputs == ("a",)
    assert [one.a for one in both(outer, a=1)] == [4, 4]


def test_only_declared_outputs_are_given_and_those_not_written_are_none() -> None:
    graph = Graph({"add": add}, {"add": END}, "add", inputs=["a", "b"], outputs=["total"])
    assert graph(a=1, b=2).toDict() == {"total": 3}
    wide = Graph({"x": lambda: {"y": 1}}, {"x": END}, "x", outputs=["y", "z"])
    assert wide().toDict() == {"y": 1, "z": None}


def test_wrong_calls_are_refused_before_anything_runs() -> None:
    graph = Graph({"add": add}, {"add": END}, "add", inputs=["a", "b"])
    with pytest.raises(ProgramError, match="'a' is missing; its inputs are a, b"):
        graph(b=1)
    with pytest.raises(ProgramError, match="'c' is unknown"):
        graph(a=1, c=1)


def test_what_is_not_in_the_state_on_this_way_is_told() -> None:
    graph = Graph(
        nodes={"go": lambda way: {"way": way}, "x": add, "y": lambda total: {"z": total}},
        edges={"go": Choice("way", {"x": "x", "y": "y"}), "x": "y", "y": END},
        start="go",
        inputs=["way"],
    )
    with pytest.raises(GraphStuck, match="node 'y' reads 'total', which is not in the state on"):
        graph(way="y")


def test_a_node_returns_a_mapping_or_nothing() -> None:
    def graph(output: Any) -> Graph:
        return Graph({"x": lambda: output}, {"x": END}, "x")

    assert graph(None)().toDict() == {}
    with pytest.raises(ProgramError, match="node 'x' returned a str: return a dspy"):
        graph("text")()


def test_async_functions_are_awaited_and_refused_in_a_thread() -> None:
    async def step(n: int) -> dict[str, int]:
        return {"n": n + 1}

    graph = Graph({"x": step}, {"x": END}, "x")
    assert asyncio.run(graph.acall(n=1)).n == 2
    with pytest.raises(ProgramError, match="node 'x' is an async function"):
        graph(n=1)


def test_the_steps_of_branches_stand_in_dspys_trace_in_the_order_of_the_edge() -> None:
    first = threading.Event()

    class Late(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> late")

        def forward(self, question: str) -> Any:
            assert first.wait(20)
            return self.ask(question=question)

    class Early(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> early")

        def forward(self, question: str) -> Any:
            found = self.ask(question=question)
            first.set()
            return found

    graph = Graph(
        nodes={
            "begin": nothing,
            "late": Node(Late(), writes=("late",)),
            "early": Node(Early(), writes=("early",)),
        },
        edges={"begin": ("late", "early"), "late": END, "early": END},
        start="begin",
        inputs=["question"],
    )
    lm = scripted_lm(lambda request: {"late": "l", "early": "e"})
    with dspy.context(lm=lm, trace=[]):
        graph(question="q")
        names = [next(iter(step[2].keys())) for step in dspy.settings.trace]
    assert names == ["late", "early"]
