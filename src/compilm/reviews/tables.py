"""Where reviews are kept: an SQLite file, or Postgres; each statement is atomic by itself."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..database_file import make_database, use_wal
from ..errors import JournalError, MissingExtra
from ..journal.postgres import connected

__all__ = ["PostgresTable", "SqliteTable", "Table", "open_table"]

_CREATE = """CREATE TABLE IF NOT EXISTS compilm_reviews (
    id text PRIMARY KEY, question text NOT NULL, reason text NOT NULL, program text NOT NULL,
    run text NOT NULL, node text NOT NULL, fields text NOT NULL, draft text NOT NULL,
    details text NOT NULL, inputs text NOT NULL, asked_at double precision NOT NULL,
    expires_at double precision, fallback text, status text NOT NULL, claimed_by text,
    claimed_until double precision, answer text, answered_by text,
    answered_at double precision, resumed_at double precision)"""
_INDEX = "CREATE INDEX IF NOT EXISTS compilm_reviews_open ON compilm_reviews (status, asked_at)"


class Table(Protocol):
    """A database that runs one statement at a time; `lock` is added to a choice of the next row."""

    lock: str

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows that a statement gives, `?` standing for values; it is committed."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class SqliteTable:
    """Reviews in one SQLite file (WAL), shared by the processes of one machine.

    >>> SqliteTable(":memory:").run("SELECT 1 AS one")
    [{'one': 1}]
    """

    lock = ""

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()  # protects the connection
        self._path = str(path)
        try:
            make_database(Path(path))
            self._db = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=30.0
            )
            self._db.row_factory = sqlite3.Row
            for statement in (_CREATE, _INDEX):
                self._db.execute(statement)
            use_wal(self._db)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(
                f"cannot keep reviews in {self._path!r}: {error}; name another file"
            ) from error

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        try:
            with self._lock:
                return [dict(row) for row in self._db.execute(statement, values).fetchall()]
        except sqlite3.Error as error:
            raise JournalError(f"reviews in {self._path!r}: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()


class PostgresTable:
    """Reviews in Postgres, shared by machines; a connection that broke is made anew once."""

    lock = " FOR UPDATE SKIP LOCKED"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("psycopg", extra="postgres", purpose="keep reviews there") from error
        self._psycopg = psycopg
        self._url = url
        self._lock = threading.Lock()  # protects the connection
        self._db: Any = None
        with self._lock:
            self._retried("SELECT pg_advisory_lock(7260411)", ())  # two at once may both create
            try:
                for statement in (_CREATE, _INDEX):
                    self._retried(statement, ())
            finally:
                self._retried("SELECT pg_advisory_unlock(7260411)", ())

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._lock:
            return self._retried(statement.replace("?", "%s"), values)

    def _retried(self, statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """What the statement gives; sent again once, where the connection was lost."""
        for attempt in (1, 2):
            try:
                return self._sent(statement, values)
            except self._psycopg.OperationalError as error:
                self._db = None
                if attempt == 2:
                    raise JournalError(
                        f"the database of reviews does not answer: {error}"
                    ) from error
            except self._psycopg.Error as error:
                raise JournalError(f"the database of reviews refuses: {error}") from error
        raise AssertionError("two attempts return or raise")

    def _sent(self, statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        if self._db is None:
            self._db = connected(self._psycopg, self._url)
        cursor = self._db.execute(statement, tuple(values))
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None


def open_table(place: str | Path) -> Table:
    """The table at a path, or at an address that begins with `postgresql://`.

    >>> type(open_table(":memory:")).__name__
    'SqliteTable'
    """
    text = str(place)
    if text.startswith(("postgresql://", "postgres://")):
        return PostgresTable(text)
    return SqliteTable(text.removeprefix("sqlite:///"))
