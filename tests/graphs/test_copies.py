"""A copy of a graph is its own program: nothing an optimizer sets on it is seen by the first."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.clock import ManualClock
from compilm.graphs import END, Graph, Map, Node
from compilm.programs.copying import copied
from compilm.testing.engines import scripted_lm


class Held(dspy.Module):
    """A module that holds what cannot be copied, as one with a connection does."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        with self.lock:
            return self.ask(question=question)


class Looker:
    """An object whose method is a node; copying it would open its connection again."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def look(self, answer: str) -> dict[str, Any]:
        return {"found": answer, "by": id(self)}


def build(looker: Looker) -> Graph:
    return Graph(
        nodes={
            "held": Held(),
            "each": Map(Held(), over="questions", into="answers"),
            "inner": Graph({"ask": Held()}, {"ask": END}, "ask"),
            "look": Node(looker.look, cache=60.0),
        },
        edges={"held": "each", "each": "inner", "inner": "look", "look": END},
        start="held",
        clock=ManualClock(),
    )


@pytest.mark.parametrize(
    "make", [lambda graph: graph.deepcopy(), copied], ids=["of DSPy", "of compilm"]
)
def test_what_cannot_be_copied_is_shared_and_predictors_are_not(make: Any) -> None:
    looker = Looker()
    graph = build(looker)
    other = make(graph)
    other.predictors()[0].demos = [dspy.Example(question="q", answer="a")]
    for one, two in zip(graph.predictors(), other.predictors(), strict=True):
        assert one is not two
        two.signature = two.signature.with_instructions("Be brief.")
        assert "Be brief." not in one.signature.instructions
    assert [len(one.demos) for one in graph.predictors()] == [0, 0, 0]
    with dspy.context(lm=scripted_lm([{"answer": "A"}])):
        found = other(question="q", questions=["a", "b"])
    assert (found.found, found.by, found.answers) == ("A", id(looker), ["A", "A"])
    assert other.clock is graph.clock


def test_a_graph_in_a_program_that_cannot_be_copied_is_copied_all_the_same() -> None:
    class Program(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()
            self.graph = build(Looker())

    program = Program()
    other = program.deepcopy()
    other.graph.predictors()[0].demos = ["changed"]
    assert program.graph.predictors()[0].demos == []


def test_a_plain_deep_copy_shares_the_plan_and_starts_with_empty_caches() -> None:
    graph = Graph({"x": Node(lambda a: {"b": a}, cache=60.0)}, {"x": END}, "x")
    graph(a=1)
    other = copy.deepcopy(graph)
    assert other.plan is graph.plan
    assert other.caches["x"] is not graph.caches["x"]
    assert other(a=1).b == 1


def test_a_subclass_with_arguments_keeps_what_it_holds() -> None:
    class Desk(Graph):
        def __init__(self, words: list[str]) -> None:
            super().__init__({"x": lambda a: {"b": a}}, {"x": END}, "x")
            self.words = words

    desk = Desk(["a"])
    other = desk.deepcopy()
    other.words.append("b")
    assert (type(other), desk.words) == (Desk, ["a"])


def test_a_whole_program_goes_through_dspys_own_format(tmp_path: Path) -> None:
    graph = Graph(
        {"x": Node(lambda a: {"b": a + 1}, cache=60.0), "ask": dspy.Predict("b -> c")},
        {"x": "ask", "ask": END},
        "x",
    )
    graph.save(str(tmp_path / "whole"), save_program=True)
    loaded = dspy.load(str(tmp_path / "whole"), allow_pickle=True)
    with dspy.context(lm=scripted_lm([{"c": "3"}])):
        assert loaded(a=1).c == "3"
