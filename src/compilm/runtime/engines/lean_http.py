"""The lean client's half for threads: pooled keep-alive connections to one address, one POST each.

A connection is made by `http.client` of the standard library; answers are parsed as in the half for
tasks, `lean_tasks.py`. Nothing is tried twice. Why, with figures: design/dependencies.md.
"""

from __future__ import annotations

import http.client
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakSet

from ...clock import Clock
from .lean_idle import readable
from .lean_parsing import CutShort, Parsing, Unanswered, named
from .lean_route import Route
from .wire import WireFailure

__all__ = ["Exchange", "SyncHttp"]

_READ = 1 << 16  # bytes of one read, at most
_KERNEL = sys.platform == "linux"  # it bounds a read by itself


class Exchange(Parsing):
    """One answer as it comes in on a socket: `status`, lower-case `headers`, and the body."""

    def __init__(self, sock: socket.socket, clock: Clock, end: float, kernel: bool = False) -> None:
        super().__init__()
        self._sock, self._clock, self._end, self._kernel = sock, clock, end, kernel
        if kernel and sock.gettimeout() is not None:
            sock.settimeout(None)

    def ask(self, request: bytes) -> None:
        """Send, and wait for the head of the answer."""
        self._expect()
        unsent = memoryview(request)
        while unsent:
            self._bound(socket.SO_SNDTIMEO)
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
        self._bound(socket.SO_RCVTIMEO)
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:  # by the kernel's bound
            raise TimeoutError from None
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

    def _bound(self, option: int) -> None:
        """What comes next of these (`SO_RCVTIMEO`, `SO_SNDTIMEO`) ends with the time that is left.

        Python's own timeout looks before each read and write whether it would wait: a call more,
        and one more place at which a thread gives the interpreter to another and waits to get it
        back. A crowd of threads pays for each of these; with the kernel's there is one a read.
        """
        if self._kernel:
            whole, part = divmod(max(1, int(self._left() * 1e6)), 1_000_000)
            self._sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, part))
        else:
            self._sock.settimeout(self._left())

    def _left(self) -> float:
        left = self._end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        return left


class SyncHttp:
    """Connections for threads: at most `most`, the last used first."""

    def __init__(self, base_url: str, most: int, clock: Clock) -> None:
        self._route, self._clock, self._most = Route(base_url), clock, most
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        """Have connections of this process: those of its parent, after a fork, are not its own."""
        self._room = threading.BoundedSemaphore(self._most)
        self._idle: list[socket.socket] = []  # append and pop are atomic

    def forked(self) -> None:
        """In a child: let go of the parent's connections, which stay open there."""
        idle = self._idle
        self._begin()
        for sock in idle:
            sock.close()

    def head(self, path: str, headers: Mapping[str, str]) -> bytes:
        """What all requests to a path have in common."""
        return self._route.head(path, headers)

    @contextmanager
    def post(self, head: bytes, body: bytes, end: float) -> Iterator[Exchange]:
        """Send, and give what comes; the connection is kept if the body was read whole."""
        room = self._room
        if not room.acquire(timeout=max(0.0, end - self._clock.now())):
            raise WireFailure("timeout", "every connection was in use")
        sock: socket.socket | None = None
        exchange: Exchange | None = None
        try:
            sock = self._connected(end)
            exchange = Exchange(sock, self._clock, end, self._by_kernel())
            exchange.ask(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            yield exchange
        except (BlockingIOError, TimeoutError):  # a write by the kernel's bound, by Python's
            raise WireFailure("timeout") from None
        except (http.client.HTTPException, OSError, UnicodeError) as error:  # a host is no name
            raise WireFailure("transport", type(error).__name__) from None
        finally:
            if sock is not None:
                if exchange is not None and exchange.over():
                    self._idle.append(sock)
                else:
                    sock.close()
            room.release()

    def _by_kernel(self) -> bool:
        """Whether the kernel bounds reads: not with TLS, of which a read is several.

        Nor in the main thread, which signals come to: after each a read begins anew, and its time.
        """
        alone = threading.current_thread() is threading.main_thread()
        return _KERNEL and self._route.tls is None and not alone

    def _connected(self, end: float) -> socket.socket:
        while True:
            try:
                sock = self._idle.pop()
            except IndexError:
                break
            if not readable(sock):
                return sock
            sock.close()  # the other side closed it while it was idle
        left = end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        connection = self._route.connection(left)
        connection.connect()
        sock = connection.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    __del__ = close


_ALL: WeakSet[SyncHttp] = WeakSet()


def _forked() -> None:
    for each in list(_ALL):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
