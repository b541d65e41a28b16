"""A graph's shape, checked once: what every node reads and writes, and where branches join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .edges import END, Choice, Edge, targets
from .nodes import Policy
from .wants import Wants

__all__ = ["Spot", "before", "choice_fields", "join_of", "next_of", "reachable"]


class Spot(NamedTuple):
    """One node in a plan: what it wants and writes, its policy, where it leads.

    `join` is where the branches of an edge to several nodes meet again; `function` is the node's
    function, if it is one: a module is looked up in the graph, where optimizers exchange it.
    """

    wants: Wants
    writes: tuple[str, ...] | None
    policy: Policy
    edge: Edge
    join: str = END
    only: tuple[str, ...] | None = None  # the keys that may be written, where the policy says so
    is_plain: bool = True  # nothing in the policy has to be done
    is_simple: bool = False  # and it is a function that need not be awaited
    is_strict: bool = False  # it reads what it requires, and nothing else
    function: Any = None  # a callable or None
    is_async: bool = False


def next_of(edges: Mapping[str, Edge], policies: Mapping[str, Policy], name: str) -> list[str]:
    """Every node that may follow `name`, its fallback included."""
    fallback = policies[name].fallback
    return [*targets(edges[name]), *([] if fallback is None else [fallback])]


def reachable(
    after: Mapping[str, Iterable[str]], starts: Iterable[str], stop: str = ""
) -> set[str]:
    """Every node that can come from `starts` on, they included, without passing `stop` or END.

    >>> sorted(reachable({"a": ["b"], "b": ["c"], "c": [END]}, ["a"], stop="c"))
    ['a', 'b']
    """
    found: set[str] = set()
    todo = [*starts]
    while todo:
        name = todo.pop()
        if name in found or name in (END, stop):
            continue
        found.add(name)
        todo += after[name]
    return found


def before(after: Mapping[str, Iterable[str]], start: str) -> dict[str, set[str]]:
    """The nodes that may run before each node is reached for the first time.

    >>> before({"a": ["b"], "b": ["a", END]}, "a")
    {'a': set(), 'b': {'a'}}
    """
    below = {name: reachable(after, after[name]) for name in after}
    return {
        name: {each for each in reachable(after, [start], stop=name) if name in below[each]}
        for name in after
    }


def join_of(after: Mapping[str, Iterable[str]], heads: Iterable[str]) -> str:
    """The first node that every way from every head passes, or END.

    >>> join_of({"a": ["c"], "b": ["c"], "c": [END]}, ["a", "b"])
    'c'
    """
    heads = [*heads]
    shared = [name for name in _in_order(after, heads) if _passes_all(after, heads, name)]
    for name in shared:
        # The nearest: nothing else that all ways pass lies on the way to it.
        before = reachable(after, heads, stop=name)
        if not any(other in before for other in shared if other != name):
            return name
    return END


def _passes_all(after: Mapping[str, Iterable[str]], heads: list[str], name: str) -> bool:
    """Whether every way from every head to the END passes `name`, and every head has one."""
    for head in heads:
        if head == name:
            continue
        region = reachable(after, [head], stop=name)
        leaves = {target for each in region for target in after[each]}
        if head == END or END in leaves or name not in leaves:
            return False
    return True


def _in_order(after: Mapping[str, Iterable[str]], heads: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    todo = [*heads]
    while todo:
        name = todo.pop(0)
        if name in seen or name == END:
            continue
        seen.add(name)
        yield name
        todo += after[name]


def choice_fields(edges: Mapping[str, Edge]) -> dict[str, str]:
    """The field that each choice looks at, by its node."""
    return {name: edge.field for name, edge in edges.items() if isinstance(edge, Choice)}
