"""The wire: a true HTTP server that counts, fails on cue, and answers with an engine."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.testing.engines import ScriptedEngine
from compilm.testing.wire import WireServer

BODY = json.dumps({"model": "x", "messages": [{"role": "user", "content": "hi"}]}).encode()


def ask(server: WireServer, method: str = "POST", body: bytes = BODY) -> tuple[int, Any]:
    host = server.url.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(host, timeout=20)
    path = "/v1/models" if method == "GET" else "/v1/chat/completions"
    connection.request(method, path, None if method == "GET" else body)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.request("GET", "/v1/models")  # answered once the first answer is counted
    connection.getresponse().read()
    connection.close()
    return found


def test_an_answer_has_the_form_of_the_chat_api() -> None:
    with WireServer(ScriptedEngine(["yes"])) as server:
        status, body = ask(server)
    assert status == 200
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "yes"}
    assert body["usage"]["total_tokens"] == sum(
        body["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    )


def test_the_real_client_reaches_it_both_ways() -> None:
    with WireServer(ScriptedEngine([{"answer": "4"}])) as server:
        lm = dspy.LM("openai/x", api_base=server.url, api_key="k", cache=False)
        predict = dspy.Predict("question -> answer")

        async def twin() -> Any:
            found = await predict.acall(question="2+2?")
            await lm.aclose()
            return found

        with dspy.context(lm=lm):
            assert predict(question="2+2?").answer == asyncio.run(twin()).answer == "4"
        lm.close()
        assert (server.total, list(server.asked.values())) == (2, [2])


def test_failures_come_on_cue_and_are_not_counted_as_answered() -> None:
    with WireServer(ScriptedEngine(["yes"]), fail=lambda n: 503 if n == 2 else None) as server:
        statuses = [ask(server)[0] for _ in range(3)]
        assert statuses == [200, 503, 200]
        assert (server.total, server.answered.total()) == (3, 2)


@pytest.mark.parametrize(
    ("error", "status"),
    [(lm15.ServerError("down"), 500), (lm15.RateLimitError("slow", status=429), 429)],
)
def test_an_engine_that_fails_answers_as_a_provider_would(error: Exception, status: int) -> None:
    with WireServer(ScriptedEngine([error])) as server:
        found, body = ask(server)
        assert (found, body["error"]["type"]) == (status, type(error).__name__)
        assert server.answered.total() == 0


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"model": "x", "messages": 7}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with WireServer(ScriptedEngine(["yes"])) as server:
        assert ask(server, body=body)[0] == 400


def test_many_requests_side_by_side_are_all_counted() -> None:
    with WireServer(ScriptedEngine(["yes"]), latency=0.001) as server:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: ask(server)[0], range(24)))
        assert found == [200] * 24
        assert server.total == server.answered.total() == 24


def test_another_body_is_another_request() -> None:
    with WireServer(ScriptedEngine(["yes"])) as server:
        ask(server)
        ask(server, body=BODY.replace(b"hi", b"ho"))
        assert sorted(server.asked.values()) == [1, 1]


def test_an_answer_nobody_takes_is_not_counted_as_answered() -> None:
    arrived, gone, workers = threading.Event(), threading.Event(), []

    def reply(request: lm15.Request) -> str:
        workers.append(threading.current_thread())
        arrived.set()
        assert gone.wait(timeout=20)
        return "x" * 1_000_000

    with WireServer(ScriptedEngine(reply)) as server:
        port = int(server.url.rsplit(":", 1)[1].partition("/")[0])
        client = socket.create_connection(("127.0.0.1", port))
        head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(BODY)}\r\n\r\n"
        client.sendall(head.encode() + BODY)
        assert arrived.wait(timeout=20)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        gone.set()
        workers[0].join(timeout=20)
        assert (server.total, server.answered.total()) == (1, 0)


def test_the_list_of_models_is_there_and_empty() -> None:
    with WireServer(ScriptedEngine(["yes"])) as server:
        assert ask(server, "GET") == (200, {"object": "list", "data": []})
        assert server.total == 0


def test_after_the_end_nothing_listens() -> None:
    with WireServer(ScriptedEngine(["yes"])) as server:
        port = int(server.url.rsplit(":", 1)[1].partition("/")[0])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
