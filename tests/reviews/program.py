"""A graph that drafts an answer and asks a person before it is sent."""

from __future__ import annotations

from typing import Any

import dspy

from compilm.graphs import END, Graph
from compilm.reviews import asking


def approve(answer: str, approved: bool | None = None) -> dict[str, Any]:
    """Send only what a person has seen."""
    if approved is None:
        raise asking("May this be sent?", fields=["approved"], reason="it is a letter",
                     draft={"answer": answer})  # fmt: skip
    return {"sent": approved}


def letters() -> Graph:
    """The graph; a factory, as `program =` of a configuration names it."""
    nodes = {"draft": dspy.Predict("message -> answer"), "approve": approve}
    return Graph(nodes, {"draft": "approve", "approve": END}, "draft", outputs=("answer", "sent"))
