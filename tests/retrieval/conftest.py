"""A server of embeddings on this computer: OpenAI's form, numbers that tests can foresee."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


def vector_of(text: str, width: int = 4) -> list[float]:
    """What the server gives for a text."""
    return [float(len(text) + place) for place in range(width)]


class EmbeddingServer:
    """Answers `/embeddings`; `replies` (a status with headers and a body) come before vectors."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.replies: list[tuple[int, dict[str, str], Any]] = []
        self.lock = threading.Lock()  # protects the three
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.answer(self, body)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self.lock:
            self.asked.append(body)
            self.keys.append(handler.headers.get("authorization"))
            status, headers, said = self.replies.pop(0) if self.replies else (200, {}, None)
        if said is None:
            said = self._vectors(body)
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        handler.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        width = body.get("dimensions", 4)
        data = [
            {"object": "embedding", "index": place, "embedding": vector_of(text, width)}
            for place, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        # Last first: what counts is `index`.
        return {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def embedding_server() -> Iterator[EmbeddingServer]:
    """A server that gives vectors until it is told to fail."""
    server = EmbeddingServer()
    yield server
    server.close()
