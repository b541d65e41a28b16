"""The journal keeps what was appended, whatever happens to the process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compilm.errors import JournalError
from compilm.journal import (
    Journal,
    MemoryJournal,
    PostgresJournal,
    Record,
    SqliteJournal,
    open_journal,
)
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


class Meanwhile(type(Path())):  # type: ignore[misc]  # 3.11 has no class of its own for it
    """A path of which something happens between its being opened and being used."""

    happens: list[Callable[[], object]] = []

    def open(self, *args: Any, **more: Any) -> Any:
        handle = super().open(*args, **more)
        if self.happens:
            self.happens.pop()()
        return handle


def test_who_opened_a_lock_that_was_given_back_and_taken_anew_does_not_get_it_too(
    tmp_path: Path,
) -> None:
    first, second = SqliteJournal(tmp_path / "run.db"), SqliteJournal(tmp_path / "run.db")
    release, taken = first.claim("r"), list[Callable[[], None]]()
    second.path = Meanwhile(second.path)
    Meanwhile.happens.append(lambda: (release(), taken.append(first.claim("r"))))
    with pytest.raises(JournalError, match="'r' is being worked on"):
        second.claim("r")
    release()  # once more: it is another's now
    with pytest.raises(JournalError, match="'r' is being worked on"):
        second.claim("r")
    taken[0]()
    second.claim("r")()


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


class TestPostgresJournal(JournalKit):
    @pytest.fixture
    def journal(self, postgres_url: str) -> Iterator[Journal]:
        journal = open_journal(postgres_url)
        yield journal
        journal.close()

    def test_it_is_what_its_address_says(self, journal: Journal) -> None:
        assert isinstance(journal, PostgresJournal)

    def test_another_process_is_kept_out_of_a_claimed_run(
        self, journal: Journal, postgres_url: str
    ) -> None:
        other = open_journal(postgres_url)
        release = journal.claim("r")
        for one in (journal, other):
            with pytest.raises(JournalError, match="'r' is being worked on by another process"):
                one.claim("r")
        release()
        other.claim("r")()
        other.close()

    def test_the_claims_of_a_process_that_died_are_free(self, postgres_url: str) -> None:
        script = (
            "import os, signal, sys\nfrom compilm.journal import Record, open_journal\n"
            "journal = open_journal(sys.argv[1])\njournal.claim('r')\n"
            "journal.append(Record('k', 0.0, 'r', {'n': 1}))\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        subprocess.run([sys.executable, "-c", script, postgres_url], check=False)
        journal = open_journal(postgres_url)
        _until(lambda: journal.claim("r")())  # the server notices that its client is gone
        assert [record.body for record in journal.read("r")] == [{"n": 1}]
        journal.close()

    def test_a_broken_connection_is_told_and_the_next_call_connects_anew(
        self, journal: Journal, postgres_url: str
    ) -> None:
        release = journal.claim("r")
        _cut(postgres_url)
        with pytest.raises(JournalError, match="cannot write to the journal in Postgres"):
            journal.append(Record("k", 0.0, "r", {}))
        journal.append(Record("k", 0.0, "r", {"n": 2}))
        other = open_journal(postgres_url)
        with pytest.raises(JournalError, match="is being worked on"):
            other.claim("r")  # claimed again with the new connection
        release()
        other.claim("r")()
        other.close()

    def test_a_run_that_another_process_took_meanwhile_is_told(
        self, journal: Journal, postgres_url: str
    ) -> None:
        journal.claim("r")
        _cut(postgres_url)
        other = open_journal(postgres_url)
        other.claim("r")
        with pytest.raises(JournalError):
            journal.append(Record("k", 0.0, "r", {}))
        with pytest.raises(JournalError, match="'r' was taken by another process meanwhile"):
            journal.append(Record("k", 0.0, "r", {}))
        other.close()

    def test_after_closing_it_says_so(self, journal: Journal) -> None:
        journal.close()
        with pytest.raises(JournalError, match="it is closed"):
            journal.append(Record("k", 0.0, "r", {}))


def _cut(url: str) -> None:
    """End every other connection to the database, as a restart of the server would."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _until(call: Callable[[], object]) -> None:
    for _ in range(200):
        try:
            call()
            return
        except JournalError:
            threading.Event().wait(0.05)
    call()
