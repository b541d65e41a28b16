"""The store in a file: the kit, its bounds, several processes, and files that are none."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from compilm.clock import ManualClock
from compilm.errors import ConfigError, UsageError
from compilm.runtime.caches import SQLiteStore, Store
from compilm.testing.store_kit import StoreKit


class TestSQLiteStore(StoreKit):
    @pytest.fixture
    def store(self, clock: ManualClock, tmp_path: Path) -> Iterator[Store]:
        with closing(SQLiteStore(tmp_path / "cache.db", clock=clock)) as opened:
            yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.db"


def test_another_opening_finds_what_was_kept(path: Path) -> None:
    with closing(SQLiteStore(path)) as first:
        first.put("k", b"v")
        with closing(SQLiteStore(path)) as second:
            assert second.get("k") == b"v"
            second.put("k", b"w")
        assert first.get("k") == b"w"


def test_the_oldest_go_first_and_the_bound_is_kept_at_every_write(path: Path) -> None:
    with closing(SQLiteStore(path, size=100)) as store:
        for number in range(20):
            store.put(f"{number:02}", b"x" * 28)
            assert store.held <= 100
        assert [n for n in range(20) if store.get(f"{n:02}")] == [17, 18, 19]
        store.put("17", b"y" * 28)  # written again, it is the newest
        store.put("20", b"z" * 28)
        assert [n for n in range(21) if store.get(f"{n:02}")] == [17, 19, 20]
        store.put("19", b"x" * 99)  # too large, and what it replaces is gone
        assert (store.get("19"), len(store), store.held) == (None, 2, 60)


def test_a_file_that_is_opened_with_a_lower_bound_is_cut_at_the_next_write(path: Path) -> None:
    with closing(SQLiteStore(path)) as store:
        for number in range(50):
            store.put(f"{number:02}", b"x" * 28)
    with closing(SQLiteStore(path, size=100)) as store:
        store.put("50", b"x" * 28)
        assert (len(store), store.held) == (3, 90)


def test_no_value_outlives_the_age_of_the_store_and_the_dead_leave_the_file(path: Path) -> None:
    clock = ManualClock()
    with closing(SQLiteStore(path, age=10.0, clock=clock)) as store:
        store.put("a", b"a", ttl=1000.0)
        store.put("b", b"b")
        clock.advance(10.0)
        assert (store.get("a"), store.get("b"), len(store)) == (None, None, 2)
        store.put("c", b"c")
        assert len(store) == 1


def test_nothing_is_made_before_the_first_use_and_others_cannot_read_it(path: Path) -> None:
    with closing(SQLiteStore(path)) as store:
        assert not path.exists()
        store.put("k", b"v")
        made = [file.stat().st_mode for file in path.parent.iterdir()]
    assert made
    assert {stat.S_IMODE(mode) for mode in made} == {0o600}


def test_a_file_of_something_else_is_refused_and_left_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE customers (name TEXT)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(
        ConfigError, match=r"something else \(tables \['customers'\]\): name another"
    ):
        SQLiteStore(path)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_an_empty_file_becomes_a_store_and_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o640)
    with closing(SQLiteStore(path)) as store:
        store.put("k", b"v")
        assert store.get("k") == b"v"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("cut", [0.5, 1.0])
def test_a_broken_file_is_told(path: Path, cut: float) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database at all, whatever its name says" * int(100 * cut))
    with pytest.raises(ConfigError, match="is not a cache: file is not a database; delete it"):
        SQLiteStore(path)


def test_a_later_format_is_told(path: Path) -> None:
    with closing(SQLiteStore(path)) as store:
        store.put("k", b"v")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(ConfigError, match=r"later version \(format 99"):
        SQLiteStore(path)


def test_a_folder_that_cannot_be_made_is_told_at_the_first_use(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SQLiteStore(tmp_path / "file" / "cache.db")
    with pytest.raises(ConfigError, match="cannot open the cache"):
        store.get("k")


@pytest.mark.parametrize("bounds", [{"size": 0}, {"age": 0.0}])
def test_a_store_that_keeps_nothing_is_refused(path: Path, bounds: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="keeps nothing"):
        SQLiteStore(path, **bounds)  # type: ignore[arg-type]


def test_a_write_that_fails_leaves_the_store_as_it_was(path: Path) -> None:
    with closing(SQLiteStore(path)) as store:
        store.put("k", b"v")
        with pytest.raises(sqlite3.Error):
            store.put("k", [1])  # type: ignore[arg-type]
        assert (store.get("k"), store.held) == (b"v", 2)
        store.put("k", b"w")
        assert store.get("k") == b"w"


# Started alone, it needs no dspy: a store is plain Python.
WORKER = """
import sys
from compilm.runtime.caches.sqlite import SQLiteStore
store = SQLiteStore(sys.argv[1], size=4000)
print("ready", flush=True)
sys.stdin.readline()
for n in range(150):
    store.put(f"{sys.argv[2]}-{n % 20:02}", b"x" * 56 + b"%04d" % n)
    assert (store.get(f"{sys.argv[2]}-{n % 20:02}") or b"x" * 56).startswith(b"x" * 56)
assert store.held <= 4000
store.close()
"""


def test_processes_that_start_at_once_share_one_file(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in "abc"
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    told = [worker.communicate("go\n")[1] for worker in workers]
    assert told == ["", "", ""]
    with closing(SQLiteStore(path, size=4000)) as store:
        kept = [key for name in "abc" for key in (f"{name}-{n:02}" for n in range(20))]
        found = [store.get(key) for key in kept]
        assert store.held == 64 * sum(value is not None for value in found) <= 4000
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


FORKED = """
import os, sys
from compilm.runtime.caches.sqlite import SQLiteStore
store = SQLiteStore(sys.argv[1])
store.put("k", b"of the parent")
child = os.fork()
if not child:
    assert store.get("k") == b"of the parent"
    assert len(store._opened) == 2  # a connection of its own
    store.put("k", b"of the child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(store.get("k").decode(), len(store._opened))
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_process_opens_the_file_anew(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "of the child 1\n", done.stderr
