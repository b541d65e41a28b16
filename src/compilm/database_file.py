"""New SQLite files that appear whole, for their owner's eyes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

__all__ = ["make_database"]


def make_database(path: Path, script: str = "") -> None:
    """Make an SQLite file (WAL) with what `script` makes in it; one that is there stays as it is.

    It is made beside `path` and linked into place: of threads and processes that begin at once,
    none meets half a file, and none opens `path` but SQLite itself. To close any descriptor of a
    file lets go of all locks that the process has on it (POSIX), SQLite's too, and that tears
    databases (sqlite.org/howtocorrupt.html, 2.2). Raises `OSError` or `sqlite3.Error`.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "new", "notes.db")
    ...     make_database(path, "CREATE TABLE notes (text TEXT)")
    ...     oct(path.stat().st_mode & 0o777), [file.name for file in path.parent.iterdir()]
    ('0o600', ['notes.db'])
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=".new-", suffix=".db")  # mode 0600
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(made, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(script)
        os.link(made, path)
    except FileExistsError:
        pass  # another made it meanwhile
    finally:
        os.unlink(made)
