"""A provider that fails on purpose: three wires on loopback, every fault a client must survive.

`FaultServer` answers with any engine, over Chat Completions, OpenAI Responses and Anthropic
Messages, whole or streamed, and puts faults in the way: from a script, or at rates from a seed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from dspy import lm15

from .. import canonical
from ..engine import Engine
from ..randomness import rng
from .spoken import asked, spoken
from .spoken_form import Spoken

__all__ = ["FAULTS", "OK", "FaultServer", "Seen"]

OK = "ok"
FAULTS = {
    "400": "the request is refused",
    "429": "a rate limit, without a word about when",
    "429-after": "a rate limit with Retry-After",
    "500": "a server error",
    "529": "overloaded",
    "hang": "nothing comes, not even a head",
    "drip": "the answer, one byte at a time",
    "drip-head": "the head of the answer, one byte at a time",
    "reset": "the connection is reset",
    "truncated": "the body stops in the middle",
    "bad-json": "a body that is half of its JSON",
    "html": "a page of HTML with status 200",
    "empty": "no choices, or no content",
    "unfinished": "a clean end without the finish marker",
    "stream-error": "an error inside an answer with status 200",
    "slow": "one piece of the answer at a time",
}
"""Every fault and what it is."""

_STATUS = {
    "400": (400, "invalid_request_error", "the request is wrong"),
    "429": (429, "rate_limit_error", "too many requests"),
    "429-after": (429, "rate_limit_error", "too many requests"),
    "500": (500, "api_error", "something broke"),
    "529": (529, "overloaded_error", "overloaded"),
}
_PATIENCE = 30.0  # seconds for the server's thread to start, and to end
_REASON = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 500: "Server Error"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    fault: str


class FaultServer:
    """A context manager that serves `engine`, or one fixed response, on 127.0.0.1 at `url`.

    `script` names the fault of each request in turn (its last entry repeats); or `mix` gives a
    probability in 0…1 to each fault, drawn from `seed`: by order of arrival, or with `by_content`
    by what is asked and how often it was, whatever else arrives. `pace` is the seconds between
    bytes of a drip and pieces of a slow answer, `latency` those before any answer. `retry_after`
    is the header's text. `counts` tells requests by fault, `seen` what arrived, `connections` how
    many were opened, `gone` how many clients left before their answer was out.

    >>> from compilm.testing.engines import ScriptedEngine
    >>> with FaultServer(ScriptedEngine(["yes"]), mix={"500": 0.3, "hang": 0.1}, seed=7) as server:
    ...     server.draw(10)
    ['ok', 'ok', 'ok', 'ok', 'ok', 'hang', '500', '500', '500', '500']
    """

    def __init__(
        self,
        engine: Engine | lm15.Response,
        *,
        script: Sequence[str] = (OK,),
        mix: Mapping[str, float] | None = None,
        seed: int = 0,
        by_content: bool = False,
        pace: float = 0.25,
        latency: float = 0.0,
        retry_after: str = "2",
    ) -> None:
        unknown = {*script, *(mix or {})} - {*FAULTS, OK}
        if unknown or not script or sum((mix or {}).values()) > 1:
            raise ValueError(
                f"faults are {', '.join(FAULTS)} and their rates add up to at most 1; not known:"
                f" {', '.join(sorted(unknown)) or 'none'}"
            )
        self.engine, self.script, self.mix = engine, script, dict(mix or {})
        self.pace, self.latency, self.retry_after = pace, latency, retry_after
        self._counts: Counter[str] = Counter()
        self.seen: list[Seen] = []
        self.connections = 0
        self.left = threading.Semaphore(0)
        self.gone = 0
        self._seed, self._by_content = seed, by_content
        self._arrived: Counter[str] = Counter()  # how often each content did
        self._rng = rng(seed, "faults")
        self._lock = threading.Lock()  # protects the random draws and the counts
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address, without `/v1`: all wires are spoken, each under its own path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def counts(self) -> Counter[str]:
        """The requests so far by fault: what was left behind may arrive while this is read."""
        with self._lock:
            return self._counts.copy()

    def arrived(self, seen: Seen) -> None:
        """Note a request."""
        self.seen.append(seen)
        with self._lock:
            self._counts[seen.fault] += 1

    def draw(self, count: int = 1) -> list[str]:
        """The faults of the next `count` requests, taken out of the sequence."""
        with self._lock:
            return [self._drawn(self._rng.random()) for _ in range(count)]

    def _drawn(self, place: float) -> str:
        for fault, rate in self.mix.items():
            if place < rate:
                return fault
            place -= rate
        return OK

    def __enter__(self) -> FaultServer:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._started.wait(_PATIENCE):
            raise RuntimeError(f"the fault server did not start within {_PATIENCE:g} s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise RuntimeError(f"the fault server did not stop within {_PATIENCE:g} s")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, limit=1 << 24, backlog=2048
        )
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            while await _Answering(self, reader, writer).one():
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client is gone, or the server stops: both are ends of a connection
        finally:
            self._talks.discard(talk)
            writer.close()

    def next_fault(self, body: dict[str, Any]) -> str:
        """The fault of the request with this body, which is arriving."""
        if self.mix and self._by_content:
            content = canonical.digest(body)
            self._arrived[content] += 1
            return self._drawn(rng(self._seed, "fault", content, self._arrived[content]).random())
        if self.mix:
            return self.draw()[0]
        return self.script[min(len(self.seen), len(self.script) - 1)]

    def answer(self, body: dict[str, Any], path: str) -> lm15.Response:
        """The response to a body."""
        if isinstance(self.engine, lm15.Response):
            return self.engine
        return self.engine.complete(asked(body, path))

    def left_early(self) -> None:
        """A client closed its connection before its answer was out."""
        self.gone += 1
        self.left.release()


class _Answering:
    """One request on one connection, from its head to the last byte of its answer."""

    def __init__(
        self, server: FaultServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._reader, self._writer = server, reader, writer

    async def one(self) -> bool:
        """Answer one request; whether another may follow on this connection."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines) if n}
        body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        server, path = self._server, first.split(" ")[1]
        data = json.loads(body)
        fault = server.next_fault(data)
        server.arrived(Seen(path, headers, data, fault))
        if server.latency:
            await asyncio.sleep(server.latency)
        try:
            said = spoken(server.answer(data, path), path)
        except lm15.LM15Error as error:  # told as a provider would
            known = getattr(error, "status", None) or 500
            await self._send({"error": {"message": str(error)}}, status=known)
            return True
        return await self._with(fault, said, streamed=bool(data.get("stream")))

    async def _with(self, fault: str, said: Spoken, *, streamed: bool) -> bool:
        if fault in _STATUS:
            status, kind, message = _STATUS[fault]
            after = {"retry-after": self._server.retry_after} if fault == "429-after" else {}
            await self._send(said.error(kind, message), status=status, headers=after)
            return True
        if fault == "hang":
            await self._pause(None)
            return False
        if fault == "reset":
            self._reset()
            return False
        if fault == "html":
            await self._raw(_head(200, "text/html", 20) + b"<html>gateway</html>")
            return True
        if fault in {"drip", "drip-head"}:
            return await self._drip(fault, said, streamed=streamed)
        if streamed:
            return await self._streamed(fault, said)
        return await self._whole(fault, said)

    async def _whole(self, fault: str, said: Spoken) -> bool:
        data = json.dumps(_spoiled(fault, said)).encode()
        if fault == "truncated":
            await self._raw(_head(200, "application/json", len(data)) + data[: len(data) // 2])
            return False
        if fault == "bad-json":
            data = data[: len(data) // 2]
        if fault == "slow" and await self._pause(self._server.pace * len(said.events)):
            return False
        await self._raw(_head(200, "application/json", len(data)) + data)
        return True

    async def _streamed(self, fault: str, said: Spoken) -> bool:
        events = list(said.events)
        if fault in {"truncated", "unfinished", "stream-error", "bad-json"}:
            events = events[: max(2, len(events) - said.marks)]
        if fault == "stream-error":
            events.append(said.error_event("overloaded_error", "overloaded"))
        if fault == "bad-json":
            events.append(b'event: message_delta\ndata: {"half\n\n')
        if fault == "empty":
            events = [events[0], *said.marks_of_nothing()]
        await self._raw(_head(200, "text/event-stream", None))
        for event in events:
            if fault == "slow" and await self._pause(self._server.pace):
                return False
            await self._raw(b"%x\r\n%s\r\n" % (len(event), event))
        if fault == "truncated":
            return False
        await self._raw(b"0\r\n\r\n")
        return True

    async def _drip(self, fault: str, said: Spoken, *, streamed: bool) -> bool:
        data = b"".join(said.events) if streamed else json.dumps(said.whole).encode()
        kind = "text/event-stream" if streamed else "application/json"
        head = _head(200, kind, len(data))
        whole = head + data if fault == "drip-head" else data
        if fault == "drip":
            await self._raw(head)
        for byte in whole:
            if await self._pause(self._server.pace):
                return False
            await self._raw(bytes([byte]))
        return True

    async def _send(
        self, body: dict[str, Any], *, status: int, headers: Mapping[str, str] | None = None
    ) -> None:
        data = json.dumps(body).encode()
        await self._raw(_head(status, "application/json", len(data), headers) + data)

    async def _raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _pause(self, seconds: float | None) -> bool:
        """Wait, for ever if `None`; whether the client has left by then."""
        try:
            async with asyncio.timeout(seconds):
                await self._reader.read(1)
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        self._server.left_early()
        return True

    def _reset(self) -> None:
        plain = self._writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _head(
    status: int, kind: str, length: int | None, headers: Mapping[str, str] | None = None
) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    first = f"HTTP/1.1 {status} {_REASON.get(status, 'Failed')}\r\ncontent-type: {kind}\r\n"
    return f"{first}{size}\r\nx-request-id: req-1\r\n{own}\r\n".encode()


def _spoiled(fault: str, said: Spoken) -> dict[str, Any]:
    """The body with what the fault takes from it."""
    if fault == "stream-error":
        return said.error("overloaded_error", "overloaded")
    if fault == "empty":
        return said.empty()
    return said.unfinished() if fault == "unfinished" else said.whole
