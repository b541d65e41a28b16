"""The lean engines: the wires of the official SDKs over a client that does only what they need."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...clock import SYSTEM_CLOCK, Clock
from ...errors import ConfigError
from .account import Account
from .lean_http import SyncHttp
from .lean_tasks import AsyncHttp
from .provider import AsyncSender, Sender, Until
from .sse import Events
from .wire import Payload, Wire, WireFailure

__all__ = ["lean_senders"]

Head = Callable[[str, Mapping[str, str]], bytes]

# Seconds for the end of a body to arrive after the last event: read to its end, a connection can
# be used again.
_GRACE = 0.25
_BROKEN = re.compile(r"[\r\n\0]")


def _dumps(body: Payload) -> bytes:
    import orjson

    try:
        return orjson.dumps(body)
    except TypeError:  # integers beyond 64 bits, lone surrogates: the standard library takes them
        return json.dumps(body, separators=(",", ":")).encode()


def _loads(data: bytes) -> Any:
    import orjson

    try:
        return orjson.loads(data)
    except ValueError:
        raise WireFailure("malformed", "it is not JSON") from None


def _refused(status: int, headers: Any, data: bytes) -> WireFailure:
    try:
        body = _loads(data)
    except WireFailure:
        body = None
    return WireFailure("status", status=status, headers=headers, body=body)


def _payloads(events: Events, chunk: bytes) -> Iterator[Payload | None]:
    """The payloads in a chunk; `None` is the end that Chat Completions announces."""
    for data in events.feed(chunk):
        yield None if data == b"[DONE]" else _loads(data)


class _Lean:
    def __init__(self, wire: Wire, account: Account, head: Head) -> None:
        self._wire, self._account, self._to_head = wire, account, head
        self._begun: tuple[str | None, bytes] = (None, head(wire.path, self._made(None)))

    def _made(self, key: str | None) -> dict[str, str]:
        sent = {"content-type": "application/json", "accept-encoding": "identity"}
        made = {**sent, **self._wire.headers(key), **self._account.headers}
        for name, value in made.items():
            if _BROKEN.search(name + value):
                raise ConfigError(
                    f"the value of header {name!r} is more than one line: look for a line break in"
                    f" the key or in the headers of the account"
                )
        return made

    def _head(self, key: str | None) -> bytes:
        begun = self._begun
        if begun[0] != key:
            begun = self._begun = (key, self._to_head(self._wire.path, self._made(key)))
        return begun[1]


class _LeanSender(_Lean):
    def __init__(self, wire: Wire, account: Account, clock: Clock) -> None:
        self._clock, self._http = clock, SyncHttp(account.base_url, account.connections, clock)
        super().__init__(wire, account, self._http.head)

    def prepare(self, key: str | None) -> None:
        self._head(key)  # a connection is part of the attempt

    def send(self, body: Payload, key: str | None, until: float) -> Any:
        with self._http.post(self._head(key), _dumps(body), until) as exchange:
            data = exchange.read()
        if exchange.status // 100 != 2:
            raise _refused(exchange.status, exchange.headers, data)
        return _loads(data)

    def events(
        self, body: Payload, key: str | None, until: Until
    ) -> Generator[Payload, None, None]:
        events = Events()
        with self._http.post(self._head(key), _dumps(body), until()) as exchange:
            if exchange.status // 100 != 2:
                raise _refused(exchange.status, exchange.headers, exchange.read())
            for chunk in exchange.chunks():
                for payload in _payloads(events, chunk):
                    if payload is None:
                        exchange.extend(self._clock.now() + _GRACE)
                        with suppress(OSError, WireFailure):  # what was said is whole
                            deque(exchange.chunks(), maxlen=0)
                        return
                    yield payload
                    exchange.extend(until())

    def close(self) -> None:
        self._http.close()


class _AsyncLeanSender(_Lean):
    def __init__(self, wire: Wire, account: Account, clock: Clock) -> None:
        self._http = AsyncHttp(account.base_url, account.connections, clock)
        super().__init__(wire, account, self._http.head)

    def prepare(self, key: str | None) -> None:
        self._head(key)
        self._http.open()

    async def send(self, body: Payload, key: str | None) -> Any:
        answer = await self._http.post(self._head(key), _dumps(body))
        if answer.status // 100 != 2:
            raise _refused(answer.status, answer.headers, answer.data)
        return _loads(answer.data)

    async def events(self, body: Payload, key: str | None) -> AsyncGenerator[Payload, None]:
        events = Events()
        async with self._http.streamed(self._head(key), _dumps(body)) as exchange:
            if exchange.status // 100 != 2:
                raise _refused(exchange.status, exchange.headers, await exchange.read())
            async for chunk in exchange.chunks():
                for payload in _payloads(events, chunk):
                    if payload is None:
                        with suppress(OSError, WireFailure):  # what was said is whole
                            async with asyncio.timeout(_GRACE):
                                await exchange.read()
                        return
                    yield payload

    async def aclose(self) -> None:
        await self._http.aclose()


def lean_senders(
    wire: Wire, account: Account, clock: Clock = SYSTEM_CLOCK
) -> tuple[Sender, AsyncSender]:
    """The senders of the lean client for any wire."""
    return _LeanSender(wire, account, clock), _AsyncLeanSender(wire, account, clock)
