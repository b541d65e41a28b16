"""The MCP server of these tests, as a command and on a port of this computer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from compilm.tools import McpServer, Tool

SERVER = Path(__file__).with_name("mcp_server.py")
LONG = 60.0  # seconds to connect, on a busy machine


def named(server: McpServer) -> dict[str, Tool]:
    """The tools of a server by name."""
    return {str(each.name): each for each in server.tools()}


class Http:
    """The server as a process that listens; it can be killed and started again."""

    def __init__(self, state: Path) -> None:
        with closing(socket.socket()) as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self._state = state
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, str(SERVER), str(self.port)]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "STATE": str(self._state)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._listens():
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                raise AssertionError("the server ended")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the server of this test counts what reached it."""
    monkeypatch.setenv("STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def http(state: Path) -> Iterator[Http]:
    server = Http(state)
    yield server
    server.stop()


def started(**options: Any) -> McpServer:
    """The server as a command."""
    given = {"env": ["STATE"], "connect": LONG, "timeout": LONG, **options}
    return McpServer("claims", command=[sys.executable, str(SERVER)], **given)


@pytest.fixture
def stdio(state: Path) -> Iterator[Callable[..., McpServer]]:
    """Makes servers that are started as a command, and closes them."""
    begun = list[McpServer]()

    def make(**options: Any) -> McpServer:
        begun.append(started(**options))
        return begun[-1]

    yield make
    for each in begun:
        each.close()
