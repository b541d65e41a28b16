"""A graph that cannot work is refused when it is made, and the error says how to mend it."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from compilm.errors import GraphStuck, ProgramError
from compilm.graphs import END, Choice, Graph, Map, Node
from compilm.guardrails import Constraint, Guard, Redacted
from compilm.testing.engines import scripted_lm


def a() -> None: ...


nothing = a


def pay(amount: int) -> None: ...


ASK = dspy.Predict("question -> answer")
KEYED = Node(nothing, writes=("k",))

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("a graph needs a node", {"nodes": {}, "edges": {}}),
    ("a node cannot be called 'a.b'", {"nodes": {"a.b": a}, "edges": {"a.b": END}}),
    ("a node cannot be called '__end__'", {"nodes": {END: a}, "edges": {END: END}}),
    ("node 'a' is a int: give a dspy.Module or a function", {"nodes": {"a": 3}}),
    ("node 'a' is the class Predict: give an instance", {"nodes": {"a": dspy.Predict}}),
    (r"the start 'b' \(is", {"nodes": {"bb": a}, "edges": {"bb": END}, "start": "b"}),
    ("no edge leaves node 'a': write edges={'a': END}", {"edges": {}}),
    (r"an edge leaves 'aa' \(is 'a' meant\?\)", {"edges": {"a": END, "aa": END}}),
    ("leads to 'b', which is no node", {"edges": {"a": "b"}}),
    ("leads to 'b', which is no node", {"edges": {"a": Choice("x", {1: "b"}, END)}}),
    ("the edge from node 'a' leads nowhere", {"edges": {"a": Choice("x", {})}}),
    ("leads to 'z', which is no node", {"nodes": {"a": Node(a, fallback="z")}}),
    ("the fallback of node 'a' must be another", {"nodes": {"a": Node(a, fallback="a")}}),
    ("node 'b' can never run", {"nodes": {"a": a, "b": a}, "edges": {"a": END, "b": END}}),
    ("must name two different nodes", {"edges": {"a": ("a",)}}),
    ("retries are 0 or more", {"nodes": {"a": Node(a, retries=-1)}}),
    ("declare the argument idempotency_key", {"nodes": {"a": Node(pay, effect=True, retries=1)}}),
    ("cannot come from a cache", {"nodes": {"a": Node(a, effect=True, cache=9.0)}}),
    ("max_steps is 0", {"max_steps": 0}),
    ("the edge from node 'a' is a function: give a name", {"edges": {"a": lambda state: END}}),
    ("the edge from node 'a' is a dict: .*Choice", {"edges": {"a": {"x": END}}}),
    ("comes to node 'a' never ends", {"edges": {"a": "a"}}),
    ("is no rule: use first, last", {"merge": {"k": "newest"}}),
    ("node 'a' reads 'amount', which is no input", {"nodes": {"a": pay}, "inputs": ["x"]}),
    (r"reads 'question' \(is 'questions' meant", {"nodes": {"a": ASK}, "inputs": ["questions"]}),
    (
        r"is left by a choice of 'anser' \(is 'answer' meant\?\)",
        {"nodes": {"a": ASK}, "edges": {"a": Choice("anser", {}, END)}, "inputs": ["question"]},
    ),
    (r"no node writes the output 'anser' \(is", {"nodes": {"a": ASK}, "outputs": ["anser"]}),
]


@pytest.mark.parametrize(("message", "change"), WRONG, ids=[message for message, _ in WRONG])
def test_what_is_wrong_is_told_with_its_remedy(message: str, change: dict[str, Any]) -> None:
    right = {"nodes": {"a": a}, "edges": {"a": END}, "start": "a"}
    Graph(**right)
    with pytest.raises(ProgramError, match=message):
        Graph(**{**right, **change})


def branches(**change: Any) -> Graph:
    nodes = {"begin": a, "b": KEYED, "c": KEYED, "end": a}
    edges = {"begin": ("b", "c"), "b": "end", "c": "end", "end": END}
    given: dict[str, Any] = {"nodes": nodes, "edges": edges, "start": "begin", **change}
    given["nodes"] = {**nodes, **given["nodes"]}
    given["edges"] = {**edges, **given["edges"]}
    return Graph(**given)


def test_two_writers_of_one_key_need_a_rule() -> None:
    with pytest.raises(ProgramError, match="nodes 'b' and 'c' run side by side and both write 'k'"):
        branches()
    branches(merge={"k": "list"})
    branches(nodes={"c": Node(a, writes=())})


def test_a_branch_must_tell_what_it_writes() -> None:
    with pytest.raises(ProgramError, match=r"node 'c' runs beside others .* does not tell what it"):
        branches(nodes={"c": a})


def test_branches_must_join_or_stay_apart() -> None:
    split = {"nodes": {"d": a}, "merge": {"k": "list"}}
    with pytest.raises(ProgramError, match="'b' and 'c' from node 'begin' share node 'end'"):
        branches(**split, edges={"b": Choice("k", {1: "end"}, "d"), "d": END})
    with pytest.raises(ProgramError, match="a branch from node 'begin' leads back to it"):
        branches(**split, edges={"b": Choice("k", {1: "end"}, "begin"), "end": "d", "d": END})


def test_a_map_is_checked_too() -> None:
    with pytest.raises(ProgramError, match="has 2 inputs: say which one gets the item"):
        Map(lambda x, y: x, over="xs", into="ys")
    with pytest.raises(ProgramError, match="takes no 'z'"):
        Map(lambda x: x, over="xs", into="ys", item="z")
    with pytest.raises(ProgramError, match="concurrency of 0"):
        Map(lambda x: x, over="xs", into="ys", concurrency=0)
    with pytest.raises(GraphStuck, match="needs a list there and found a int"):
        Map(lambda x: x, over="xs", into="ys")(xs=3)


def test_inputs_are_those_that_nobody_before_writes() -> None:
    graph = Graph(
        nodes={
            "draft": dspy.Predict("question -> answer"),
            "judge": dspy.Predict("question, answer, rule -> verdict"),
        },
        edges={"draft": "judge", "judge": Choice("verdict", {"good": END}, "draft")},
        start="draft",
    )
    assert graph.inputs == ("question", "rule")
    assert graph.writes == ("answer", "verdict")


def test_a_parameter_by_position_only_cannot_be_given() -> None:
    with pytest.raises(ProgramError, match="takes 'x' by position only"):
        Graph({"a": lambda x, /: x}, {"a": END}, "a")


class Last(dspy.Module):
    """A module that takes one input, and no other."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("message -> claim")

    def forward(self, message: str) -> Any:
        return self.ask(message=message)


def test_what_stands_around_a_program_is_given_what_the_program_reads() -> None:
    fine = Constraint("claim", bool, says="name a claim")
    graph = Graph(
        {"size": lambda message: {"size": len(message)}, "read": Redacted(Last()),
         "again": Guard(dspy.Predict("message -> claim"), after=[fine])},
        {"size": "read", "read": "again", "again": END}, "size",
    )  # fmt: skip
    assert graph.inputs == ("message",)
    assert graph.plan["again"].writes == ("claim", "guard")
    with dspy.context(lm=scripted_lm([{"claim": "C-1"}, {"claim": "C-2"}])):
        found = graph(message="Hello.")
    assert (found.claim, found.size, found.guard.outcome) == ("C-2", 6, "passed")


def test_a_value_that_is_no_case_tells_where_it_was_looked_at() -> None:
    graph = Graph({"a": lambda: {"k": 3}}, {"a": Choice("k", {1: END})}, "a")
    with pytest.raises(GraphStuck, match="after node 'a', 'k' is 3, which is none of 1"):
        graph()


def test_a_paused_run_as_text_is_told_to_be_read_first() -> None:
    graph = Graph({"a": lambda: None}, {"a": END}, "a")
    with pytest.raises(ProgramError, match=r"not a str: .*json\.loads"):
        graph.resume("{}")  # type: ignore[arg-type]
