"""An OpenAI-compatible server on loopback that answers with any engine: the true wire, no model.

It speaks `POST /v1/chat/completions` (not streamed) and `GET /v1/models`, counts what arrives, and
can be told to fail. Programs under test reach it through the real client, as they would a provider.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from dspy import lm15

from ..engine import Engine
from ..programs.chat_form import chat_completion

__all__ = ["WireServer"]

Failure = Callable[[int], int | None]


class WireServer:
    """A context manager that serves `engine` on 127.0.0.1; `url` is its base URL.

    `asked` counts requests by a digest of their body, `answered` those whose answer was written
    out whole. `fail(n)` may give an HTTP status for the n-th request (from 1) instead of an
    answer. `latency` seconds pass before each answer.
    """

    def __init__(
        self, engine: Engine, *, fail: Failure | None = None, latency: float = 0.0
    ) -> None:
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.engine, self.fail, self.latency = engine, fail, latency
        self._lock = threading.Lock()  # protects the counters
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """The base URL to configure, such as `http://127.0.0.1:4711/v1`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def total(self) -> int:
        """How many requests arrived."""
        return self.asked.total()

    def __enter__(self) -> WireServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: bytes) -> tuple[int, dict[str, Any], str]:
        """Status, body and digest for one request."""
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            self.asked[digest] += 1
            place = self.asked.total()
        if self.latency:
            time.sleep(self.latency)
        status = self.fail(place) if self.fail is not None else None
        if status is not None:
            return status, {"error": {"message": f"failure on cue ({status})"}}, digest
        try:
            request = lm15.request_from_openai_chat(json.loads(body))
            return 200, chat_completion(self.engine.complete(request)), digest
        except (lm15.LM15Error, TypeError, ValueError) as error:  # told as a provider would
            wrong = 500 if isinstance(error, lm15.LM15Error) else 400
            failed = {"error": {"message": str(error), "type": type(error).__name__}}
            return getattr(error, "status", None) or wrong, failed, digest

    def delivered(self, digest: str) -> None:
        """The answer to this request was written out whole."""
        with self._lock:
            self.answered[digest] += 1


def _handler(server: WireServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body leave in one packet: no wait for an acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, answer, digest = server.answer(body)
            try:
                self._send(status, answer)
            except OSError:
                return  # the client is gone; the answer was not delivered
            if status == 200:
                server.delivered(digest)

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": []})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            """Silence: the counters tell."""

    return Handler
