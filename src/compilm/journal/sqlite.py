"""A journal in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ..canonical import text_digest
from ..database_file import make_database, use_wal
from ..errors import JournalError
from .record import Record, Watched, dump, dumped, is_claimed

__all__ = ["SqliteJournal"]

_FORMAT = 1
_LONGEST = 255  # bytes of a file's name
_INSERT = "INSERT INTO records (kind, at, run, body) VALUES (?, ?, ?, ?)"
_FORGET = (
    "DELETE FROM records WHERE kind = ? AND seq <= "
    "(SELECT seq FROM records WHERE kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)"
)


class SqliteJournal(Watched):
    """A journal in one SQLite file (WAL), shared by the processes of one machine.

    Only its owner reads a new file. An append is committed before it returns and survives the
    death of the process. It is not synced to the platter one by one: a power cut may take the
    last records, never tear the file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._lock = threading.Lock()  # protects the connection
        self._db = self._open()
        self._release = weakref.finalize(self, self._db.close)

    def _open(self) -> sqlite3.Connection:
        try:
            make_database(self.path)
            db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=30.0
            )
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"cannot open the journal {str(self.path)!r}: {error}") from error
        try:
            db.execute("PRAGMA synchronous=NORMAL")
            self._check_format(db)
            use_wal(db)
        except sqlite3.Error as error:
            db.close()
            raise JournalError(
                f"{str(self.path)!r} is not a journal: {error}. Name another file."
            ) from error
        except JournalError:
            db.close()
            raise
        return db

    def _check_format(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            raise JournalError(
                f"{str(self.path)!r} was written by a later version (format {found}, this one "
                f"reads {_FORMAT}): upgrade compilm"
            )
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if found == 0 and tables - {"records"}:
            raise JournalError(
                f"{str(self.path)!r} is an SQLite file of something else (tables "
                f"{sorted(tables)}): name another file for the journal"
            )
        db.execute(
            "CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
            "at REAL NOT NULL, run TEXT NOT NULL, body TEXT NOT NULL)"
        )
        db.execute("CREATE INDEX IF NOT EXISTS records_by_run ON records (run, seq)")
        db.execute(f"PRAGMA user_version={_FORMAT}")

    def append(self, record: Record) -> Record:
        row = (record.kind, record.at, record.run, dump(record))
        with self._writes():
            seq = self._db.execute(_INSERT, row).lastrowid
        kept = replace(record, seq=seq or 0)
        self._tell(kept)
        return kept

    def extend(self, records: Sequence[Record]) -> None:
        rows = [(one.kind, one.at, one.run, dumped(one)) for one in records]
        with self._writes(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_INSERT, rows)

    @contextmanager
    def _writes(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise JournalError(
                f"cannot write to the journal {str(self.path)!r}: {error}"
            ) from error

    def forget(self, kind: str, *, keep: int) -> None:
        with self._writes():
            self._db.execute(_FORGET, (kind, kind, keep))

    def read(
        self,
        run: str | None = None,
        *,
        kinds: Collection[str] = (),
        after: int = 0,
        last: int | None = None,
    ) -> Iterator[Record]:
        clauses, values = ["seq > ?"], [after]
        if run is not None:
            clauses.append("run = ?")
            values.append(run)  # type: ignore[arg-type]  # sqlite takes both
        if kinds:
            clauses.append(f"kind IN ({','.join('?' * len(kinds))})")
            values.extend(kinds)  # type: ignore[arg-type]  # sqlite takes both
        query = "SELECT seq, kind, at, run, body FROM records WHERE " + " AND ".join(clauses)
        query += " ORDER BY seq" if last is None else f" ORDER BY seq DESC LIMIT {int(last)}"
        try:
            with self._lock:
                rows = self._db.execute(query, values).fetchall()
            if last is not None:
                rows.reverse()
            for seq, kind, at, of_run, body in rows:
                yield Record(kind, at, of_run, json.loads(body), seq)
        except (sqlite3.Error, ValueError) as error:
            raise JournalError(f"cannot read the journal {str(self.path)!r}: {error}") from error

    def claim(self, run: str) -> Callable[[], None]:
        return _lock_file(self.path.with_name(_lock_name(self.path.name, run)), run)

    def close(self) -> None:
        with self._lock:
            self._release()


def _lock_name(journal: str, run: str) -> str:
    """A name for the lock of a run that a file can have."""
    name = f"{journal}.{run}.lock"
    return name if len(os.fsencode(name)) <= _LONGEST else f"{journal}.{text_digest(run)[7:]}.lock"


def _lock_file(lock: Path, run: str) -> Callable[[], None]:
    """Hold an advisory lock that the system drops when the process dies, however it dies."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows: no second process is kept out there
        return lambda: None
    while True:
        try:
            handle = lock.open("a+")
        except OSError as error:
            raise JournalError(f"cannot claim run {run!r}: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise is_claimed(run) from error
        if _is_at(lock, handle):
            break
        handle.close()  # its holder unlinked it between our opening and our locking it

    def release() -> None:
        if not handle.closed:  # else the lock may be another's by now
            lock.unlink(missing_ok=True)
            handle.close()

    return release


def _is_at(path: Path, handle: IO[Any]) -> bool:
    """Whether the file that is open is still the one at the path, where others look."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
