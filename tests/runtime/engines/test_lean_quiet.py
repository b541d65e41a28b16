"""Calls that keep the interpreter: what they could not send or read at once is not lost."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.runtime.engines.loopback import OK

from compilm.clock import SYSTEM_CLOCK, ManualClock
from compilm.runtime.engines import lean_http
from compilm.runtime.engines.lean_http import Exchange, Line
from compilm.runtime.engines.lean_quiet import sent

REQUEST = bytes(range(256)) * 200
pytestmark = pytest.mark.skipif(not hasattr(socket, "MSG_NOSIGNAL"), reason="this system has none")


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that hold less than a request."""
    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return here, there


def test_what_does_not_fit_is_counted_and_then_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    here, there = pair
    with here, there:
        count = sent(here, REQUEST)
        assert 0 < count < len(REQUEST)
        assert sent(here, REQUEST) == 0
        assert there.recv(count) == REQUEST[:count]


def test_a_long_request_is_left_to_python(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    with here, there:
        assert sent(here, b"x" * (1 << 17)) == 0
        there.setblocking(False)
        with pytest.raises(BlockingIOError):
            there.recv(1)


def test_a_connection_that_is_lost_is_an_error_and_no_signal(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    here, there = pair
    there.close()
    with here, pytest.raises(BrokenPipeError):
        sent(here, b"?")


@pytest.mark.parametrize("early", [0.0, 0.9])
def test_the_rest_is_sent_and_a_bound_that_comes_early_is_put_off(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, early: float
) -> None:
    """With `early` 0 the kernel ends every early read at once."""
    monkeypatch.setattr(lean_http, "_EARLY", early)
    monkeypatch.setattr(lean_http, "_by_kernel", lambda _: True)
    here, there = pair
    got = bytearray()

    def answer() -> None:
        while len(got) < len(REQUEST):
            got.extend(there.recv(1 << 16))
        there.sendall(OK)

    thread = threading.Thread(target=answer)
    with here, there:
        thread.start()
        exchange = Exchange(Line(here), SYSTEM_CLOCK, SYSTEM_CLOCK.now() + 20)
        exchange.ask(REQUEST)
        assert (exchange.status, exchange.read()) == (200, b"yes")
        thread.join(10)
    assert bytes(got) == REQUEST


def bound_of(sock: socket.socket) -> float:
    """The seconds after which the kernel ends a read."""
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.calcsize("ll"))
    whole, part = struct.unpack("ll", told)
    return float(whole + part / 1e6)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel bounds reads in the main thread too."""
    if sys.platform != "linux":
        pytest.skip("only Linux bounds reads by itself")
    monkeypatch.setattr(lean_http, "_by_kernel", lambda _: True)


@pytest.mark.usefixtures("kernel")
def test_a_bound_stays_as_long_as_it_comes_early_enough(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    here, there = pair
    clock, told = ManualClock(), []
    with here, there:
        line = Line(here)
        for seconds in (20.0, 19.0, 30.0, 5.0, 5.0):
            there.sendall(OK)
            Exchange(line, clock, clock.now() + seconds).ask(b"?")
            told.append(bound_of(here))
    assert told == pytest.approx([17.0, 17.0, 17.0, 4.25, 4.25], abs=0.01)


@pytest.mark.usefixtures("kernel")
def test_a_read_ends_by_the_kernel_even_if_the_clock_stands_still(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    here, there = pair
    clock = ManualClock()
    with here, there, pytest.raises(TimeoutError):
        Exchange(Line(here), clock, clock.now() + 0.1).ask(b"?")


def test_a_line_serves_the_main_thread_and_others_in_turn(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    here, there = pair
    line = Line(here)

    def ask() -> int:
        there.sendall(OK)
        exchange = Exchange(line, SYSTEM_CLOCK, SYSTEM_CLOCK.now() + 20)
        exchange.ask(b"?")
        return exchange.status

    with here, there, ThreadPoolExecutor(1) as pool:
        assert [ask(), pool.submit(ask).result(), ask(), pool.submit(ask).result()] == [200] * 4
