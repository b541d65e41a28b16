"""The lean client in threads: one end for all waits, and no connection that is not quiet."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closed
from contextlib import contextmanager
from typing import Any

import pytest
from tests.runtime.engines.loopback import OK

from compilm.clock import SYSTEM_CLOCK
from compilm.runtime.engines import lean_http
from compilm.runtime.engines.account import Account
from compilm.runtime.engines.lean_http import SyncHttp
from compilm.runtime.engines.lean_quiet import readable
from compilm.runtime.engines.lean_sender import lean_senders
from compilm.runtime.engines.provider import Until
from compilm.runtime.engines.wire import WireFailure
from compilm.runtime.engines.wires import wire_for

LINGER = struct.pack("ii", 1, 0)  # a close is a reset


@pytest.fixture(params=["kernel", "python"])
def http(request: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of a server whose connections the test holds, under either kind of bound."""
    monkeypatch.setattr(lean_http, "_KERNEL", request.param == "kernel")
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = SyncHttp(f"http://127.0.0.1:{server.getsockname()[1]}", 2, SYSTEM_CLOCK)
        made.server = server  # type: ignore[attr-defined]
        with closed(made):
            yield made


def asked(http: Any, body: bytes = b"{}", seconds: float = 20.0) -> bytes:
    end = SYSTEM_CLOCK.now() + seconds
    with http.post(http.head("/v1", {}), body, end) as exchange:
        return bytes(exchange.read())


def ask(http: Any, **given: Any) -> bytes:
    """In a thread: the main one, to which signals come, is bounded by Python."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asked, http, **given).result()


@contextmanager
def answering(http: Any, *said: bytes, closing: bool = False) -> Iterator[list[socket.socket]]:
    """One connection that gets these bytes, one after another, for its first request."""
    met: list[socket.socket] = []

    def serve() -> None:
        connection, _ = http.server.accept()
        met.append(connection)
        connection.recv(1 << 16)
        for piece in said:
            connection.sendall(piece)
        if closing:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield met
    finally:
        thread.join(10)
        for connection in met:
            connection.close()


def test_an_answer_that_does_not_come_ends_in_time(http: Any) -> None:
    with answering(http), pytest.raises(WireFailure) as caught:
        ask(http, seconds=0.1)
    assert caught.value.kind == "timeout"


def test_an_answer_that_stops_ends_in_time(http: Any) -> None:
    with answering(http, OK[:-1]), pytest.raises(WireFailure) as caught:
        ask(http, seconds=0.1)
    assert caught.value.kind == "timeout"


def test_a_server_that_takes_nothing_in_is_left_in_time(http: Any) -> None:
    with pytest.raises(WireFailure) as caught:  # more than sockets hold, and nobody reads
        ask(http, body=b"x" * (1 << 26), seconds=0.2)
    assert caught.value.kind == "timeout"


def test_a_body_that_does_not_end_after_its_events_is_whole(http: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    wire, address = wire_for("openai-chat", http._route.to.geturl())
    sender, _ = lean_senders(wire, Account(address, "NO_KEY"))
    said = head + b'data: {"a": 1}\n\ndata: [DONE]\n\n'
    with answering(http, said), ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: list(sender.events({}, None, Until(20.0, SYSTEM_CLOCK))))
        assert found.result() == [{"a": 1}]
    sender.close()


def test_a_body_that_is_cut_after_its_last_event_is_whole(http: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    said = b'data: {"a": 1}\n\ndata: [DONE]\n\n'
    wire, address = wire_for("openai-chat", http._route.to.geturl())
    sender, _ = lean_senders(wire, Account(address, "NO_KEY"))
    with answering(http, head + b"%x\r\n%b\r\n" % (len(said), said), b"5\r\nmo", closing=True):
        assert list(sender.events({}, None, Until(20.0, SYSTEM_CLOCK))) == [{"a": 1}]
    sender.close()


def test_signals_do_not_put_off_the_end_of_a_wait(http: Any) -> None:
    rung = 0

    def ring(*_: Any) -> None:
        nonlocal rung
        rung += 1
        if rung == 200:
            signal.setitimer(signal.ITIMER_REAL, 0)

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with answering(http), pytest.raises(WireFailure) as caught:
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            asked(http, seconds=0.1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught.value.kind == "timeout"
    assert rung < 200


FORK = """
import os, sys
from compilm.clock import SYSTEM_CLOCK
from compilm.runtime.engines.lean_http import SyncHttp
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer

def call(http):
    ask = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    head = http.head("/v1/chat/completions", {"content-type": "application/json"})
    with http.post(head, ask, SYSTEM_CLOCK.now() + 20) as exchange:
        exchange.read()
        return exchange.status

with FaultServer(ScriptedEngine(["yes"] * 9)) as server:
    http = SyncHttp(server.url, 1, SYSTEM_CLOCK)
    print(call(http))
    child = os.fork()
    if child == 0:
        os._exit(0 if not http._idle and call(http) == 200 else 1)
    print(os.waitpid(child, 0)[1], call(http), server.connections)
    http.close()
"""


def test_a_fork_leaves_the_parent_its_connections() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.stdout.split(), done.stderr) == (["200", "0", "200", "2"], "")


@pytest.mark.parametrize("end", ["close", "reset", "a byte"])
def test_a_connection_that_is_not_quiet_is_not_used_again(http: Any, end: str) -> None:
    with answering(http, OK) as met:
        assert ask(http) == b"yes"
        (connection,) = met
        if end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        if end == "a byte":
            connection.sendall(b"?")
        else:
            connection.close()
        (idle,) = http._idle
        while not readable(idle.sock):  # it is on its way
            pass
    with answering(http, OK):
        assert ask(http) == b"yes"


def test_a_quiet_connection_is_used_again(http: Any) -> None:
    with answering(http, OK) as met:
        assert ask(http) == b"yes"
        (connection,) = met
        first = http._idle[0]
        thread = threading.Thread(target=lambda: (connection.recv(1 << 16), connection.sendall(OK)))
        thread.start()
        assert ask(http) == b"yes"
        thread.join(10)
        assert http._idle == [first]
