"""A graph as what is drawn of it: boxes, arrows, and the way that one run took."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import dspy

from .edges import END, Choice, Edge, targets
from .maps import Map
from .nodes import Function, Policy
from .pauses import Paused
from .perform import Nested
from .plan import next_of
from .progress import Done, Event
from .records import Kept

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Arrow", "Box", "Outline", "Way", "outline_of", "way_of"]

Kind = Literal["model", "function", "graph", "map", "end"]

# A step of the graph itself: a number, behind the branches it is in. Steps of inner graphs have
# a number and a point before theirs.
_OWN = re.compile(r"((?:\d+:[\w -]+\.)*)(\d+)")


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its name, what stands there, and whether it changes the world."""

    name: str
    kind: Kind
    effect: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge to one target; `label` is the case that leads there, a fallback is no usual way."""

    source: str
    target: str
    label: str = ""
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """What there is to draw, in the graph's own order."""

    start: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def mermaid(self, way: Way | None = None) -> str:
        """The text of a Mermaid flowchart; what a run passed is thicker.

        >>> from compilm.graphs import Graph
        >>> print(Graph({"a": lambda: {}}, {"a": END}, "a").outline().mermaid())
        flowchart TD
          n0["a"]
          n1((end))
          n0 --> n1
        """
        ids = {box.name: f"n{number}" for number, box in enumerate(self.boxes)}
        lines = [f"  {ids[box.name]}{_shape(box)}" for box in self.boxes]
        passed = set() if way is None else way.arrows
        marked = []
        for number, arrow in enumerate(self.arrows):
            label = f"|{_quoted(arrow.label)}|" if arrow.label else ""
            link = "-.->" if arrow.fallback else "-->"
            lines.append(f"  {ids[arrow.source]} {link}{label} {ids[arrow.target]}")
            if (arrow.source, arrow.target) in passed:
                marked.append(str(number))
        if way is not None:
            lines += [f"  style {ids[name]} stroke-width:3px" for name in way.nodes if name in ids]
        if marked:
            lines.append(f"  linkStyle {','.join(marked)} stroke-width:3px")
        return "\n".join(["flowchart TD", *lines])


@dataclass(frozen=True, slots=True)
class Way:
    """The nodes a run passed, in their order, the arrows it took, and where it failed or waits."""

    nodes: tuple[str, ...]
    arrows: frozenset[tuple[str, str]]
    failed: frozenset[str] = frozenset()
    waits: str = ""


def outline_of(graph: Graph) -> Outline:
    """The boxes and arrows of a graph; an inner graph is one box."""
    policies, nodes = graph.policies, graph.nodes
    boxes = [Box(name, _kind(step), policies[name].effect) for name, step in nodes.items()]
    arrows = [arrow for name in nodes for arrow in _arrows(name, graph.edges[name], policies[name])]
    end = [Box(END, "end")] if any(arrow.target == END for arrow in arrows) else []
    return Outline(graph.start, (*boxes, *end), tuple(arrows))


def way_of(graph: Graph, run: Kept | Paused | Iterable[Event]) -> Way:
    """The way of a run, by what `Runs.look` gives, by a pause, or by the events of a stream."""
    steps, waits, has_ended = _steps(run)
    chains = _chains(steps)
    arrows = set(_taken(graph, chains, ends=END if has_ended else ""))
    waits = waits.partition(".")[0]
    for last in (chain[-1][1] for chain in chains.values()):
        if waits in next_of(graph.edges, graph.policies, last.node):
            arrows.add((last.node, waits))
    nodes = dict.fromkeys(done.node for chain in chains.values() for _, done in chain)
    failed = {done.node for chain in chains.values() for _, done in chain if done.failed}
    return Way(tuple(nodes), frozenset(arrows), frozenset(failed), waits)


Chains = Mapping[str, Sequence[tuple[int, Done]]]


def _steps(run: Kept | Paused | Iterable[Event]) -> tuple[dict[str, Done], str, bool]:
    """Finished steps, the node that waits, and whether the run came to an end."""
    if isinstance(run, Kept):
        waits = str(run.question.get("node", ""))
        return dict(run.done), waits, run.status == "finished"
    if isinstance(run, Paused):
        return {step: Done.from_json(one) for step, one in run.done.items()}, run.node, False
    events = list(run)
    steps = {
        event.step: Done(event.node, {}, event.kind == "failed")
        for event in events
        if event.kind in ("finished", "failed")
    }
    waits = next((event.node for event in events if event.kind == "paused"), "")
    return steps, waits, not waits and any(event.kind == "ended" for event in events)


def _chains(steps: Mapping[str, Done]) -> dict[str, list[tuple[int, Done]]]:
    """The graph's own steps in their order, by the branch they are in."""
    chains: dict[str, list[tuple[int, Done]]] = {}
    for step, done in steps.items():
        if own := _OWN.fullmatch(step):
            chains.setdefault(own[1], []).append((int(own[2]), done))
    return {prefix: sorted(chain, key=lambda one: one[0]) for prefix, chain in chains.items()}


def _taken(graph: Graph, chains: Chains, *, ends: str) -> Iterator[tuple[str, str]]:
    for prefix, chain in chains.items():
        for place, (number, done) in enumerate(chain):
            after = chain[place + 1][1].node if place + 1 < len(chain) else ""
            edge = graph.edges[done.node]
            if isinstance(edge, tuple) and not done.failed:
                for head in edge:
                    yield done.node, head
                    inner = chains.get(f"{prefix}{number + 1}:{head}.")
                    if inner and after and not isinstance(graph.edges[inner[-1][1].node], tuple):
                        yield inner[-1][1].node, after
                if ends and not after:
                    yield from _last(graph, chains, f"{prefix}{number + 1}:", edge, ends)
            elif after:
                yield done.node, after
            elif not prefix and ends:
                yield done.node, ends


def _last(
    graph: Graph, chains: Chains, prefix: str, heads: Sequence[str], ends: str
) -> Iterator[tuple[str, str]]:
    """From the last node of every branch that ends the run."""
    for head in heads:
        chain = chains.get(f"{prefix}{head}.")
        if chain and not isinstance(graph.edges[chain[-1][1].node], tuple):
            yield chain[-1][1].node, ends


def _kind(step: dspy.Module) -> Kind:
    if isinstance(step, Map):
        return "map"
    if isinstance(step, Nested):
        return "graph"
    return "function" if isinstance(step, Function) else "model"


def _arrows(name: str, edge: Edge, policy: Policy) -> Iterator[Arrow]:
    if isinstance(edge, Choice):
        for value, target in edge.cases.items():
            yield Arrow(name, target, f"{edge.field} = {value}")
        if edge.otherwise is not None:
            yield Arrow(name, edge.otherwise, "otherwise")
    else:
        for target in targets(edge):
            yield Arrow(name, target)
    if policy.fallback is not None:
        yield Arrow(name, policy.fallback, "fails", fallback=True)


def _shape(box: Box) -> str:
    if box.kind == "end":
        return "((end))"
    words = _quoted(box.name)
    marks = {"model": "()", "function": "[]", "graph": "[[]]", "map": "[//]"}[box.kind]
    half = len(marks) // 2
    return f"{marks[:half]}{words}{marks[half:]}"


def _quoted(words: str) -> str:
    return '"' + words.replace('"', "'") + '"'
