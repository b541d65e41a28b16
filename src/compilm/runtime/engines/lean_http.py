"""The lean client's half for threads: pooled keep-alive connections to one address, one POST each.

Connections are made in `lean_reach.py`; answers are parsed as in the half for tasks,
`lean_tasks.py`. Nothing is tried twice. Why, with figures: design/dependencies.md.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from weakref import WeakSet

from ...clock import Clock
from .lean_parsing import CutShort, Parsing, Unanswered, named
from .lean_pool import AGE, IDLE
from .lean_quiet import readable, sent
from .lean_reach import reached
from .lean_route import Route
from .wire import WireFailure

__all__ = ["Exchange", "Line", "SyncHttp"]

_READ = 1 << 16  # bytes of one read, at most
_EARLY, _LATEST = 0.85, 0.9  # of the time that is left, until the kernel ends a read
_FEW = 0.05  # seconds of which all may be the kernel's
_KERNEL = sys.platform == "linux"  # it bounds a read by itself


@dataclass(slots=True)
class Line:
    """A connection; the seconds after which the kernel ends a read of it; when it was made, used.

    Times are seconds of the client's clock.
    """

    sock: socket.socket
    kernel_bound: float = inf
    made: float = 0.0
    used: float = 0.0


class Exchange(Parsing):
    """One answer as it comes in on a line: `status`, lower-case `headers`, and the body."""

    def __init__(self, line: Line, clock: Clock, end: float) -> None:
        super().__init__()
        self._line, self._sock = line, line.sock
        self._clock, self._end = clock, end

    def ask(self, request: bytes) -> None:
        """Send, and wait for the head of the answer."""
        self._expect()
        unsent = memoryview(request)
        if _by_kernel(self._sock):
            unsent = unsent[sent(self._sock, request) :]
        while unsent:
            self._sock.settimeout(self._left())
            unsent = unsent[self._sock.send(unsent) :]
        while not self._headed:
            self._read()

    @property
    def headers(self) -> dict[str, str]:
        return named(self.fields)

    def read(self) -> bytes:
        """The rest of the body."""
        while not self._done:
            self._read()
        return b"".join(self._taken())

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives; `OSError` if it ends before its declared length."""
        while self._pieces or not self._done:
            if self._pieces:
                yield b"".join(self._taken())
            else:
                self._read()

    def extend(self, end: float) -> None:
        """From here on, reads are bounded by this second of the clock."""
        self._end = end

    def over(self) -> bool:
        """No more is read; whether it came whole and the connection may serve another request."""
        self._parser = None  # it knows this object
        return self._done and self._kept

    def _taken(self) -> list[bytes]:
        taken, self._pieces = self._pieces, []
        return taken

    def _read(self) -> None:
        """What comes next; each read is bounded by one common end: dripping cannot outlast it."""
        data = self._received()
        if data:
            try:
                self._parse(data)
            except WireFailure:
                if not self._done:  # else the answer is whole, and what follows it is not wanted
                    raise
        elif self._closes():
            self._done = True
        else:
            raise CutShort if self._came else Unanswered

    def _received(self) -> bytes:
        """Python's own timeout looks before each read whether it would wait: a call more, and one
        more place at which a thread gives the interpreter to another and waits to get it back. A
        crowd of threads pays for each of these; with the kernel's bound there is one a read.

        The kernel is late by up to an eighth of a bound. So that is set to come early, and may
        then stay as it is for the next request; what is left of the time is waited for after it.
        """
        left = self._left()
        if not _by_kernel(self._sock):
            self._sock.settimeout(left)
            return self._sock.recv(_READ)
        if self._sock.gettimeout() is not None:
            self._sock.settimeout(None)
        if self._line.kernel_bound > left * _LATEST:
            self._arm(left)
        waited = 0.0
        while True:
            try:
                return self._sock.recv(_READ)
            except BlockingIOError:
                waited += self._line.kernel_bound
                if waited >= left:  # even if the clock stands still
                    raise TimeoutError from None
                self._arm(min(self._left(), left - waited))

    def _arm(self, left: float) -> None:
        """Have the kernel end a read before so many seconds are over, or, of few, with them."""
        seconds = left * _EARLY if left > _FEW else left
        whole, part = divmod(max(1, int(seconds * 1e6)), 1_000_000)
        self._line.kernel_bound = whole + part / 1e6
        bound = struct.pack("ll", whole, part)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)

    def _left(self) -> float:
        return _left(self._clock, self._end)


def _left(clock: Clock, end: float) -> float:
    left = end - clock.now()
    if left <= 0:
        raise TimeoutError
    return left


class SyncHttp:
    """Connections for threads: at most `most`, the last used first."""

    def __init__(self, base_url: str, most: int, clock: Clock) -> None:
        self._clock, self._most = clock, most
        self._begin()
        self._route = Route(base_url)
        _ALL.add(self)

    def _begin(self) -> None:
        """Have connections of this process: those of its parent, after a fork, are not its own."""
        self._room = threading.BoundedSemaphore(self._most)
        self._idle: list[Line] = []  # the longest idle first; append and pop are atomic

    def forked(self) -> None:
        """In a child: let go of the parent's connections, which stay open there."""
        idle = self._idle
        self._begin()
        for line in idle:
            line.sock.close()

    def head(self, path: str, headers: Mapping[str, str]) -> bytes:
        """What all requests to a path have in common."""
        return self._route.head(path, headers)

    @contextmanager
    def post(self, head: bytes, body: bytes, end: float) -> Iterator[Exchange]:
        """Send, and give what comes; the connection is kept if the body was read whole."""
        room = self._room
        if not room.acquire(timeout=max(0.0, end - self._clock.now())):
            raise WireFailure("timeout", "every connection was in use")
        line: Line | None = None
        exchange: Exchange | None = None
        try:
            line = self._connected(end)
            exchange = Exchange(line, self._clock, end)
            exchange.ask(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            yield exchange
        except TimeoutError:
            raise WireFailure("timeout") from None
        except (OSError, UnicodeError) as error:  # a host is no name
            raise WireFailure("transport", type(error).__name__) from None
        finally:
            if line is not None:
                if exchange is not None and exchange.over():
                    self._put_back(line)
                else:
                    line.sock.close()
            room.release()

    def _connected(self, end: float) -> Line:
        now = self._clock.now()
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                break
            if now - line.used < IDLE and now - line.made < AGE and not readable(line.sock):
                return line
            line.sock.close()  # nobody used it for long, or the other side closed it
        made = reached(self._route, partial(_left, self._clock, end))
        return Line(made, made=now)

    def _put_back(self, line: Line) -> None:
        """Keep it for the next request; close one that was not needed for long, if there is."""
        line.used = self._clock.now()
        self._idle.append(line)
        with suppress(IndexError):  # another thread may have taken it
            if line.used - self._idle[0].used >= IDLE:
                self._idle.pop(0).sock.close()

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop().sock.close()

    __del__ = close


def _by_kernel(sock: socket.socket) -> bool:
    """Whether the kernel bounds reads: not with TLS, of which a read is several.

    Nor in the main thread, which signals come to: after each a read begins anew, and its time.
    Who sends signals to other threads puts off the end of their reads by as much.
    """
    alone = threading.get_ident() == threading.main_thread().ident
    return _KERNEL and type(sock) is socket.socket and not alone


_ALL: WeakSet[SyncHttp] = WeakSet()


def _forked() -> None:
    for each in list(_ALL):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
