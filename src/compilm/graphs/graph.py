"""A state graph that is a `dspy.Module`: optimizers find, copy and save every predictor in it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dspy

from ..clock import SYSTEM_CLOCK, Clock
from ..confidence import Accept
from ..errors import ProgramError
from ..programs.copying import copied
from ..programs.veils import VAULT
from .caches import NodeCache
from .checks import meant, missing_inputs, planned
from .edges import Choice, Edge
from .maps import Map
from .merging import Rule
from .nodes import Node, Policy, Step, as_module, policy_of
from .outline import Outline, Way, outline_of, way_of
from .pauses import Pause, Paused, answers_of, paused_of
from .perform import adrive, drive
from .plan import Spot
from .progress import Done, Event, Place, Progress
from .records import Kept
from .streaming import astreamed, streamed
from .values import from_plain
from .walk import Walk, walk
from .wants import Wants

__all__ = ["Graph"]

_SHARED = frozenset({"policies", "edges", "merge", "plan", "clock", "wants"})  # never changed


class Graph(dspy.Module):
    """A program that is drawn: steps, and where a run goes after each of them.

    A run has a state, a mapping. A node is given the keys that it reads, by name, and what it
    returns is written into the state; the last state is the prediction.

    Args:
        nodes: by name a `dspy.Module`, a function, or `Node(step, ...)` with a policy.
        edges: by node the next one, `END`, a `Choice`, or several names: branches that run side
            by side and join at the first node that all their ways lead to.
        start: the node that runs first.
        inputs: the keys that a call gives; without it, those that nodes read and none before
            writes.
        outputs: the keys of the prediction, `None` where a run did not write one; without it,
            all that were written.
        max_steps: a run that would take more is an error.
        merge: for a key that several branches write, how its values become one: `first`, `last`,
            `list`, `join`, `sum`, `min`, `max`, `all`, `any`, or a function of their list.
        clock: where timeouts, waits and events get their time from.

    Raises:
        ProgramError: the graph is not well formed; says where and how to mend it.

    >>> from compilm.testing.engines import scripted_lm
    >>> from compilm.graphs import END, Choice
    >>> graph = Graph(
    ...     nodes={
    ...         "draft": dspy.Predict("question -> answer"),
    ...         "check": lambda answer: {"is_short": len(answer) < 20},
    ...     },
    ...     edges={"draft": "check", "check": Choice("is_short", {True: END, False: "draft"})},
    ...     start="draft",
    ... )
    >>> graph.inputs
    ('question',)
    >>> with dspy.context(lm=scripted_lm([{"answer": "Four, as far as I know."}, {"answer": "4"}])):
    ...     graph(question="2+2?").answer
    '4'
    """

    def __init__(
        self,
        nodes: Mapping[str, Step | Node],
        edges: Mapping[str, Edge],
        start: str,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        *,
        max_steps: int = 25,
        merge: Mapping[str, Rule] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__()
        parted = {name: _parted(name, node) for name, node in nodes.items()}
        self.nodes: dict[str, dspy.Module] = {name: step for name, (step, _) in parted.items()}
        self.policies: dict[str, Policy] = {name: policy for name, (_, policy) in parted.items()}
        self.accepts: dict[str, Accept] = {  # here, where optimizers find what a judge holds
            name: policy.accept for name, policy in self.policies.items() if policy.accept
        }
        self.edges: dict[str, Edge] = {name: _edge(name, edge) for name, edge in edges.items()}
        self.start, self.max_steps, self.clock = start, max_steps, clock
        self.merge: dict[str, Rule] = dict(merge or {})
        self.plan: dict[str, Spot] = planned(
            self.nodes, self.policies, self.edges, start, self.merge
        )
        self.caches: dict[str, NodeCache] = {
            name: NodeCache(policy.cache)
            for name, policy in self.policies.items()
            if policy.cache is not None
        }
        given = None if inputs is None else tuple(inputs)
        needed = missing_inputs(self.plan, self.edges, start, given)
        self.inputs: tuple[str, ...] = needed if given is None else given
        self.outputs: tuple[str, ...] | None = None if outputs is None else tuple(outputs)
        optional = tuple(key for key in self.inputs if key not in needed)
        self.wants = Wants(needed, optional, anything=given is None)
        self._check_outputs()

    @property
    def optional_inputs(self) -> tuple[str, ...]:
        """The inputs that a call may leave out."""
        return self.wants.optional

    @property
    def writes(self) -> tuple[str, ...] | None:
        """The keys of its prediction, or `None` where they are not known before a run."""
        if self.outputs is not None:
            return self.outputs
        found = [spot.writes for spot in self.plan.values()]
        if None in found:
            return None
        return tuple(dict.fromkeys(key for writes in found for key in writes or ()))

    def forward(self, **inputs: Any) -> dspy.Prediction | Paused:
        """The prediction, or `Paused` where a node asks a person."""
        return self.run(inputs, Progress())

    async def aforward(self, **inputs: Any) -> dspy.Prediction | Paused:
        """As `forward`, in a task."""
        return await self.arun(inputs, Progress())

    def resume(self, paused: Paused | Mapping[str, Any], **answer: Any) -> Any:
        """Go on with a paused run: its node is run again with the answer as further arguments.

        `paused` is what the graph gave, or its JSON form; any process that has the graph can go
        on. Gives a prediction, or `Paused` again.

        >>> from compilm.graphs import END, Pause
        >>> def approve(draft, approved=None):
        ...     if approved is None:
        ...         raise Pause("May this be sent?", draft=draft)
        ...     return {"sent": approved}
        >>> graph = Graph({"approve": approve}, {"approve": END}, "approve")
        >>> paused = graph(draft="Hello.")
        >>> paused.question, paused.node
        ('May this be sent?', 'approve')
        >>> graph.resume(paused.to_json(), approved=True).sent
        True
        """
        inputs, progress = _resumed(self, paused, answer)
        return self.run(inputs, progress)

    async def aresume(self, paused: Paused | Mapping[str, Any], **answer: Any) -> Any:
        """As `resume`, in a task."""
        inputs, progress = _resumed(self, paused, answer)
        return await self.arun(inputs, progress)

    def stream(self, paused: Paused | None = None, /, **inputs: Any) -> Iterator[Event]:
        """The events of a run as they happen; the last one's `outcome` is the result.

        With `paused`, of the run that goes on, and `inputs` are the answer. Closing the iterator
        ends the run at its next event.

        >>> from compilm.graphs import END
        >>> graph = Graph({"add": lambda a: {"b": a + 1}}, {"add": END}, "add")
        >>> [(event.kind, event.node) for event in graph.stream(a=1)]
        [('started', 'add'), ('finished', 'add'), ('ended', '')]
        """
        return streamed(self, *_begun(self, paused, inputs))

    def astream(self, paused: Paused | None = None, /, **inputs: Any) -> AsyncIterator[Event]:
        """As `stream`, in a task; closing the iterator cancels the run."""
        return astreamed(self, *_begun(self, paused, inputs))

    def run(self, inputs: Mapping[str, Any], progress: Progress) -> dspy.Prediction | Paused:
        """A call whose finished steps are kept in `progress`, and found there."""
        try:
            walked = drive(_way(self, inputs, Place("", "", progress)))
        except Pause as pause:
            return self._stopped(pause, inputs, progress)
        return dspy.Prediction(**_outputs(self, walked.written))

    async def arun(self, inputs: Mapping[str, Any], progress: Progress) -> dspy.Prediction | Paused:
        """As `run`, in a task."""
        try:
            walked = await adrive(_way(self, inputs, Place("", "", progress)))
        except Pause as pause:
            return self._stopped(pause, inputs, progress)
        return dspy.Prediction(**_outputs(self, walked.written))

    def within(self, inputs: Mapping[str, Any], name: str, place: Place) -> Mapping[str, Any]:
        """As a node `name` of another graph: a pause is one of that graph."""
        return _outputs(self, drive(_way(self, inputs, place.inner(name))).written)

    async def awithin(
        self, inputs: Mapping[str, Any], name: str, place: Place
    ) -> Mapping[str, Any]:
        """As `within`, in a task."""
        return _outputs(self, (await adrive(_way(self, inputs, place.inner(name)))).written)

    def outline(self) -> Outline:
        """Its boxes and arrows, to be drawn: `outline().mermaid()` is the text of a flowchart."""
        return outline_of(self)

    def way(self, run: Kept | Paused | Iterable[Event]) -> Way:
        """The way that a run took, from `Runs.look`, `Paused`, or the events of a stream."""
        return way_of(self, run)

    def wanted(self, node: str) -> Wants:
        """What the node at this path reads (`desk.approve`), and so what it takes as an answer."""
        name, _, rest = node.partition(".")
        step = self.nodes.get(name)
        inner = step.step if isinstance(step, Map) else step
        if step is None or (rest and not isinstance(inner, Graph)):
            raise ProgramError(
                f"there is no node {node!r} in this graph: a run that waits there was begun with "
                "another one; go on with that one"
            )
        if isinstance(inner, Graph) and rest:
            return inner.wanted(rest)
        return step.inner if isinstance(step, Map) else self.plan[name].wants

    def deepcopy(self) -> Graph:
        """A deep copy; what has no copy (a connection, a lock) is shared with it."""
        try:
            return copy.deepcopy(self)
        except Exception:  # border: copying runs the code of every class that nodes hold
            found: Graph = copied(self)
            return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        new: Graph = self.__class__.__new__(self.__class__)
        memo[id(self)] = new
        for key, value in vars(self).items():
            if key in ("history", "callbacks"):
                new.__dict__[key] = []
            else:
                new.__dict__[key] = value if key in _SHARED else copy.deepcopy(value, memo)
        return new

    def _stopped(self, pause: Pause, inputs: Mapping[str, Any], progress: Progress) -> Paused:
        if dspy.settings.get(VAULT, None) is not None:
            raise ProgramError(
                f"node {pause.node!r} asks a person inside of a Redacted, which forgets what it "
                "has hidden when the call ends: put Redacted around the modules of nodes"
            )
        if progress.tell is not None:
            told = {"question": pause.question, **pause.details}
            progress.tell("paused", pause.node, pause.step, told)
        return paused_of(
            pause,
            inputs=inputs,
            done=progress.done,
            answers=progress.answers,
            run=progress.id,
            outputs=self.outputs or (),
        )

    def _check_outputs(self) -> None:
        known = [spot.writes for spot in self.plan.values()]
        if self.max_steps < 1:
            raise ProgramError(f"max_steps is {self.max_steps}: a run takes one step or more")
        if self.outputs is None or None in known:
            return
        written = {key for writes in known for key in writes or ()}
        for key in self.outputs:
            if key not in written:
                raise ProgramError(f"no node writes the output {key!r}{meant(key, written)}")


# A module's own way to its attributes costs half a microsecond each: what every call needs is read
# from `vars`.


def _way(graph: Graph, inputs: Mapping[str, Any], place: Place) -> Walk:
    """The whole way of a run with these inputs, if they are right."""
    held = vars(graph)
    wants: Wants = held["wants"]
    missing = [key for key in wants.required if key not in inputs]
    unknown = [] if wants.anything else [key for key in inputs if key not in wants.names]
    if missing or unknown:
        told = [f"{key!r} is missing" for key in missing]
        told += [f"{key!r} is unknown{meant(key, graph.inputs)}" for key in unknown]
        raise ProgramError(
            f"the graph cannot be called so: {', '.join(told)}; its inputs are "
            f"{', '.join(graph.inputs) or 'none'}"
        )
    return walk(graph, place, dict(inputs), at=held["start"])


def _outputs(graph: Graph, written: Mapping[str, Any]) -> Mapping[str, Any]:
    outputs: tuple[str, ...] | None = vars(graph)["outputs"]
    return written if outputs is None else {key: written.get(key) for key in outputs}


def _parted(name: str, node: Any) -> tuple[dspy.Module, Policy]:
    if isinstance(node, Node):
        return as_module(name, node.step), policy_of(node)
    return as_module(name, node), Policy()


def _edge(name: str, edge: Any) -> Edge:
    found = tuple(edge) if isinstance(edge, list) else edge
    if isinstance(found, str | Choice | tuple):
        return found
    raise ProgramError(
        f"the edge from node {name!r} is a {type(edge).__name__}: give a name, END, several names "
        "for branches, or Choice('key', {value: 'name'}), which goes by what a node wrote"
    )


def _begun(
    graph: Graph, paused: Paused | None, given: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Progress]:
    return (given, Progress()) if paused is None else _resumed(graph, paused, given)


def _resumed(
    graph: Graph, paused: Paused | Mapping[str, Any], answer: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Progress]:
    kept = paused if isinstance(paused, Paused) else Paused.from_json(paused)
    graph.wanted(kept.node)  # it may be gone
    done = {step: Done.from_json(body) for step, body in kept.done.items()}
    askers = {kept.step: kept.node}
    progress = Progress(run=kept.run, done=done, answers=answers_of(kept, answer), askers=askers)
    return from_plain(kept.inputs), progress
