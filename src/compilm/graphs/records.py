"""What a durable run leaves in the journal, and the run as far as its records tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ProgramError
from ..journal import Record
from .progress import Done
from .values import from_plain

__all__ = ["KINDS", "Kept", "Status", "checked_id", "read_back"]

KINDS = (
    "graph.started",  # graph, inputs
    "graph.begun",  # step, node, is_safe: an effect is about to happen
    "graph.step",  # step, done: what a finished step wrote
    "graph.paused",  # step, node, question, details, state
    "graph.answered",  # step, node, answer
    "graph.failed",  # error, message: an attempt at the run ended so; it can be taken up again
    "graph.finished",  # outputs
)

Status = Literal["new", "unfinished", "paused", "failed", "finished"]

_ID = re.compile(r"[\w.@:+-]+")


@dataclass(slots=True)
class Kept:
    """A run as its records tell it.

    `begun` are effects that began and of which no end is kept; `askers` the nodes whose questions
    were answered, by step; `asked` counts the questions.
    """

    run: str
    graph: str = ""
    status: Status = "new"
    inputs: Mapping[str, Any] = field(default_factory=dict)
    done: dict[str, Done] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    askers: dict[str, str] = field(default_factory=dict)
    begun: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    question: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failure: Mapping[str, Any] = field(default_factory=dict)
    asked: int = 0


def checked_id(run: str, most: int = 200) -> str:
    """The id, if it can be one: it names a lock file too.

    >>> checked_id("claim-17.2")
    'claim-17.2'
    """
    if not isinstance(run, str) or len(run) > most or not _ID.fullmatch(run):
        raise ProgramError(
            f"{run!r} cannot be an id: use up to {most} letters, digits and any of . _ - : @ +"
        )
    return run


def read_back(run: str, records: Iterable[Record]) -> Kept:
    """The run that these records are of.

    >>> read_back("r", [Record("graph.started", 0.0, "r", {"graph": "g", "inputs": {}})]).status
    'unfinished'
    """
    kept = Kept(run)
    for record in records:
        _take(kept, record.kind, record.body)
    return kept


def _take(kept: Kept, kind: str, body: Mapping[str, Any]) -> None:
    if kind == "graph.started":
        kept.graph, kept.inputs = body["graph"], body["inputs"]
    elif kind == "graph.begun":
        kept.begun[body["step"]] = body
    elif kind == "graph.step":
        kept.done[body["step"]] = Done.from_json(body["done"])
        kept.begun.pop(body["step"], None)
    elif kind == "graph.answered":
        earlier = kept.answers.get(body["step"], {})
        kept.answers[body["step"]] = {**earlier, **from_plain(body["answer"])}
        kept.askers |= {body["step"]: body["node"]} if "node" in body else {}
        if body.get("repeat"):  # a person said that the effect did not happen
            kept.begun.pop(body["step"], None)
    kept.asked += kind == "graph.paused"
    kept.question = body if kind == "graph.paused" else {}
    kept.failure = body if kind == "graph.failed" else {}
    kept.outputs = from_plain(body["outputs"]) if kind == "graph.finished" else {}
    ends: dict[str, Status] = {
        "graph.paused": "paused",
        "graph.failed": "failed",
        "graph.finished": "finished",
    }
    kept.status = ends.get(kind, "unfinished")
