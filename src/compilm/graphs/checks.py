"""What is checked when a graph is made, so that a run does not find it out halfway."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import combinations

import dspy

from ..errors import ProgramError
from .edges import END, Edge, targets
from .merging import Rule, check_rule
from .nodes import Function, Policy
from .plan import Spot, before, choice_fields, join_of, next_of, reachable
from .wants import FAILURE, wants_of, writes_of

__all__ = ["meant", "missing_inputs", "planned"]

_NAME = re.compile(r"\w[\w -]*")


def planned(
    nodes: Mapping[str, dspy.Module],
    policies: Mapping[str, Policy],
    edges: Mapping[str, Edge],
    start: str,
    merge: Mapping[str, Rule],
) -> dict[str, Spot]:
    """The plan of a well-formed graph; what is wrong is an error that says how to mend it."""
    _check_names(nodes)
    _check_targets(nodes, policies, edges, start)
    after = {name: next_of(edges, policies, name) for name in nodes}
    if lost := [name for name in nodes if name not in reachable(after, [start])]:
        raise ProgramError(
            f"node {lost[0]!r} can never run: nothing leads there from the start {start!r}"
        )
    for key, rule in merge.items():
        check_rule(key, rule)
    spots = {name: _spot(name, nodes[name], policies[name], edges[name], after) for name in nodes}
    for name, edge in edges.items():
        if isinstance(edge, tuple):
            _check_branches(name, edge, spots, after, merge)
    if stuck := [name for name in nodes if END not in _all_after(after, name)]:
        raise ProgramError(
            f"a run that comes to node {stuck[0]!r} never ends: no way leads from there to END"
        )
    return spots


def missing_inputs(
    spots: Mapping[str, Spot],
    edges: Mapping[str, Edge],
    start: str,
    given: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """The keys that are read and that no node before may write: the graph's inputs.

    With `given` inputs, one that is not among them is a `ProgramError`.
    """
    policies = {name: spot.policy for name, spot in spots.items()}
    earlier = before({name: next_of(edges, policies, name) for name in spots}, start)
    looked_at = choice_fields(edges)
    found: dict[str, None] = {}
    for name, spot in spots.items():
        needed = [(key, earlier[name], "reads") for key in spot.wants.required if key != FAILURE]
        if name in looked_at:
            needed.append((looked_at[name], earlier[name] | {name}, "is left by a choice of"))
        for key, sources, how in needed:
            written = [spots[each].writes for each in sources]
            if None in written or any(key in each for each in written if each is not None):
                continue
            if given is not None and key not in given:
                _raise_unproduced(name, key, how, spots, given)
            found[key] = None
    return tuple(found)


def meant(name: str, known: Iterable[str]) -> str:
    """A guess at what a wrong name should have been.

    >>> meant("anser", ["answer"])
    " (is 'answer' meant?)"
    """
    close = get_close_matches(name, list(known), n=1)
    return f" (is {close[0]!r} meant?)" if close else ""


def _all_after(after: Mapping[str, list[str]], name: str) -> set[str]:
    return {target for each in reachable(after, [name]) for target in after[each]}


def _raise_unproduced(
    name: str, key: str, how: str, spots: Mapping[str, Spot], given: tuple[str, ...]
) -> None:
    known = [*given, *(each for spot in spots.values() for each in spot.writes or ())]
    raise ProgramError(
        f"node {name!r} {how} {key!r}{meant(key, known)}, which is no input of the graph and which "
        f"no node before writes: add it to inputs=, or write it in a node before"
    )


def _check_names(nodes: Mapping[str, dspy.Module]) -> None:
    if not nodes:
        raise ProgramError("a graph needs a node: nodes={'answer': dspy.Predict(...)}")
    for name in nodes:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == END:
            raise ProgramError(
                f"a node cannot be called {name!r}: use letters, digits, '_', '-' and spaces, as "
                "the name is part of paths"
            )


def _check_targets(
    nodes: Mapping[str, dspy.Module],
    policies: Mapping[str, Policy],
    edges: Mapping[str, Edge],
    start: str,
) -> None:
    if start not in nodes:
        raise ProgramError(f"the start {start!r}{meant(start, nodes)} is no node")
    if missing := [name for name in nodes if name not in edges]:
        raise ProgramError(
            f"no edge leaves node {missing[0]!r}: write edges={{{missing[0]!r}: END}} to end there"
        )
    if extra := [name for name in edges if name not in nodes]:
        raise ProgramError(f"an edge leaves {extra[0]!r}{meant(extra[0], nodes)}, which is no node")
    for name in nodes:
        if not targets(edges[name]):
            raise ProgramError(f"the edge from node {name!r} leads nowhere: name a node, or END")
        for target in next_of(edges, policies, name):
            if target not in nodes and target != END:
                raise ProgramError(
                    f"the edge from node {name!r} leads to {target!r}{meant(target, nodes)}, "
                    "which is no node"
                )
        if policies[name].fallback in (name, END):
            raise ProgramError(f"the fallback of node {name!r} must be another node")
        if policies[name].accept is not None and policies[name].fallback is None:
            raise ProgramError(
                f"node {name!r} has accept and no fallback: name the node that goes on with what "
                "is not accepted"
            )


def _spot(
    name: str, step: dspy.Module, policy: Policy, edge: Edge, after: Mapping[str, list[str]]
) -> Spot:
    wants = wants_of(name, step)
    if policy.retries < 0 or (policy.timeout is not None and not policy.timeout > 0):
        raise ProgramError(f"node {name!r}: retries are 0 or more, and a timeout is above 0 s")
    if policy.effect and policy.retries and not wants.key:
        raise ProgramError(
            f"node {name!r} has an effect and may not be tried again as it is: declare the "
            "argument idempotency_key and hand it on, or leave out retries"
        )
    if policy.effect and policy.cache is not None:
        raise ProgramError(f"node {name!r} has an effect: what it did cannot come from a cache")
    writes = policy.writes if policy.writes is not None else writes_of(step)
    join = join_of(after, edge) if isinstance(edge, tuple) else END
    bounds = (policy.timeout, policy.cache, policy.accept)
    plain = bounds == (None, None, None) and not (policy.retries or policy.effect)
    function = step.function if isinstance(step, Function) else None
    is_async = inspect.iscoroutinefunction(function)
    is_simple = plain and function is not None and not is_async
    return Spot(
        wants,
        writes,
        policy,
        edge,
        join,
        only=policy.writes,
        is_plain=plain,
        is_simple=is_simple,
        is_strict=not (wants.optional or wants.anything or wants.key),
        function=function,
        is_async=is_async,
    )


def _check_branches(
    name: str,
    heads: tuple[str, ...],
    spots: Mapping[str, Spot],
    after: Mapping[str, list[str]],
    merge: Mapping[str, Rule],
) -> None:
    if len(set(heads)) < 2 or len(set(heads)) < len(heads):
        raise ProgramError(f"the edge from node {name!r} must name two different nodes or more")
    join = spots[name].join
    regions = {head: reachable(after, [head], stop=join) for head in heads}
    if name in set().union(*regions.values()):
        raise ProgramError(f"a branch from node {name!r} leads back to it: join the branches first")
    for one, other in combinations(heads, 2):
        if both := sorted(regions[one] & regions[other]):
            raise ProgramError(
                f"the branches {one!r} and {other!r} from node {name!r} share node {both[0]!r}, "
                f"but not every way of both leads there: let all ways of a branch lead to the node "
                "where they join, or to END"
            )
    _check_writers(name, regions, spots, merge)


def _check_writers(
    name: str,
    regions: Mapping[str, set[str]],
    spots: Mapping[str, Spot],
    merge: Mapping[str, Rule],
) -> None:
    writers: dict[str, dict[str, str]] = {}
    for head, region in regions.items():
        for node in sorted(region):
            writes = spots[node].writes
            if writes is None:
                raise ProgramError(
                    f"node {node!r} runs beside others (from {name!r}) and does not tell what it "
                    f"writes: Node(step, writes=('key', ...))"
                )
            for key in writes:
                writers.setdefault(key, {})[head] = node
    for key, nodes in writers.items():
        if len(nodes) > 1 and key not in merge:
            raise ProgramError(
                f"nodes {' and '.join(map(repr, nodes.values()))} run side by side and both write "
                f"{key!r}: give a rule, merge={{{key!r}: 'list'}}, or keep it out of one of them, "
                "Node(step, writes=(...))"
            )
