"""An agent as a graph: choose, use tools, choose again, answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dspy

from ..tools import McpServer, Tool
from ..tools.box import ToolBox
from .acting import Choosing, Using
from .edges import END, Choice
from .graph import Graph
from .nodes import Node

__all__ = ["agent"]


def agent(
    signature: str | type[dspy.Signature],
    tools: Iterable[Tool | McpServer | Callable[..., Any]],
    *,
    max_turns: int = 8,
    effect: bool | None = None,
) -> Graph:
    """A graph that calls tools until it can answer, for at most `max_turns` turns.

    The calls of one turn are made at the same time; what goes wrong with one is told to the
    model. Two predictors can be compiled: `choose` and `answer`. `effect` says whether the tools
    change the world, which a durable run must know (`Node`); without it, they do unless every one
    is a tool that is declared idempotent.

    >>> from compilm.testing.engines import scripted_lm
    >>> def half(number: float) -> float:
    ...     "Half of a number."
    ...     return number / 2
    >>> halving = agent("question -> answer", [half])
    >>> calls = '[{"name": "half", "args": {"number": 9}}]'
    >>> script = [
    ...     {"thought": "I need half of 9.", "calls": calls},
    ...     {"thought": "It is 4.5.", "calls": "[]"},
    ...     {"answer": "4.5"},
    ... ]
    >>> with dspy.context(lm=scripted_lm(script)):
    ...     halving(question="What is half of 9?").answer
    '4.5'
    """
    whole = dspy.ensure_signature(signature)
    box = ToolBox(tools)
    changes = not box.may_repeat if effect is None else effect
    return Graph(
        nodes={
            "choose": Choosing(whole, box, max_turns),
            "use": Node(Using(box), effect=changes),
            "answer": dspy.Predict(_answering(whole)),
        },
        edges={
            "choose": Choice("is_done", {True: "answer", False: "use"}),
            "use": "choose",
            "answer": END,
        },
        start="choose",
        inputs=tuple(whole.input_fields),
        outputs=tuple(whole.output_fields),
        max_steps=2 * max_turns + 2,
    )


def _answering(signature: type[dspy.Signature]) -> type[dspy.Signature]:
    """The signature with what was found as a further input."""
    told = dspy.InputField(desc="What was thought, called and found.", default=None)
    found: type[dspy.Signature] = signature.append("steps", told, type_=list[dict[str, Any]] | None)
    return found
