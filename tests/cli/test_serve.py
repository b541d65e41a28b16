"""`compilm serve` answers over HTTP and leaves with 0 when it is told to stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import Command, artifact

from compilm.artifact import write
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer


@pytest.fixture
def desk(project: Path) -> Path:
    """The starter with an artifact for its program."""
    demos = ({"message": "My chain broke", "team": "workshop"},)
    write(artifact(demos=demos), project / "build" / "desk")
    return project


@pytest.fixture
def server(desk: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A server in a process of its own on a free port, and what it announced."""
    process = subprocess.Popen(
        [sys.executable, "-m", "compilm", "serve", "build/desk", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=desk,
    )
    assert process.stdout is not None
    announced = process.stdout.readline()
    assert announced, process.communicate()[1]
    yield process, json.loads(announced)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_stops_with_0(
    server: tuple[subprocess.Popen[str], dict[str, str]], sent: signal.Signals
) -> None:
    process, told = server
    address = told["address"]
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        answer = client.post(told["path"], json={"message": "My chain broke"})
        ready = client.get("/readyz")
    assert address.startswith("http://127.0.0.1:")
    assert (answer.status_code, answer.json()) == (200, {"team": "workshop"})
    assert answer.headers["x-program-digest"] == told["digest"]
    assert ready.status_code == 200
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "stopped"


def test_when_the_server_ends_however_connections_are_closed(
    desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends here without having told the application, as it does when it is hurried."""
    apps: list[Any] = []

    class Server:
        """In the place of uvicorn's: asks once, in a thread, and ends."""

        def __init__(self, config: Any) -> None:
            apps.append(config.app)

        def run(self, sockets: list[socket.socket]) -> None:
            assert len(sockets) == 1
            apps[0].state.served.runtime(message="My chain broke")

    monkeypatch.setattr("uvicorn.Server", Server)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    with FaultServer(ScriptedEngine([{"team": "workshop"}])) as wire:
        model = f'model = "openai/m"\nbase_url = "{wire.url}/v1"\nengine = "lean"\n'
        (desk / "compilm.toml").write_text(f'program = "program.py:Desk"\n[lm.default]\n{model}')
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        done = command("serve", "build/desk", "--port", "0")
        assert (done.code, wire.connections) == (0, 1)
        apps[0].state.served.runtime(message="Another")
        assert wire.connections == 2


def test_a_used_port_is_told_before_anything_is_loaded(desk: Path, command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("serve", "build/missing", "--port", str(taken.getsockname()[1]))
    assert (done.code, "name another --port" in done.err) == (2, True)


def test_a_port_that_cannot_be_is_told(desk: Path, command: Command) -> None:
    assert command("serve", "build/desk", "--port", "99999").code == 2


def test_without_uvicorn_the_extra_is_named(
    desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = command("serve", "build/desk")
    assert (done.code, "pip install 'compilm[serve]'" in done.err) == (2, True)
