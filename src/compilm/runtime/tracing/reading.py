"""Traces as a journal holds them: the last ones, and one by how its id starts."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import UsageError
from ...journal import Journal, Record
from .span import KIND, Trace

__all__ = ["find_trace", "last_traces"]

_NEAR = 1000  # traces looked at first: what is looked for is mostly new


def last_traces(journal: Journal, count: int, *, after: int = 0) -> Iterator[Trace]:
    """The last `count` traces with a `seq` above `after`, oldest first.

    >>> from compilm.journal import MemoryJournal
    >>> list(last_traces(MemoryJournal(), 20))
    []
    """
    for record in journal.read(kinds=[KIND], last=count, after=after):
        yield Trace.of(record)


def find_trace(journal: Journal, start: str) -> Trace:
    """The one trace whose id starts with `start`, or the `last`.

    Raises `UsageError` where there is none, or several.

    >>> from compilm.journal import MemoryJournal
    >>> find_trace(MemoryJournal(), "3f2a")
    Traceback (most recent call last):
    compilm.errors.UsageError: there is no trace '3f2a'; known: none
    """
    run, last = (None, 1) if start == "last" else (start, None)
    for record in journal.read(run, kinds=[KIND], last=last):
        return Trace.of(record)
    known, found = list[Record](), list[Record]()
    for count in (_NEAR, None):
        known = list(journal.read(kinds=[KIND], last=count))
        found = [record for record in known if record.run.startswith(start)]
        if len(found) == 1:
            return Trace.of(found[0])
        if found or len(known) < _NEAR:
            break
    ids = ", ".join(record.run[:12] for record in (found or known)[-5:]) or "none"
    said = "several traces start with" if found else "there is no trace"
    raise UsageError(f"{said} {start!r}; known: {ids}")
