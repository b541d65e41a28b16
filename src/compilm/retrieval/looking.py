"""A look-up as a part of a call: a span where the call is traced, a memory where it is replayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import canonical
from ..errors import CallFailed
from ..programs.veils import recording, replaying
from .passages import Passage, Retriever
from .where import Where

__all__ = ["alooked_up", "looked_up", "source"]


def looked_up(retriever: Retriever, query: str, k: int, where: Where) -> list[Passage]:
    """What the retriever finds; in a replay, what it found when that was recorded.

    >>> from compilm.retrieval import Bm25
    >>> looked_up(Bm25(), "appeals", 5, {})
    []
    """
    with _told(retriever, query, k, where) as span:
        if span.found is None:
            span.found = retriever.search(query, k, where)
        return span.found


async def alooked_up(retriever: Retriever, query: str, k: int, where: Where) -> list[Passage]:
    """As `looked_up`, in a task."""
    with _told(retriever, query, k, where) as span:
        if span.found is None:
            span.found = await retriever.asearch(query, k, where)
        return span.found


class _Found:
    found: list[Passage] | None = None


@contextmanager
def _told(retriever: Retriever, query: str, k: int, where: Where) -> Iterator[_Found]:
    one, name = _Found(), type(retriever).__name__
    given = {"query": query, "k": k, "where": dict(where)}
    if (replay := replaying()) is not None:
        one.found = _recorded(replay, name, given)
        yield one
        return
    trace = recording()
    span = None if trace is None else trace.retrieval(name, given)
    try:
        yield one
    except BaseException as error:  # border: whatever ends a look-up is told by its span; it passes
        if span is not None:
            span.gave(None, type(error).__name__)
        raise
    if span is not None:
        span.gave([source(each) for each in one.found or ()], None)


def _recorded(replay: Any, name: str, given: Mapping[str, Any]) -> list[Passage]:
    told, error = replay.tool(name, given)
    if error is not None:
        raise CallFailed(f"this look-up by {name} ended in {error!r}, or is not in the trace")
    return [Passage(**each) for each in told]


def source(passage: Passage) -> dict[str, Any]:
    """The passage as plain data.

    >>> source(Passage("a", "Appeals take 30 days."))["id"]
    'a'
    """
    return {
        "id": passage.id,
        "text": passage.text,
        "document": passage.document,
        "start": passage.start,
        "end": passage.end,
        "score": passage.score,
        "metadata": canonical.plain(dict(passage.metadata)),
    }
