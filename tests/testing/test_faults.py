"""The fault server: two true wires, faults by script or by rate, all of it counted."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from dspy import lm15

from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import OK, FaultServer, Seen

CHAT = {"model": "x", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {**CHAT, "max_tokens": 5}
RESPONSES = {"model": "x", "input": "hi"}


def ask(server: FaultServer, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    connection.request("POST", path, json.dumps(body))
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_each_wire_answers_with_the_engine() -> None:
    with FaultServer(ScriptedEngine(["yes", "no", "maybe"])) as server:
        chat = json.loads(ask(server, "/v1/chat/completions", CHAT)[2])
        said = json.loads(ask(server, "/v1/messages", MESSAGES)[2])
        third = json.loads(ask(server, "/v1/responses", RESPONSES)[2])
    assert chat["choices"][0]["message"]["content"] == "yes"
    assert said["content"] == [{"type": "text", "text": "no"}]
    assert third["output"][0]["content"][0]["text"] == "maybe"
    assert [seen.path for seen in server.seen] == [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/responses",
    ]


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)]
)
def test_a_stream_is_events_to_the_finish_marker(path: str, body: dict[str, Any]) -> None:
    with FaultServer(ScriptedEngine(["a longer answer"])) as server:
        _, headers, data = ask(server, path, {**body, "stream": True})
    assert headers["content-type"] == "text/event-stream"
    last = b"data: [DONE]" if path.endswith("completions") else b'{"type": "message_stop"}'
    assert data.rstrip().endswith(last)
    assert data.count(b"data: ") > 4


def test_an_unfinished_stream_ends_cleanly_without_its_marker() -> None:
    with FaultServer(ScriptedEngine(["yes"]), script=["unfinished"]) as server:
        status, _, data = ask(server, "/v1/chat/completions", {**CHAT, "stream": True})
    assert status == 200
    assert b"yes" in data
    assert b"[DONE]" not in data
    assert b'"finish_reason": "stop"' not in data


def test_a_script_is_followed_and_its_last_entry_repeats() -> None:
    with FaultServer(ScriptedEngine(["yes"]), script=["429-after", "500", OK]) as server:
        answers = [ask(server, "/v1/messages", MESSAGES) for _ in range(4)]
    assert [status for status, _, _ in answers] == [429, 500, 200, 200]
    assert answers[0][1]["retry-after"] == "2"
    assert server.counts == {"429-after": 1, "500": 1, OK: 2}


def test_counts_can_be_read_while_a_request_that_was_left_behind_arrives() -> None:
    server = FaultServer(ScriptedEngine(["yes"]))
    server.arrived(Seen("/v1/messages", {}, {}, "500"))
    for fault in server.counts:
        server.arrived(Seen("/v1/messages", {}, {}, f"after {fault}"))
    assert server.counts == {"500": 1, "after 500": 1}


def test_a_mix_comes_at_its_rates_and_again_from_its_seed() -> None:
    def drawn(seed: int) -> list[str]:
        return FaultServer(ScriptedEngine(["y"]), mix={"500": 0.2, "hang": 0.1}, seed=seed).draw(
            4000
        )

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert abs(first.count("500") / 4000 - 0.2) < 0.03
    assert abs(first.count("hang") / 4000 - 0.1) < 0.03


def test_a_mix_puts_its_faults_in_the_way_of_requests() -> None:
    with FaultServer(ScriptedEngine(["yes"]), mix={"500": 0.5}, seed=3) as server:
        statuses = [ask(server, "/v1/messages", MESSAGES)[0] for _ in range(20)]
    assert server.counts["500"] == statuses.count(500)
    assert 0 < statuses.count(500) < 20


def test_faults_by_content_do_not_depend_on_what_else_arrives() -> None:
    def drawn(*texts: str) -> list[tuple[str, str]]:
        server = FaultServer(ScriptedEngine(["y"]), mix={"500": 0.3}, seed=1, by_content=True)
        return [(text, server.next_fault({"text": text})) for text in texts]

    texts = [f"{number % 200}" for number in range(1000)]  # each five times
    found = drawn(*texts)
    assert sorted(found) == sorted(drawn(*reversed(texts)))
    assert abs([fault for _, fault in found].count("500") / 1000 - 0.3) < 0.05
    fates = {text: {fault for one, fault in found if one == text} for text in texts}
    assert any(len(each) == 2 for each in fates.values())  # another attempt may fare otherwise


@pytest.mark.parametrize("given", [{"script": ["flood"]}, {"mix": {"500": 1.1}}, {"script": []}])
def test_what_is_no_fault_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="faults are 400"):
        FaultServer(ScriptedEngine(["yes"]), **given)


def test_an_engine_that_fails_is_told_as_a_provider_would() -> None:
    with FaultServer(ScriptedEngine([lm15.RateLimitError("slow", status=429)])) as server:
        assert ask(server, "/v1/messages", MESSAGES)[0] == 429
