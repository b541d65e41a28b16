"""The journal: append-only records that everything else is derived from.

A record is `(kind, at, run, body)`; the journal knows nothing of kinds, they live beside their
writers. An append is in the file before it returns: a process killed at any instant loses only
what it had not yet appended.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from .errors import JournalError

__all__ = ["Journal", "MemoryJournal", "Record", "SqliteJournal", "Watcher", "open_journal"]

_log = logging.getLogger(__name__)
_FORMAT = 1
_INSERT = "INSERT INTO records (kind, at, run, body) VALUES (?, ?, ?, ?)"
_FORGET = (
    "DELETE FROM records WHERE kind = ? AND seq <= "
    "(SELECT seq FROM records WHERE kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened: its kind, when (seconds since 1970 UTC), in which run, and what.

    `seq` is its place in the journal, given on append; it grows, gaps may occur.
    """

    kind: str
    at: float
    run: str
    body: dict[str, Any]
    seq: int = 0


Watcher = Callable[[Record], None]


class Journal(Protocol):
    """Where records go and come from, safe to use from many threads."""

    def append(self, record: Record) -> Record:
        """The record as kept, with its `seq`; on disk (where there is one) when this returns."""
        ...

    def extend(self, records: Sequence[Record]) -> None:
        """All of these, or none, in one go; for what need not be there at once.

        A body may hold what orjson takes: `orjson.Fragment` for what is JSON already, and numbers
        that are not finite become null. Watchers are not told.
        """
        ...

    def read(
        self,
        run: str | None = None,
        *,
        kinds: Collection[str] = (),
        after: int = 0,
        last: int | None = None,
    ) -> Iterator[Record]:
        """Records in order: of one run or all, of some kinds or all, with `seq` above `after`.

        With `last`, only the last so many of them.
        """
        ...

    def forget(self, kind: str, *, keep: int) -> None:
        """Let all records of this kind go but the last `keep`: for traces, never for a run."""
        ...

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` after every append; what this returns ends it."""
        ...

    def claim(self, run: str) -> Callable[[], None]:
        """Keep every other process out of `run` until the returned function is called."""
        ...

    def close(self) -> None:
        """Release the file. Appending afterwards is a `JournalError`."""
        ...


class _Watched:
    """The part every journal shares: watchers, told after the append and never able to fail it."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _tell(self, record: Record) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher(record)
            except Exception:  # border: a display or tracker must never fail the run
                _log.warning("a watcher of the journal failed and goes on", exc_info=True)


class MemoryJournal(_Watched):
    """A journal that lives as long as the process.

    >>> journal = MemoryJournal()
    >>> journal.append(Record("note", 0.0, "r1", {"text": "hello"})).seq
    1
    >>> [record.body for record in journal.read("r1")]
    [{'text': 'hello'}]
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: list[Record] = []
        self._seq = 0
        self._lock = threading.Lock()  # protects both

    def append(self, record: Record) -> Record:
        body = json.loads(_dump(record))
        with self._lock:
            kept = self._added(record, body)
        self._tell(kept)
        return kept

    def extend(self, records: Sequence[Record]) -> None:
        bodies = [json.loads(_dumped(record)) for record in records]
        with self._lock:
            for record, body in zip(records, bodies, strict=True):
                self._added(record, body)

    def _added(self, record: Record, body: dict[str, Any]) -> Record:
        self._seq += 1
        kept = replace(record, body=body, seq=self._seq)
        self._records.append(kept)
        return kept

    def read(
        self,
        run: str | None = None,
        *,
        kinds: Collection[str] = (),
        after: int = 0,
        last: int | None = None,
    ) -> Iterator[Record]:
        with self._lock:
            records = self._records[:]
        found = (
            record
            for record in records
            if record.seq > after
            and (run is None or record.run == run)
            and (not kinds or record.kind in kinds)
        )
        yield from found if last is None else deque(found, maxlen=last)

    def forget(self, kind: str, *, keep: int) -> None:
        with self._lock:
            those = [record.seq for record in self._records if record.kind == kind]
            gone = set(those[: max(len(those) - keep, 0)])
            self._records = [record for record in self._records if record.seq not in gone]

    def claim(self, run: str) -> Callable[[], None]:  # noqa: ARG002 - nobody else can see it
        return lambda: None

    def close(self) -> None:
        """Nothing to release."""


class SqliteJournal(_Watched):
    """A journal in one SQLite file (WAL), shared by the processes of one machine.

    An append is committed before it returns and survives the death of the process. It is not
    synced to the platter one by one: a power cut may take the last records, never tear the file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._lock = threading.Lock()  # protects the connection
        self._db = self._open()
        self._release = weakref.finalize(self, self._db.close)

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=30.0
            )
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"cannot open the journal {str(self.path)!r}: {error}") from error
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            self._check_format(db)
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
        row = (record.kind, record.at, record.run, _dump(record))
        with self._writes():
            seq = self._db.execute(_INSERT, row).lastrowid
        kept = replace(record, seq=seq or 0)
        self._tell(kept)
        return kept

    def extend(self, records: Sequence[Record]) -> None:
        rows = [(one.kind, one.at, one.run, _dumped(one)) for one in records]
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
        lock = self.path.with_name(f"{self.path.name}.{run}.lock")
        return _lock_file(lock, run)

    def close(self) -> None:
        with self._lock:
            self._release()


def open_journal(path: str | Path | None) -> Journal:
    """The journal at `path`, made if it is not there; in memory for `None`.

    >>> type(open_journal(None)).__name__
    'MemoryJournal'
    """
    return MemoryJournal() if path is None else SqliteJournal(path)


def _dump(record: Record) -> str:
    try:
        return json.dumps(record.body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise JournalError(f"a {record.kind!r} record is not plain JSON: {error}") from error


def _dumped(record: Record) -> str:
    """As `_dump`, at a tenth of its cost."""
    import orjson

    plain = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    try:
        return orjson.dumps(record.body, option=plain).decode()
    except TypeError as error:
        raise JournalError(f"a {record.kind!r} record is not plain JSON: {error}") from error


def _lock_file(lock: Path, run: str) -> Callable[[], None]:
    """Hold an advisory lock that the system drops when the process dies, however it dies."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows: no second process is kept out there
        return lambda: None
    handle = lock.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise JournalError(
            f"run {run!r} is being worked on by another process; wait for it, or stop it first"
        ) from error

    def release() -> None:
        # Unlinked while still held, so that no other process can lock the old file.
        lock.unlink(missing_ok=True)
        handle.close()

    return release
