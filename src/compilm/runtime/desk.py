"""A loaded graph that asks people: its runs are durable, its questions go into a queue."""

from __future__ import annotations

from ..errors import ProgramError
from ..graphs import Graph
from ..graphs.runs import Runs
from ..journal import Journal
from ..reviews import Desk, Reviews
from .load import Runtime

__all__ = ["desk_of"]


def desk_of(runtime: Runtime, name: str, journal: Journal, reviews: Reviews) -> Desk:
    """The desk of a loaded program, which runs under the runtime's models and settings.

    Raises `ProgramError` where the program is no graph: only a graph can wait and go on.

    >>> import dspy
    >>> from types import SimpleNamespace
    >>> from compilm.journal import MemoryJournal
    >>> plain = SimpleNamespace(program=dspy.Predict("question -> answer"))
    >>> desk_of(plain, "qa", MemoryJournal(), Reviews(":memory:"))
    Traceback (most recent call last):
    compilm.errors.ProgramError: Predict is no graph, and only a graph can wait for a person: ...
    """
    program = runtime.program
    if not isinstance(program, Graph):
        raise ProgramError(
            f"{type(program).__name__} is no graph, and only a graph can wait for a person: make "
            "it a node of a compilm.graphs.Graph, or leave runtime.reviews out"
        )
    return Desk(Runs(program, journal, name=name), reviews, around=lambda: runtime.calling({}))
