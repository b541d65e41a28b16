"""Vectors that were paid for, kept on disk: SQLite, shared by threads and processes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..canonical import text_digest
from ..database_file import make_database, use_wal

__all__ = ["VectorCache"]

_MOST = 500  # variables of one statement
_TABLE = "create table if not exists vectors (key text primary key, vector blob) without rowid"


class VectorCache:
    """Vectors by text and by the name of their embedder, in the file at `path`.

    It holds digests of the texts, not the texts; numbers as float32. Nothing is ever dropped:
    delete the file to begin anew.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = VectorCache(f"{folder}/vectors.db")
    ...     cache.put("model", {"a text": [0.5, 1.0]})
    ...     found = cache.get("model", ["a text", "another"])
    ...     cache.close()
    >>> list(found), found["a text"].tolist()
    (['a text'], [0.5, 1.0])
    """

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()  # protects the connection
        make_database(Path(path))
        self._database = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
        use_wal(self._database)
        self._database.execute("pragma synchronous = normal")
        self._database.execute(_TABLE)

    def get(self, name: str, texts: Sequence[str]) -> dict[str, Any]:
        """The vectors of those texts that have one."""
        import numpy as np

        keys = {_key(name, text): text for text in texts}
        wanted = list(keys)
        found: dict[str, Any] = {}
        for start in range(0, len(wanted), _MOST):
            part = wanted[start : start + _MOST]
            marks = ",".join("?" * len(part))
            with self._lock:
                rows = self._database.execute(
                    f"select key, vector from vectors where key in ({marks})", part
                ).fetchall()
            found |= {keys[key]: np.frombuffer(data, dtype="<f4") for key, data in rows}
        return found

    def put(self, name: str, vectors: Mapping[str, Any]) -> None:
        """Keep these vectors, by text."""
        import numpy as np

        rows = [
            (_key(name, text), np.asarray(vector, dtype="<f4").tobytes())
            for text, vector in vectors.items()
        ]
        with self._lock, self._database:
            self._database.executemany("insert or replace into vectors values (?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def _key(name: str, text: str) -> str:
    return text_digest(f"{name}\0{text}")
