"""A real MCP server, over its standard streams and over HTTP, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.errors import ProgramError, ToolFailed, UsageError
from compilm.tools import McpServer, call_all
from compilm.tools.link import Link

from .conftest import LONG, Http, named, started

pytest.importorskip("mcp", reason="the extra mcp is not installed")


@pytest.fixture(params=["stdio", "http"], scope="module")
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[McpServer, Path]]:
    """A server that lives through this module, and its folder."""
    folder = tmp_path_factory.mktemp("claims")
    if request.param == "stdio":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STATE", str(folder))
            with started() as server:
                server.tools()
                yield server, folder
        return
    http = Http(folder)
    with McpServer("claims", url=http.url, connect=LONG, timeout=LONG) as server:
        yield server, folder
    http.stop()


@pytest.fixture
def server(both: tuple[McpServer, Path]) -> McpServer:
    return both[0]


def _count(state: Path, what: str) -> int:
    file = state / what
    return file.stat().st_size if file.exists() else 0


def _until(true: Callable[[], bool]) -> None:
    """Wait for another process; no longer than a test may take."""
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)  # for another process


def test_tools_are_listed_called_and_give_structured_content(server: McpServer) -> None:
    tools = named(server)
    assert tools["lookup"].desc == "Find a claim by its number."
    told = tools["lookup"].format_as_litellm_function_call()["function"]["parameters"]
    assert told["required"] == ["number"]
    assert told["properties"]["number"]["description"] == "the claim's number"
    assert tools["lookup"](number=7) == {"number": 7, "status": "open"}
    assert tools["add"](a=2) == 3
    assert tools["add"].run(a="x").attempts == 0, "what does not fit the schema is not sent"
    assert tools["fails"]()["message"] == "Error executing tool fails: no such claim"
    assert tools["picture"]() == "the scan\n[image: image/png, 100 bytes, not shown]"


def test_a_megabyte_is_cut_and_says_so(server: McpServer) -> None:
    result = named(server)["megabyte"].run()
    assert result.left_out == 1_000_000 - server.policy.most
    assert result.value.endswith("[cut: 980,000 of 1,000,000 characters left out]")


def test_a_tool_that_hangs_is_given_up_and_told_to_stop(both: tuple[McpServer, Path]) -> None:
    server, state = both
    tools = named(server)
    hangs = tools["hangs"]
    job = hangs.caller.work.start({})
    _until(lambda: job.progress() == "3 of 10, reading the archive")
    job.give_up()
    _until(lambda: _count(state, "cancelled") == 1)
    assert tools["add"](a=1) == 2, "the connection goes on"


def test_calls_of_a_turn_from_threads_and_loops_share_one_connection(server: McpServer) -> None:
    tools = server.tools()
    calls = [{"name": "add", "args": {"a": place}} for place in range(10)]
    assert [each.value for each in call_all(tools, calls)] == list(range(1, 11))
    add = named(server)["add"]

    async def from_a_loop(a: int) -> list[Any]:
        assert await server.atools() is tools
        return await asyncio.gather(*(add.acall(a=a, b=b) for b in range(5)))

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(asyncio.run, from_a_loop(a)) for a in range(4)]
        assert [each.result() for each in loops] == [[a + b for b in range(5)] for a in range(4)]


def test_a_server_that_says_its_tools_have_changed_is_asked_again(server: McpServer) -> None:
    before = named(server)
    assert server.tools() is server.tools(), "kept until then"
    assert "extra" not in before
    before["grow"]()
    _until(lambda: "extra" in named(server))
    assert named(server)["extra"]() == "extra"


def test_a_server_that_speaks_the_protocol_of_2025_is_understood(
    stdio: Callable[..., McpServer], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Link, "mode", "legacy")
    server = stdio()
    tools = named(server)
    assert tools["lookup"](number=7) == {"number": 7, "status": "open"}
    tools["grow"]()
    _until(lambda: "extra" in named(server))
    job = tools["hangs"].caller.work.start({})
    _until(lambda: job.progress() == "3 of 10, reading the archive")
    job.give_up()
    _until(lambda: _count(state, "cancelled") == 1)
    tools["dies"]()
    assert tools["add"](a=1) == 2


def test_copies_share_the_connection_and_pickling_is_refused(server: McpServer) -> None:
    add = named(server)["add"]
    other = copy.deepcopy(add)
    assert other(a=1) == 2
    assert other.caller.work.connection is add.caller.work.connection
    assert copy.deepcopy(server) is server
    with pytest.raises(ProgramError, match="'claims' cannot be pickled: save the program's state"):
        pickle.dumps(server)

    class Desk(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict("question -> answer")
            self.tools = [add]

    assert Desk().deepcopy().tools[0](a=2) == 3


def test_a_command_that_died_is_started_again(stdio: Callable[..., McpServer], state: Path) -> None:
    tools = named(stdio())
    told = tools["dies"]()
    assert told["error"] == "unreachable"
    assert _count(state, "dies") == 1, "not idempotent: once"
    assert tools["add"](a=1) == 2
    once_more = tools["dies_once"].run()
    assert (once_more.value, once_more.attempts) == ("alive", 2), "the server calls it read-only"


def test_what_the_server_says_of_repetition_can_be_overruled(
    stdio: Callable[..., McpServer], state: Path
) -> None:
    tools = named(stdio(idempotent=[], only=["dies_once", "lookup"], prefix="claims_"))
    assert list(tools) == ["claims_lookup", "claims_dies_once"]
    assert tools["claims_dies_once"]()["error"] == "unreachable"
    assert _count(state, "dies_once") == 1


def test_a_server_that_is_killed_between_calls_is_opened_again(
    stdio: Callable[..., McpServer],
) -> None:
    server = stdio()
    add = named(server)["add"]
    for _ in range(2):
        pid = int(named(server)["pid"]())
        os.kill(pid, signal.SIGKILL)
        _until(lambda: add.run(a=1).value == 2)
        assert int(named(server)["pid"]()) != pid


def test_a_server_over_http_may_go_and_come_back(http: Http) -> None:
    with McpServer("claims", url=http.url, connect=LONG, timeout=LONG) as server:
        add = named(server)["add"]
        http.stop()
        gone = add.run(a=1)
        assert gone.error is not None
        assert gone.error.kind == "unreachable"
        http.start()
        _until(lambda: add.run(a=1).value == 2)


def test_the_key_of_an_address_is_sent_and_never_told(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMS_KEY", "abc-123-def")
    options = {"url": http.url, "connect": LONG, "timeout": LONG}
    with McpServer("claims", key_env="CLAIMS_KEY", **options) as server:
        assert named(server)["who"]() == "Bearer abc-123-def"
        assert "abc-123-def" not in f"{server!r} {server.place!r}"
    with McpServer("claims", **options) as server:
        assert named(server)["who"]() == "nobody"


def test_a_server_that_is_not_there_is_left_alone_after_a_while(http: Http) -> None:
    with McpServer("claims", url=http.url, connect=LONG, timeout=LONG, breaker=2) as server:
        add = named(server)["add"]
        http.stop()
        kinds = [add(a=1)["error"] for _ in range(4)]
    assert kinds == ["unreachable", "unreachable", "refused", "refused"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["/no/such/program"], "FileNotFoundError"),
        (["python3", "-c", "print('no protocol')"], "cannot be reached"),
    ],
)
def test_a_command_that_is_no_server_says_why(command: list[str], told: str) -> None:
    with (
        McpServer("odd", command=command, attempts=1, connect=LONG) as server,
        pytest.raises(ToolFailed, match=told),
    ):
        server.tools()


def test_a_closed_server_says_so_and_leaves_nothing(stdio: Callable[..., McpServer]) -> None:
    others = set(threading.enumerate())
    server = stdio()
    tools = named(server)
    pid = int(tools["pid"]())
    server.close()
    server.close()
    assert "was closed" in tools["add"](a=1)["message"]
    left = set(threading.enumerate()) - others
    assert not [thread for thread in left if thread.name.startswith("compilm-mcp")]
    _until(lambda: not Path(f"/proc/{pid}").exists())


def test_only_named_variables_reach_a_command(
    stdio: Callable[..., McpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMS_SETTING", "blue")
    monkeypatch.setenv("OTHER", "not for you")
    assert named(stdio(env=["STATE", "CLAIMS_SETTING"]))["setting"]() == "blue, no other"


def test_a_tool_that_is_asked_for_and_not_there_is_an_error(
    stdio: Callable[..., McpServer],
) -> None:
    with pytest.raises(UsageError, match="has no tool nope; it has lookup, add"):
        stdio(only=["nope"]).tools()
