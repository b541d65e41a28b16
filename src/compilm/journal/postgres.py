"""A journal in Postgres, for runs and threads that several machines share."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ..errors import JournalError, MissingExtra
from .record import Record, Watched, dump, dumped, is_claimed

__all__ = ["PostgresJournal", "connected", "is_postgres"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS compilm_records (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL, run TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS compilm_records_by_run ON compilm_records (run, seq);
CREATE INDEX IF NOT EXISTS compilm_records_by_kind ON compilm_records (kind, seq);
"""
_ALONE = 0x636D706C  # of processes that make the tables at once, one does
_INSERT = "INSERT INTO compilm_records (kind, at, run, body) VALUES (%s, %s, %s, %s)"
_FORGET = (
    "DELETE FROM compilm_records WHERE kind = %s AND seq <= "
    "(SELECT seq FROM compilm_records WHERE kind = %s ORDER BY seq DESC LIMIT 1 OFFSET %s)"
)
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('compilm:' || %s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('compilm:' || %s, 0))"


def is_postgres(address: str) -> bool:
    """Whether this is the address of a Postgres database.

    >>> is_postgres("postgresql://db/claims"), is_postgres("runs.db")
    (True, False)
    """
    return urlsplit(address).scheme in ("postgres", "postgresql")


def connected(psycopg: Any, url: str) -> Any:
    """A connection; an address that cannot be read is an error that does not show it.

    libpq quotes the part that it does not understand, and that may be the password.
    """
    try:
        return psycopg.connect(url, autocommit=True)
    except psycopg.ProgrammingError:
        raise JournalError(
            "the address of the database cannot be read: expected postgresql://USER@HOST/NAME, "
            "with special characters of a password as %XX"
        ) from None


class PostgresJournal(Watched):
    """A journal in the table `compilm_records` of a Postgres database; one connection.

    An append is committed before it returns. A claim is an advisory lock, which the server drops
    when the process or its connection dies. After a broken connection the call that met it is a
    `JournalError` (whether it was kept is not known), and the next one connects anew; a run that
    was claimed and that another process took meanwhile is an error then.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        try:
            import psycopg
        except ImportError as error:
            purpose = "keep a journal in Postgres"
            raise MissingExtra("psycopg", extra="postgres", purpose=purpose) from error
        self._psycopg, self._url = psycopg, url
        self._lock = threading.RLock()  # protects the connection and the claims
        self._claims: set[str] = set()
        self._is_closed = False
        self._db: Any = None
        with self._work("open"):
            pass

    def append(self, record: Record) -> Record:
        row = (record.kind, record.at, record.run, dump(record))
        with self._work("write to") as db:
            (seq,) = db.execute(f"{_INSERT} RETURNING seq", row).fetchone()
        kept = replace(record, seq=seq)
        self._tell(kept)
        return kept

    def extend(self, records: Sequence[Record]) -> None:
        rows = [(one.kind, one.at, one.run, dumped(one)) for one in records]
        with self._work("write to") as db, db.transaction(), db.cursor() as cursor:
            cursor.executemany(_INSERT, rows)

    def read(
        self,
        run: str | None = None,
        *,
        kinds: Collection[str] = (),
        after: int = 0,
        last: int | None = None,
    ) -> Iterator[Record]:
        clauses, values = ["seq > %s"], [after]
        if run is not None:
            clauses.append("run = %s")
            values.append(run)  # type: ignore[arg-type]  # psycopg takes both
        if kinds:
            clauses.append("kind = ANY(%s)")
            values.append([*kinds])  # type: ignore[arg-type]  # and lists
        query = (
            f"SELECT seq, kind, at, run, body FROM compilm_records WHERE {' AND '.join(clauses)}"
        )
        query += " ORDER BY seq" if last is None else f" ORDER BY seq DESC LIMIT {int(last)}"
        with self._work("read") as db:
            rows = db.execute(query, values).fetchall()
        if last is not None:
            rows.reverse()
        for seq, kind, at, of_run, body in rows:
            yield Record(kind, at, of_run, json.loads(body), seq)

    def forget(self, kind: str, *, keep: int) -> None:
        with self._work("write to") as db:
            db.execute(_FORGET, (kind, kind, keep))

    def claim(self, run: str) -> Callable[[], None]:
        with self._work("claim a run in") as db:
            if run in self._claims or not db.execute(_LOCK, (run,)).fetchone()[0]:
                raise is_claimed(run)
            self._claims.add(run)
        return lambda: self._release(run)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._db is not None:
                self._db.close()

    def _release(self, run: str) -> None:
        with self._lock:
            self._claims.discard(run)
            if self._is_closed or self._db is None or self._db.closed:
                return  # the server dropped it with the connection
        with self._work("release a run in") as db:
            db.execute(_UNLOCK, (run,))

    @contextmanager
    def _work(self, doing: str) -> Iterator[Any]:
        with self._lock:
            try:
                if self._is_closed:
                    raise JournalError(f"cannot {doing} the journal: it is closed")
                if self._db is None or self._db.closed:
                    self._db = self._connected()
                yield self._db
            except self._psycopg.Error as error:
                raise JournalError(f"cannot {doing} the journal in Postgres: {error}") from error

    def _connected(self) -> Any:
        db = connected(self._psycopg, self._url)
        weakref.finalize(self, db.close)
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_ALONE,))
            db.execute(_SCHEMA)
        for run in self._claims:
            if not db.execute(_LOCK, (run,)).fetchone()[0]:
                db.close()
                raise JournalError(f"run {run!r} was taken by another process meanwhile")
        return db
