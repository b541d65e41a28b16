"""The journal: append-only records that everything else is derived from.

A record is `(kind, at, run, body)`; the journal knows nothing of kinds, they live beside their
writers. An append is kept before it returns: a process killed at any instant loses only what it
had not yet appended.
"""

from __future__ import annotations

from pathlib import Path

from .memory import MemoryJournal
from .postgres import PostgresJournal, is_postgres
from .record import Journal, Record, Watcher
from .sqlite import SqliteJournal

__all__ = [
    "Journal",
    "MemoryJournal",
    "PostgresJournal",
    "Record",
    "SqliteJournal",
    "Watcher",
    "open_journal",
]


def open_journal(path: str | Path | None) -> Journal:
    """The journal at `path`, made if it is not there; in memory for `None`.

    A `postgresql://` address is a journal that several machines share (extra `postgres`).

    >>> type(open_journal(None)).__name__
    'MemoryJournal'
    """
    if path is None:
        return MemoryJournal()
    if isinstance(path, str) and is_postgres(path):
        return PostgresJournal(path)
    return SqliteJournal(path)
