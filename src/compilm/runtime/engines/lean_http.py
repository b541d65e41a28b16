"""The lean client's half for threads: pooled keep-alive connections to one address, one POST each.

It is `http.client` of the standard library under a pool, without retries; the half for tasks is
`lean_tasks.py`. Why these two, with figures: design/dependencies.md.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...clock import Clock
from .lean_route import Route
from .wire import WireFailure

__all__ = ["Exchange", "SyncHttp", "readable"]


class _Reads(io.RawIOBase):
    """A socket's bytes, each read bounded by one common end: dripping cannot outlast it."""

    def __init__(self, sock: socket.socket, clock: Clock, end: float) -> None:
        self._sock, self._clock, self.end = sock, clock, end
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open for the body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Bounded:
    """What `http.client` takes for a socket when it reads a response."""

    def __init__(self, reads: _Reads) -> None:
        self._reads = reads

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(self._reads, 1 << 16)


class Exchange:
    """One answer as it comes in: `status`, lower-case `headers`, and the body."""

    def __init__(self, response: http.client.HTTPResponse, reads: _Reads) -> None:
        self._response, self._reads = response, reads
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self) -> bytes:
        """The whole body."""
        return self._response.read()

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives; `OSError` if it ends before its declared length."""
        while chunk := self._response.read1(1 << 16):
            yield chunk
        if self._response.length:
            raise ConnectionError("the body is shorter than declared")

    def extend(self, end: float) -> None:
        """From here on, reads are bounded by this second of the clock."""
        self._reads.end = end


class SyncHttp:
    """Connections for threads: at most `most`, the last used first."""

    def __init__(self, base_url: str, most: int, clock: Clock) -> None:
        self._route, self._clock = Route(base_url), clock
        self._room = threading.BoundedSemaphore(most)
        self._idle: list[http.client.HTTPConnection] = []  # append and pop are atomic

    @contextmanager
    def post(
        self, path: str, headers: dict[str, str], body: bytes, end: float
    ) -> Iterator[Exchange]:
        """Send, and give what comes; the connection is kept if the body was read whole."""
        if not self._room.acquire(timeout=max(0.0, end - self._clock.now())):
            raise WireFailure("timeout", "every connection was in use")
        connection: http.client.HTTPConnection | None = None
        whole = False
        try:
            connection = self._connected(end)
            exchange, response = self._sent(connection, path, headers, body, end)
            yield exchange
            whole = response.isclosed() and not response.will_close
        except TimeoutError:
            raise WireFailure("timeout") from None
        except (http.client.HTTPException, OSError) as error:
            raise WireFailure("transport", type(error).__name__) from None
        finally:
            if connection is not None:
                if whole:
                    self._idle.append(connection)
                else:
                    connection.close()
            self._room.release()

    def _connected(self, end: float) -> http.client.HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.sock is not None and not readable(connection.sock):
                return connection
            connection.close()  # the other side closed it while it was idle
        left = end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        connection = self._route.connection(left)
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        headers: dict[str, str],
        body: bytes,
        end: float,
    ) -> tuple[Exchange, http.client.HTTPResponse]:
        left = end - self._clock.now()
        if left <= 0:
            raise TimeoutError
        connection.sock.settimeout(left)
        reads = _Reads(connection.sock, self._clock, end)

        def answered(_: Any, *args: Any, **named: Any) -> http.client.HTTPResponse:
            return http.client.HTTPResponse(_Bounded(reads), *args, **named)  # type: ignore[arg-type]

        connection.response_class = answered  # type: ignore[assignment]
        target, extra = self._route.target(path)
        connection.request("POST", target, body, {**headers, **extra})
        response = connection.getresponse()
        return Exchange(response, reads), response

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    __del__ = close


def readable(sock: socket.socket) -> bool:
    """Whether bytes, or the end, have come on a connection where nothing should."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
