"""A store in one SQLite file: shared by the processes of a machine, bounded by age and size."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ...clock import SYSTEM_CLOCK, Clock
from ...database_file import make_database, use_wal
from ...errors import ConfigError, UsageError

__all__ = ["SQLiteStore"]

_APPLICATION = 0x636D706C  # "cmpl": marks the file as ours
_FORMAT = 1
_PATIENCE = 1.0  # seconds for another process's write: who waits for a cache could ask instead
_SCHEMA = f"""
BEGIN;
CREATE TABLE answers (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, until REAL NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX answers_by_place ON answers (place);
CREATE INDEX answers_by_end ON answers (until);
CREATE TABLE held (bytes INTEGER NOT NULL);
INSERT INTO held VALUES (0);
CREATE TRIGGER answers_come AFTER INSERT ON answers BEGIN
    UPDATE held SET bytes = bytes + length(new.key) + length(new.value); END;
CREATE TRIGGER answers_go AFTER DELETE ON answers BEGIN
    UPDATE held SET bytes = bytes - length(old.key) - length(old.value); END;
PRAGMA application_id={_APPLICATION};
PRAGMA user_version={_FORMAT};
COMMIT;
"""
_NEXT = "SELECT coalesce(max(place), 0) + 1 FROM answers"
_OLDEST = "DELETE FROM answers WHERE place = (SELECT min(place) FROM answers)"


class SQLiteStore:
    """Values in a file (WAL) of at most `size` bytes of keys and values, none above `age` seconds.

    The oldest go first. Safe under threads and in several processes, forked ones too. The file is
    made at the first use, readable by its owner only: it holds answers in clear. A file that is
    no store is a `ConfigError`, and is left as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SQLiteStore(f"{folder}/cache.db")
    ...     store.put("a key", b"a value", ttl=60.0)
    ...     store.close()
    ...     SQLiteStore(f"{folder}/cache.db").get("a key")
    b'a value'
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: int = 256 * 2**20,
        age: float = 30 * 86_400.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if size < 1 or not age > 0:
            raise UsageError(
                f"a store of {size} bytes and {age:g} s keeps nothing: give more of both, or leave"
                " the cache out"
            )
        self.path, self._size, self._age, self._clock = Path(path), size, age, clock
        # A connection must not be used across a fork: each process opens its own.
        self._opened: dict[int, _File] = {}
        if self.path.exists():
            self._file()

    def get(self, key: str) -> bytes | None:
        """The value, or `None` where there is none or its time is over; no writer is waited for."""
        file = self._file()
        with file.reading:
            row = file.reader.execute(
                "SELECT value FROM answers WHERE key = ? AND until > ?", (key, self._clock.wall())
            ).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keep `value` for `ttl` seconds, at most for the store's age."""
        now = self._clock.wall()
        until = now + (self._age if ttl is None else min(ttl, self._age))
        with self._file().writes() as db:
            db.execute("DELETE FROM answers WHERE key = ? OR until <= ?", (key, now))
            if len(key) + len(value) <= self._size:
                (place,) = db.execute(_NEXT).fetchone()
                db.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (key, value, until, place))
            while db.execute("SELECT bytes FROM held").fetchone()[0] > self._size:
                db.execute(_OLDEST)

    async def aget(self, key: str) -> bytes | None:
        """As `get`, in the loop's own thread: it takes microseconds and waits for no lock."""
        return self.get(key)

    async def aput(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As `put`, in a thread of the store: another process may be writing."""
        import asyncio

        writing = self._file().writer_thread.submit(self.put, key, value, ttl)
        await asyncio.wrap_future(writing)

    @property
    def held(self) -> int:
        """Bytes of all keys and values."""
        file = self._file()
        with file.reading:
            return int(file.reader.execute("SELECT bytes FROM held").fetchone()[0])

    def __len__(self) -> int:
        file = self._file()
        with file.reading:
            return int(file.reader.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        file = self._opened.pop(os.getpid(), None)
        if file is not None:
            file.close()

    async def aclose(self) -> None:
        """Nothing belongs to a loop; `close` closes the file."""

    def _file(self) -> _File:
        found = self._opened.get(os.getpid())
        if found is None:  # of two threads that open it at once, one is heard
            found = self._opened.setdefault(os.getpid(), _File(self.path))
        return found


class _File:
    """The connections of one process: one that reads, one that writes, and a thread for tasks."""

    def __init__(self, path: Path) -> None:
        self.reading, self.writing = threading.Lock(), threading.Lock()  # one for each connection
        self.writer = _opened(path)
        try:
            self.reader = _connected(path)
        except BaseException:  # border: half an opening is none; it passes
            self.writer.close()
            raise
        self.writer_thread = ThreadPoolExecutor(1, thread_name_prefix="compilm-cache")
        parts = (self.reader, self.writer, self.writer_thread)
        self._end = weakref.finalize(self, _end, os.getpid(), *parts)

    @contextmanager
    def writes(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is in the file, or nothing."""
        with self.writing:
            self.writer.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:  # border: half a write is none; it passes
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self.writer_thread.shutdown(wait=True)
        with self.reading, self.writing:
            self._end()


def _end(
    owner: int, reader: sqlite3.Connection, writer: sqlite3.Connection, thread: ThreadPoolExecutor
) -> None:
    if os.getpid() == owner:  # a forked child leaves its parent's connections alone
        thread.shutdown(wait=False)
        reader.close()
        writer.close()


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to the store at `path`, which is made if it is not there."""
    try:
        make_database(path, _SCHEMA)
        db = _connected(path)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"cannot open the cache {str(path)!r}: {error}; name another") from error
    try:
        _check(db, path)
        use_wal(db)
        db.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.OperationalError:  # locked, or the disk is full: it is no other file for that
        db.close()
        raise
    except sqlite3.Error as error:
        db.close()
        told = f"{str(path)!r} is not a cache: {error}; delete it, or name another file"
        raise ConfigError(told) from error
    except ConfigError:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours: nothing is written to it."""
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if mark != _APPLICATION:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        raise ConfigError(
            f"{str(path)!r} is an SQLite file of something else (tables {sorted(names)}): name"
            " another file for the cache"
        )
    if version > _FORMAT:
        raise ConfigError(
            f"{str(path)!r} was written by a later version (format {version}, this one reads"
            f" {_FORMAT}): upgrade compilm, or name another file"
        )
