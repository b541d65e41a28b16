"""The Responses wire, coming in: answers and streams, and that DSPy's own engine reads the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from dspy import lm15

from compilm.runtime.engines import lean
from compilm.runtime.engines.failures import told
from compilm.runtime.engines.responses_answer import responses_answer
from compilm.runtime.engines.responses_stream import ResponsesReader
from compilm.runtime.engines.wire import Asked, WireFailure
from compilm.testing.engine_kit import every_way
from compilm.testing.spoken import spoken

HI = (lm15.Message.user("hi"),)
STATE = lm15.ContinuationState("openai", "reasoning_item", {"id": "rs_1", "encrypted_content": "e"})


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"{kind}_1", **fields}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": [], **fields}


FULL: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1.0,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "gpt-5-2025",
    "service_tier": "default",
    "output": [
        item(
            "reasoning",
            summary=[{"type": "summary_text", "text": s} for s in ("First.", "Then.")],
            encrypted_content="gAAA",
        ),
        item("web_search_call", status="completed", action={"type": "search", "query": "x"}),
        item(
            "message",
            role="assistant",
            status="completed",
            content=[
                text(
                    "Bern is the seat.",
                    annotations=[
                        {
                            "type": "url_citation",
                            "url": "http://a.example",
                            "title": "A",
                            "start_index": 0,
                            "end_index": 4,
                        }
                    ],
                    logprobs=[
                        {"token": "Bern", "logprob": -0.1, "bytes": [66], "top_logprobs": []}
                    ],
                ),
                text("It is small."),
            ],
        ),
        item("function_call", call_id="c1", name="f", arguments='{"a":1}', status="completed"),
    ],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 7},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 9},
        "total_tokens": 50,
    },
}
ANSWER = responses_answer(FULL, Asked({}), lm15.Request("m", HI))


def test_every_kind_of_item_is_read() -> None:
    thought, first, cited, second, call = ANSWER.message.parts
    assert (thought.text, thought.continuation[0].data["encrypted_content"]) == (
        "First.\nThen.",
        "gAAA",
    )
    assert (first.text, cited.text, second.text) == ("Bern is the seat.", "Bern", "It is small.")
    assert (call.name, call.input, ANSWER.finish_reason) == ("f", {"a": 1}, "tool_call")
    assert ANSWER.usage == lm15.Usage(
        20, 30, 50, cache_read_tokens=5, cache_write_tokens=7, reasoning_tokens=9
    )
    assert ANSWER.provider_data == {"service_tier": "default"}


class Fixed:
    """A server that says the same bytes to everyone."""

    def __init__(self, kind: str, data: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def rich(finish: str) -> lm15.Response:
    parts: list[Any] = [lm15.ThinkingPart("Let me look.", (STATE,)), lm15.TextPart("I look. ä中😀")]
    if finish == "tool_call":
        parts += [
            lm15.ToolCallPart("c1", "weather", {"city": "Zürich"}),
            lm15.ToolCallPart("c2", "time", {}),
        ]
    usage = lm15.Usage(20, 30, 50, cache_read_tokens=5, cache_write_tokens=0, reasoning_tokens=9)
    return lm15.Response("id-2", "m-1", lm15.Message("assistant", tuple(parts)), finish, usage)


def core(response: lm15.Response) -> tuple[Any, ...]:
    return (
        response.id,
        response.model,
        response.message,
        response.finish_reason,
        response.usage,
        response.logprobs,
    )


@pytest.mark.parametrize("finish", ["stop", "length", "tool_call", "full"])
def test_dspy_s_engine_reads_the_same_in_the_same_bytes(finish: str) -> None:
    body = FULL if finish == "full" else spoken(rich(finish), "/v1/responses").whole
    request = lm15.Request("m-1", HI)
    with Fixed("application/json", json.dumps(body).encode()) as url:
        theirs = lm15.OpenAILM(api_key="k", base_url=url).complete(request)
        ours = lean("openai-responses", url, api_key="k").sync.complete(request)
    assert core(ours) == core(theirs)


@pytest.mark.parametrize("finish", ["stop", "tool_call"])
def test_dspy_s_engine_reads_the_same_in_the_same_stream(finish: str) -> None:
    data, request = b"".join(spoken(rich(finish), "/v1/responses").events), lm15.Request("m-1", HI)
    with Fixed("text/event-stream", data) as url:
        theirs = lm15.OpenAILM(api_key="k", base_url=url)
        ours = lean("openai-responses", url, api_key="k").sync
        found = [lm15.materialize_response(e.stream(request), request) for e in (ours, theirs)]
    assert core(found[0]) == core(found[1])


def test_a_stand_in_speaks_as_the_official_types_say() -> None:
    from openai.types.responses import Response, ResponseStreamEvent
    from pydantic import TypeAdapter

    said = spoken(rich("tool_call"), "/v1/responses")
    settings = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
    for body in (said.whole, FULL | settings):
        Response.model_validate(body)
    known: Any = TypeAdapter(ResponseStreamEvent)
    for event in said.events:
        known.validate_python(json.loads(event.partition(b"data: ")[2]))


ONE_EACH: dict[str, Any] = {
    **FULL,
    "output": [
        item("reasoning", summary=[]),
        item("message", role="assistant", content=[text("Bern.")]),
        item("function_call", call_id="c", name="look", arguments='{"city":"Bern"}'),
    ],
}


def read(events: list[dict[str, Any]], **config: Any) -> lm15.Response:
    request = lm15.Request("m", HI, config=lm15.Config(**config))
    reader = ResponsesReader(Asked({}), request)

    def all_of() -> Iterator[Any]:
        for event in events:
            yield from reader.feed(event)
        yield from reader.end()

    return lm15.materialize_response(all_of(), request)


def grown(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events in which a body grows: one delta for each text in it."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**body, "output": []}}
    ]
    for place, item in enumerate(body["output"]):
        at = {"output_index": place}
        bare = {**item, "arguments": ""} if "arguments" in item else item
        events.append({"type": "response.output_item.added", **at, "item": bare})
        for n, summary in enumerate(item.get("summary", [])):
            delta = {"summary_index": n, "delta": summary["text"]}
            events.append({"type": "response.reasoning_summary_text.delta", **at, **delta})
        for n, content in enumerate(item.get("content", [])):
            here = {**at, "content_index": n}
            delta = {"delta": content["text"], "logprobs": content["logprobs"]}
            events.append({"type": "response.output_text.delta", **here, **delta})
            for source in content["annotations"]:
                kind = "response.output_text.annotation.added"
                events.append({"type": kind, **here, "annotation": source})
        if "arguments" in item:
            kind = "response.function_call_arguments.delta"
            events.append({"type": kind, **at, "delta": item["arguments"]})
        events.append({"type": "response.output_item.done", **at, "item": item})
    return [*events, {"type": f"response.{body['status']}", "response": body}]


def test_a_stream_gives_what_the_body_gives_part_by_part() -> None:
    assert read(grown(FULL)) == ANSWER


def said(response: lm15.Response) -> list[Any]:
    """The texts and the inputs of tools."""
    parts = response.message.parts
    texts = [part.text for part in parts if part.type == "text"]
    return texts + [part.input for part in parts if part.type == "tool_call"]


@pytest.mark.parametrize("gone", ["arguments.delta", "output_text.delta", "delta"])
def test_what_a_server_tells_at_the_end_alone_is_in_the_answer_and_once(gone: str) -> None:
    """Some that speak this wire send no deltas of a tool's input, or none at all."""
    told = [event for event in grown(FULL) if gone not in event["type"]]
    assert len(told) < len(grown(FULL))
    found, body = read(told), responses_answer(FULL, Asked({}), lm15.Request("m", HI))
    assert said(found) == said(body) != []
    assert found.finish_reason == "tool_call"


def test_a_server_that_numbers_its_pieces_badly_is_not_heard_twice() -> None:
    told = [dict(event) for event in grown(ONE_EACH)]
    for event in told:
        event.pop("content_index", None)
    assert said(read(told)) == ["Bern.", {"city": "Bern"}]


@pytest.mark.parametrize("said", ["one EN two END three", "one EN two EN", "END", "E"])
def test_a_stop_sequence_ends_the_text_whole_or_in_pieces(said: str) -> None:
    body = {**FULL, "output": [item("message", role="assistant", content=[text(said)])]}
    whole = responses_answer(
        body, Asked({}), lm15.Request("m", HI, config=lm15.Config(stop=("END",)))
    )
    pieces = grown(body)
    delta = next(e for e in pieces if e["type"] == "response.output_text.delta")
    place = pieces.index(delta)
    pieces[place : place + 1] = [{**delta, "delta": char, "logprobs": []} for char in said]
    begun = {"type": "response.content_part.added", "output_index": 0, "content_index": 0}
    pieces.insert(place, {**begun, "part": {"type": "output_text"}})
    streamed = read(pieces, stop=("END",))
    expected = said.partition("END")[0]
    assert (whole.text, whole.finish_reason, whole.usage.output_tokens) == (expected, "stop", 30)
    assert core(streamed) == core(whole)


def test_a_refusal_has_a_finish_that_no_cache_keeps() -> None:
    no = [{"type": "refusal", "refusal": "I will not."}]
    body = {**FULL, "output": [item("message", role="assistant", content=no)]}
    said = responses_answer(body, Asked({}), lm15.Request("m", HI))
    assert (said.message.parts[0].type, said.finish_reason) == ("refusal", "content_filter")
    events = [
        {"type": "response.created", "response": {}},
        {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "No."},
        {"type": "response.completed", "response": body},
    ]
    streamed = read(events)
    assert (streamed.text, streamed.finish_reason) == ("No.", "content_filter")


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_says_why_and_may_be_empty(reason: str, finish: str) -> None:
    thought = FULL["output"][:1]
    body = {**FULL, "status": "incomplete", "incomplete_details": {"reason": reason}}
    for found in (
        responses_answer({**body, "output": thought}, Asked({}), lm15.Request("m", HI)),
        read(grown({**body, "output": thought})),
    ):
        assert (found.text or "", found.finish_reason) == ("", finish)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"output": None}, "malformed"),
        ({"output": []}, "malformed"),
        ({"output": FULL["output"][:2]}, "malformed"),
        ({"output": [item("function_call", call_id="c", arguments="{}")]}, "malformed"),
        ({"status": "in_progress"}, "unfinished"),
        ({"status": None}, "unfinished"),
        ({"status": "failed", "error": {"code": "server_error", "message": "x"}}, "event"),
        ({"status": "cancelled"}, "event"),
    ],
)
def test_nothing_is_made_up_where_an_answer_is_missing(change: dict[str, Any], kind: str) -> None:
    with pytest.raises(WireFailure) as caught:
        responses_answer({**FULL, **change}, Asked({}), lm15.Request("m", HI))
    assert caught.value.kind == kind


BEGUN = {"type": "response.created", "response": {"id": "r", "model": "m"}}
PIECE = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "x"}


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ([], lm15.TransportError),
        ([{"type": "error", "code": "server_error", "message": "x"}], lm15.ServerError),
        ([{"type": "error", "error": {"code": "rate_limit_exceeded"}}], lm15.RateLimitError),
        (
            [
                {
                    "type": "response.failed",
                    "response": {"status": "failed", "error": {"code": "invalid_image_url"}},
                }
            ],
            lm15.InvalidRequestError,
        ),
        ([{"type": "response.function_call_arguments.delta", "output_index": 3}], lm15.ServerError),
    ],
)
def test_a_stream_that_fails_or_stops_is_one_error(last: Any, error: type[Exception]) -> None:
    with pytest.raises(WireFailure) as caught:
        read([BEGUN, PIECE, *last])
    assert type(told(caught.value, "openai-responses", lm15.Request("m", HI))) is error


def test_an_answer_over_the_wire_is_cut_in_all_four_ways() -> None:
    from compilm.testing.engines import ScriptedEngine
    from compilm.testing.faults import FaultServer

    request = lm15.Request("m", HI, config=lm15.Config(stop=("END",)))
    with FaultServer(ScriptedEngine(["a longer answer END and more"])) as server:
        pair = lean("openai-responses", f"{server.url}/v1", api_key="k")
        assert [each.text for each in every_way(pair, request)] == ["a longer answer "] * 4
        pair.sync.close()
