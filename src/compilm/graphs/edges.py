"""Where a run goes after a node: to a name, to one of several by a value, or to several at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import GraphStuck

__all__ = ["END", "Choice", "Edge", "targets"]

END = "__end__"
"""The target of an edge that ends the run."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Go to `cases[state[field]]`: a branch that is data, so it can be drawn and checked.

    A value that is no case goes to `otherwise`; without one it is an error.

    >>> edge = Choice("verdict", {"good": END, "redo": "draft"})
    >>> edge.target({"verdict": "redo"})
    'draft'
    >>> edge.target({"verdict": "hm"})
    Traceback (most recent call last):
    compilm.errors.GraphStuck: 'verdict' is 'hm', which is none of 'good', 'redo': ...
    """

    field: str
    cases: Mapping[Any, str]
    otherwise: str | None = None

    def target(self, state: Mapping[str, Any], node: str = "") -> str:
        """The node that this state leads to; an error tells the `node` that chooses."""
        value = state.get(self.field)
        found = self.cases.get(value) if isinstance(value, Hashable) else None
        found = found or self.otherwise
        if found is None:
            after = f"after node {node!r}, " if node else ""
            raise GraphStuck(
                f"{after}{self.field!r} is {value!r}, which is none of "
                f"{', '.join(map(repr, self.cases))}: give the choice an otherwise="
            )
        return found


Edge: TypeAlias = str | Choice | tuple[str, ...]


def targets(edge: Edge) -> tuple[str, ...]:
    """Every node an edge may lead to, in its own order.

    >>> targets(Choice("kind", {"a": "x", "b": "x"}, END))
    ('x', '__end__')
    """
    if isinstance(edge, str):
        return (edge,)
    if isinstance(edge, Choice):
        last = () if edge.otherwise is None else (edge.otherwise,)
        return tuple(dict.fromkeys([*edge.cases.values(), *last]))
    return tuple(dict.fromkeys(edge))
