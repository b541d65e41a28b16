"""New SQLite files that appear whole, for their owner's eyes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

__all__ = ["make_database", "use_wal"]

_LEFT_OVER = ("-wal", "-shm", "-journal")


def make_database(path: Path, script: str = "") -> None:
    """Make an SQLite file (WAL) with what `script` makes in it; one that is there stays as it is.

    It is made beside `path` and moved into place: of threads and processes that begin at once,
    none meets half a file, and none opens `path` but SQLite itself. To close any descriptor of a
    file lets go of all locks that the process has on it (POSIX), SQLite's too, and that tears
    databases (sqlite.org/howtocorrupt.html, 2.2). What a database that was deleted has left beside
    it is deleted too, not read into the new one (1.4 there). An empty file keeps its owner and
    mode. Raises `OSError` or `sqlite3.Error`.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "new", "notes.db")
    ...     make_database(path, "CREATE TABLE notes (text TEXT)")
    ...     oct(path.stat().st_mode & 0o777), [file.name for file in path.parent.iterdir()]
    ('0o600', ['notes.db'])
    """
    if str(path) == ":memory:":
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is_made(path):
        return
    with _alone_in(path.parent):
        if _is_made(path):
            return
        if path.exists():
            _fill(path, script)
        else:
            _place(path, script)


def use_wal(db: sqlite3.Connection) -> None:
    """Set a database to WAL that is not, as a backup may be, unless another uses it just now.

    >>> use_wal(sqlite3.connect(":memory:"))
    """
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        with suppress(sqlite3.OperationalError):  # who opens it next tries again
            db.execute("PRAGMA journal_mode=WAL")


def _is_made(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _place(path: Path, script: str) -> None:
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=".new-", suffix=".db")  # mode 0600
    os.close(descriptor)
    try:
        _fill(Path(made), script)
        for suffix in _LEFT_OVER:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        os.replace(made, path)
    except BaseException:  # border: half a file is none; it passes
        os.unlink(made)
        raise


def _fill(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(script)  # at once, where it is one transaction
        use_wal(db)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Whoever else makes a file there waits, in this process and in others."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows, where nobody replaces a file that is open
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # a forked child may hold the descriptor
        os.close(handle)
