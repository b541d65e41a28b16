"""The providers of the benchmarks: a process of its own on loopback that counts what arrives.

A server answers at once, or after `latency` seconds, with the same bytes. With other settings it
is a `FaultServer` of these; with `echo` it answers with the number that it was asked.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, ExitStack
from typing import Any

__all__ = ["ANSWER", "LoopbackProviders", "echoed"]

ANSWER = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"
_STOP_S = 10.0


class LoopbackProviders:
    """A context manager: a process with a server for each of these settings, until the block ends.

    `urls` are their addresses, without `/v1`.
    """

    def __init__(self, *settings: dict[str, Any]) -> None:
        self._settings = settings

    def __enter__(self) -> LoopbackProviders:
        command = [sys.executable, "-m", "benchmarks.runtime.server", json.dumps(self._settings)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.urls: list[str] = self._line()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(_STOP_S)
        self._process.stdout.close()

    def asked(self) -> list[int]:
        """How many requests each has got until now."""
        assert self._process.stdin is not None
        self._process.stdin.write("asked\n")
        self._process.stdin.flush()
        found: list[int] = self._line()
        return found

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the providers ended with {self._process.wait(_STOP_S)}")
        return json.loads(line)


class _Instant(asyncio.Protocol):
    """Answers every request with the bytes of its wire."""

    def __init__(self, server: _InstantServer) -> None:
        self._server, self._rest = server, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r")[0] or 0)
            if len(self._rest) < end + 4 + size:
                return
            self._rest = self._rest[end + 4 + size :]
            wire = b"messages" if b"/messages" in head.split(b"\r", 1)[0] else b"chat"
            self._server.answer(self._transport, wire)


class _InstantServer(AbstractContextManager["_InstantServer"]):
    """Its loop runs in a thread; `asked` counts requests."""

    def __init__(self, latency: float = 0.0) -> None:
        self._latency, self.asked = latency, 0
        self._loop = asyncio.new_event_loop()
        self._said = {b"chat": _head(_chat()), b"messages": _head(_message())}

    def __enter__(self) -> _InstantServer:
        serving = self._loop.create_server(lambda: _Instant(self), "127.0.0.1", 0, backlog=4096)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def answer(self, transport: Any, wire: bytes) -> None:
        """Now or later."""
        self.asked += 1
        if self._latency:
            self._loop.call_later(self._latency, transport.write, self._said[wire])
        else:
            transport.write(self._said[wire])


def _head(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:"
    return f"{head} {len(data)}\r\n\r\n".encode() + data


def _chat() -> dict[str, Any]:
    message = {"role": "assistant", "content": ANSWER}
    usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


def _message() -> dict[str, Any]:
    head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    content = [{"type": "text", "text": ANSWER}]
    usage = {"input_tokens": 40, "output_tokens": 20}
    return {**head, "content": content, "stop_reason": "end_turn", "usage": usage}


def echoed(text: str) -> str:
    """The answer of a server that echoes: the last number in what it was asked.

    >>> echoed("What is the capital of country 17?").splitlines()[1]
    'number 17'
    """
    found = re.findall(r"\d+", text)
    return ANSWER.replace("Paris", f"number {found[-1] if found else None}")


def _server(latency: float = 0.0, *, echo: bool = False, **faults: Any) -> Any:
    if not (faults or echo):
        return _InstantServer(latency)
    from compilm.testing.faults import FaultServer

    return FaultServer(_Answering(echo), latency=latency, **faults)


class _Answering:
    """The engine behind the faults."""

    def __init__(self, echo: bool) -> None:
        self._echo = echo

    def complete(self, request: Any) -> Any:
        from dspy import lm15

        said = echoed(request.messages[-1].text or "") if self._echo else ANSWER
        usage = lm15.Usage(input_tokens=40, output_tokens=20)
        return lm15.Response("c", request.model, lm15.Message.assistant(said), "stop", usage)


def _asked(server: Any) -> int:
    return int(server.asked if isinstance(server, _InstantServer) else server.counts.total())


def main() -> None:
    """Serve until the input ends; for each line of it, write how many requests have arrived."""
    with ExitStack() as opened:
        servers = [opened.enter_context(_server(**each)) for each in json.loads(sys.argv[1])]
        print(json.dumps([server.url for server in servers]), flush=True)
        for _ in sys.stdin:
            print(json.dumps([_asked(server) for server in servers]), flush=True)


if __name__ == "__main__":
    main()
