"""What is drawn of a graph is what it is, and the way of a run is the way it took."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import dspy
import pytest

from compilm.graphs import END, Choice, Graph, Map, Node, Pause, Runs
from compilm.journal import MemoryJournal
from compilm.views.graphs import graph_drawing


def fail() -> None:
    raise ConnectionError("down")


def approve(ok: bool | None = None) -> dict[str, Any]:
    if ok is None:
        raise Pause("ok?")
    return {"ok": ok}


def desk() -> Graph:
    def writes(key: str) -> Node:
        return Node(lambda: {key: 1}, writes=(key,))

    return Graph(
        nodes={
            "kind": lambda kind: {"kind": kind},
            "a": writes("a"),
            "b": Node(Graph({"in": dict}, {"in": END}, "in"), writes=()),
            "look": Node(fail, fallback="ask", effect=True),
            "each": Map(lambda item: item, over="items", into="each"),
            "reply": dspy.Predict("a -> answer"),
            "ask": approve,
        },
        edges={
            "kind": Choice("kind", {"x": "each", "y": "look"}, "reply"),
            "each": ("a", "b"),
            "a": "ask",
            "b": "ask",
            "look": "reply",
            "reply": END,
            "ask": Choice("ok", {True: END, False: "kind"}),
        },
        start="kind",
        inputs=["kind", "items"],
    )


def test_mermaid_names_every_box_and_arrow() -> None:
    assert desk().outline().mermaid().splitlines() == [
        "flowchart TD",
        '  n0["kind"]',
        '  n1["a"]',
        '  n2[["b"]]',
        '  n3["look"]',
        '  n4[/"each"/]',
        '  n5("reply")',
        '  n6["ask"]',
        "  n7((end))",
        '  n0 -->|"kind = x"| n4',
        '  n0 -->|"kind = y"| n3',
        '  n0 -->|"otherwise"| n5',
        "  n1 --> n6",
        "  n2 --> n6",
        "  n3 --> n5",
        '  n3 -.->|"fails"| n6',
        "  n4 --> n1",
        "  n4 --> n2",
        "  n5 --> n7",
        '  n6 -->|"ok = True"| n7',
        '  n6 -->|"ok = False"| n0',
    ]


def test_the_way_of_a_run_is_the_same_from_events_records_and_a_pause() -> None:
    graph, runs = desk(), Runs(desk(), MemoryJournal())
    paused = runs.start("r", kind="x", items=[1])
    expected = {("kind", "each"), ("each", "a"), ("each", "b"), ("a", "ask"), ("b", "ask")}
    way = graph.way(paused)
    assert (way.nodes, way.waits) == (("kind", "each", "a", "b"), "ask")
    assert way.arrows == expected
    runs.resume("r", ok=True)
    whole = graph.way(runs.look("r"))
    assert whole.arrows == {*expected, ("ask", END)}
    events = graph.way(graph.stream(kind="x", items=[1]))
    assert (events.arrows, events.waits) == (way.arrows, "ask")


def test_a_failure_is_on_the_way_to_its_fallback() -> None:
    graph = desk()
    way = graph.way(graph.stream(graph(kind="y", items=[]), ok=True))
    assert way.nodes == ("ask",)  # of a run that goes on, a stream tells what is new
    way = graph.way(graph(kind="y", items=[]))
    assert (way.failed, way.waits) == ({"look"}, "ask")


def test_branches_that_end_the_run_lead_to_the_end() -> None:
    def nothing() -> None: ...

    node = Node(nothing, writes=())
    graph = Graph({"s": nothing, "a": node, "b": node}, {"s": ("a", "b"), "a": END, "b": END}, "s")
    way = graph.way(graph.stream())
    assert way.arrows == {("s", "a"), ("s", "b"), ("a", END), ("b", END)}
    marked = graph.outline().mermaid(way)
    assert "linkStyle 0,1,2,3 stroke-width:3px" in marked
    assert "style n1 stroke-width:3px" in marked


@pytest.mark.parametrize("with_way", [False, True])
def test_the_drawing_is_sound_xml_with_every_name_inside_the_frame(with_way: bool) -> None:
    graph = desk()
    way = graph.way(graph(kind="x", items=[1])) if with_way else None
    svg = graph_drawing(graph.outline(), way)
    root = ElementTree.fromstring(svg)
    names = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {*graph.nodes, "otherwise", "fails", "ok = False"} <= names
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    boxes = [each.attrib for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(boxes) == len(graph.nodes) + 2  # a graph and a map have double frames
    for box in boxes:
        assert 0 <= float(box["x"]) <= width - float(box["width"])
        assert 0 <= float(box["y"]) <= height - float(box["height"])
    assert ("var(--cm-best" in svg, "var(--cm-warn" in svg) == (with_way, with_way)
    assert svg == graph_drawing(graph.outline(), way)
