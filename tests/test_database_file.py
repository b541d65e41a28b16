"""New SQLite files: whole from their first instant, whoever looks."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from compilm.database_file import make_database
from compilm.journal import Record, SqliteJournal
from compilm.runtime.caches.sqlite import SQLiteStore

SCRIPT = "BEGIN; CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('first'); COMMIT;"


def at_once(number: int, work: Callable[[int], None]) -> None:
    """Run `work` in so many threads that begin together; the first error is raised."""
    together = threading.Barrier(number)

    def one(at: int) -> None:
        together.wait()
        work(at)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(one, range(number)))


def notes(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT text FROM notes")]


@pytest.mark.parametrize("round", range(10))
def test_threads_that_make_one_file_at_once_all_meet_it_whole(tmp_path: Path, round: int) -> None:
    path, met = tmp_path / "deep" / "notes.db", []

    def work(at: int) -> None:
        make_database(path, SCRIPT)
        met.append(notes(path))

    at_once(8, work)
    assert met == [["first"]] * 8
    notes(path)  # two who leave at one time leave SQLite's own files; who leaves alone, none
    assert [file.name for file in path.parent.iterdir()] == ["notes.db"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("round", range(10))
def test_threads_that_open_a_new_cache_at_once_keep_every_value(tmp_path: Path, round: int) -> None:
    path = tmp_path / "cache.db"

    def work(at: int) -> None:
        with closing(SQLiteStore(path)) as store:
            store.put(f"key {at}", b"value")

    at_once(6, work)
    with closing(SQLiteStore(path)) as store:
        assert len(store) == 6


def test_threads_that_open_a_new_journal_at_once_keep_every_record(tmp_path: Path) -> None:
    path = tmp_path / "run.db"

    def work(at: int) -> None:
        with closing(SqliteJournal(path)) as journal:
            journal.append(Record("note", float(at), "run", {}))

    at_once(6, work)
    with closing(SqliteJournal(path)) as journal:
        assert sorted(record.at for record in journal.read()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"of somebody else")
    make_database(path, SCRIPT)
    assert path.read_bytes() == b"of somebody else"


def test_a_script_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        make_database(tmp_path / "notes.db", "CREATE NONSENSE")
    assert list(tmp_path.iterdir()) == []


def mode_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        found: str = db.execute("PRAGMA journal_mode").fetchone()[0]
        return found


WRITER = """
import os, sys
from compilm.journal import Record, SqliteJournal
journal = SqliteJournal(sys.argv[1])
journal.append(Record("note", 1.0, "run", {}))
os._exit(9)
"""


def test_what_a_deleted_database_left_is_not_read_into_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0
    path.unlink()
    with closing(SqliteJournal(path)) as journal:
        assert list(journal.read()) == []


def test_a_link_to_a_file_that_is_to_be_made_is_followed(tmp_path: Path) -> None:
    link, path = tmp_path / "link.db", tmp_path / "data" / "notes.db"
    link.symlink_to(path)
    make_database(link, SCRIPT)
    assert link.is_symlink()
    assert notes(path) == ["first"]


def test_an_empty_file_is_filled_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.touch(mode=0o640)
    same = path.stat().st_ino
    make_database(path, SCRIPT)
    assert (path.stat().st_ino, mode_of(path), notes(path)) == (same, "wal", ["first"])


def test_a_backup_that_is_not_in_wal_is_put_there_when_it_is_opened(tmp_path: Path) -> None:
    with closing(SqliteJournal(tmp_path / "run.db")) as journal:
        journal.append(Record("note", 1.0, "run", {}))
    with closing(sqlite3.connect(tmp_path / "run.db")) as db:
        db.execute(f"VACUUM INTO '{tmp_path / 'backup.db'}'")
    assert mode_of(tmp_path / "backup.db") == "delete"
    with closing(SqliteJournal(tmp_path / "backup.db")) as journal:
        assert len(list(journal.read())) == 1
    assert mode_of(tmp_path / "backup.db") == "wal"


def test_a_database_in_memory_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqliteJournal(":memory:")) as journal:
        journal.append(Record("note", 1.0, "run", {}))
        assert len(list(journal.read())) == 1
    assert list(tmp_path.iterdir()) == []
