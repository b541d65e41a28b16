"""The journal keeps what was appended, whatever happens to the process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from compilm.errors import JournalError
from compilm.journal import Journal, MemoryJournal, Record, SqliteJournal, open_journal
from compilm.testing.kits import JournalKit


class TestMemoryJournal(JournalKit):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()

    def test_closing_it_is_allowed(self, journal: Journal) -> None:
        journal.close()


class TestSqliteJournal(JournalKit):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return SqliteJournal(tmp_path / "new" / "run.db")


def test_a_path_opens_a_file_and_none_opens_memory(tmp_path: Path) -> None:
    assert isinstance(open_journal(None), MemoryJournal)
    journal = open_journal(tmp_path / "run.db")
    journal.append(Record("k", 1.0, "r", {"a": 1}))
    journal.close()
    assert [r.body for r in open_journal(tmp_path / "run.db").read("r")] == [{"a": 1}]


def test_a_killed_process_loses_nothing_it_had_appended(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from compilm.journal import Record, open_journal\n"
        "journal = open_journal(sys.argv[1])\n"
        "for n in range(200):\n"
        "    journal.append(Record('k', 0.0, 'r', {'n': n}))\n"
        "    print(n, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "run.db"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    told = [int(line) for line in done.stdout.split()]
    assert [r.body["n"] for r in open_journal(path).read("r")] == told == list(range(200))


def test_a_run_in_progress_is_refused_to_a_second_process(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "run.db")
    release = journal.claim("r1")
    script = (
        "import sys\nfrom compilm.journal import open_journal\n"
        "open_journal(sys.argv[1]).claim('r1')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run.db")]
    blocked = subprocess.run(command, capture_output=True, text=True, check=False)
    release()
    free = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "'r1' is being worked on by another process" in blocked.stderr
    assert free.returncode == 0


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    path.write_text("hello " * 1000)
    with pytest.raises(JournalError, match=r"run\.db' is not a journal"):
        open_journal(path)


def test_a_database_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE orders (id)")
    db.close()
    with pytest.raises(JournalError, match=r"something else \(tables \['orders'\]\)"):
        open_journal(path)


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    open_journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(JournalError, match="format 99"):
        open_journal(path)


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot open the journal"):
        open_journal(tmp_path)


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "run.db")
    journal.close()
    with pytest.raises(JournalError, match="cannot write to the journal"):
        journal.append(Record("k", 0.0, "r", {}))
    with pytest.raises(JournalError, match="cannot read the journal"):
        list(journal.read())


def test_a_damaged_body_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = open_journal(path)
    journal.append(Record("k", 0.0, "r", {}))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE records SET body='{'")
    db.close()
    with pytest.raises(JournalError, match="cannot read the journal"):
        list(journal.read())
