"""What others are told of a trace: names from the conventions, bytes by the protocol, no keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from dspy import lm15
from tests.runtime.tracing.desk import ANSWER, Desk, Kept, stacked

from compilm.clock import ManualClock
from compilm.errors import ConfigError, MissingExtra
from compilm.runtime.tracing import Trace
from compilm.runtime.tracing.names import VALUES, attributes_of
from compilm.runtime.tracing.otlp import headers_of, message_of, send, span_id

pytest.importorskip("opentelemetry.proto")


def trace_of(keeps: str = "texts", **settings: Any) -> Trace:
    clock = ManualClock(start=1000.0)
    script = [lm15.ServerError("down", status=500), ANSWER]
    lm = stacked(script, clock=clock, **settings)
    kept = Kept(Desk, lm, keeps=keeps, clock=clock)
    kept.runtime(question="2+2?")
    return kept.trace()


def spans_of(trace: Trace) -> list[Any]:
    (resource,) = message_of([trace]).resource_spans
    (scope,) = resource.scope_spans
    return list(scope.spans)


def told(attributes: Any) -> dict[str, Any]:
    found = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        value = getattr(one.value, kind)
        found[one.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


def test_every_name_of_the_conventions_is_one_of_theirs() -> None:
    pytest.importorskip("opentelemetry.semconv._incubating.attributes")
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, http_attributes

    listed = {**vars(gen_ai_attributes), **vars(http_attributes)}
    known = {value for name, value in listed.items() if name.isupper() and isinstance(value, str)}
    trace = trace_of()
    used = {*VALUES.values(), *(name for s in trace.spans for name in attributes_of(trace, s))}
    theirs = {name for name in used if name.startswith(("gen_ai.", "http."))}
    assert len(theirs) > 15
    assert [name for name in theirs if name not in known] == []
    assert {name for name in used if not name.startswith(("gen_ai.", "http.", "compilm."))} == {
        "error.type"
    }


def test_spans_have_their_parents_times_and_outcomes() -> None:
    trace = trace_of()
    spans = spans_of(trace)
    assert [span.name for span in spans] == [
        "Desk", "draft.predict", "chat 0", "attempt a/0", "attempt a/0", "check", "chat 0",
    ]  # fmt: skip
    ids = {span.span_id: place for place, span in enumerate(spans)}
    parents = [ids.get(span.parent_span_id) for span in spans]
    assert parents == [None, 0, 1, 2, 2, 0, 5]
    assert len(ids) == 7
    assert {span.trace_id.hex() for span in spans} == {trace.id}
    assert spans[0].start_time_unix_nano == 1000 * 10**9
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)
    assert [span.status.code for span in spans] == [1, 1, 1, 2, 1, 1, 1]
    assert [span.kind for span in spans] == [1, 1, 3, 3, 3, 1, 3]
    assert told(spans[3].attributes)["error.type"] == "LMServerError"
    (event,) = spans[2].events
    assert event.name == "compilm.retry"
    assert told(event.attributes)["compilm.error"] == "LMServerError"


def test_a_call_tells_model_tokens_and_messages() -> None:
    trace = trace_of()
    found = told(spans_of(trace)[2].attributes)
    assert found["gen_ai.operation.name"] == "chat"
    assert (found["gen_ai.provider.name"], found["gen_ai.request.model"]) == ("a", "0")
    assert found["gen_ai.prompt.name"] == "draft.predict"
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert found["gen_ai.usage.input_tokens"] == trace.calls[0].values["input_tokens"]
    (asked,) = json.loads(found["gen_ai.input.messages"])
    assert asked["role"] == "user"
    assert "2+2?" in asked["parts"][0]["content"]
    (said,) = json.loads(found["gen_ai.output.messages"])
    assert (said["role"], said["finish_reason"]) == ("assistant", "stop")
    (system,) = json.loads(found["gen_ai.system_instructions"])
    assert system["type"] == "text"


def test_tokens_of_a_providers_cache_are_among_those_that_went_in() -> None:
    from dataclasses import replace

    trace = trace_of()
    values = {"input_tokens": 100, "output_tokens": 5, "cache_read_tokens": 60}

    def said(model: str) -> int:
        call = replace(trace.calls[0], name=model, values=values)
        return attributes_of(trace, call)["gen_ai.usage.input_tokens"]  # type: ignore[no-any-return]

    assert (said("openai/gpt-5-mini"), said("anthropic/claude-haiku-4-5")) == (100, 160)


def test_numbers_are_sent_without_a_text() -> None:
    sent = message_of([trace_of("numbers")]).SerializeToString()
    assert b"2+2" not in sent
    assert b"messages" not in sent
    assert b"gen_ai.usage.input_tokens" in sent


def test_parts_that_are_no_text_are_told_by_their_kind() -> None:
    from compilm.runtime.tracing.names import _parts

    told = list(_parts([
        {"type": "thinking", "text": "hm"},
        {"type": "image", "media_type": "image/png", "data": "QUJD"},
        {"type": "tool_call", "id": "1", "name": "look", "input": {"q": 1}},
        {"type": "tool_result", "id": "1", "content": [{"type": "text", "text": "x"}]},
    ]))  # fmt: skip
    assert told == [
        {"type": "reasoning", "content": "hm"},
        {"type": "image", "media_type": "image/png"},
        {"type": "tool_call", "id": "1", "name": "look", "arguments": {"q": 1}},
        {"type": "tool_call_response", "id": "1", "response": [{"type": "text", "content": "x"}]},
    ]


def test_a_span_has_the_same_id_each_time_and_never_zero() -> None:
    trace = trace_of()
    assert [s.span_id for s in spans_of(trace)] == [s.span_id for s in spans_of(trace)]
    last = Trace("f" * 32, "Desk", "", "numbers", ())
    assert {span_id(last, n).hex() for n in range(3)} == {
        "0000000000000001", "0000000000000002", "0000000000000003",
    }  # fmt: skip


class Collector(HTTPServer):
    """A server that takes traces, or answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.answer, self.headers = 200, b"", {}  # type: ignore[var-annotated]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Takes(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        told = {name.lower(): value for name, value in self.headers.items()}
        self.server.heard.append((self.path, told, body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_traces_are_posted_a_hundred_at_a_time(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20YWI=,x-one=1")
    trace = trace_of()
    assert send([trace] * 101, collector.url, headers_of(["x-mlflow-experiment-id=7"])) == 101
    first, second = collector.heard
    assert (first[0], second[0]) == ("/v1/traces", "/v1/traces")
    assert first[1]["content-type"] == "application/x-protobuf"
    assert (first[1]["authorization"], first[1]["x-mlflow-experiment-id"]) == ("Basic YWI=", "7")
    assert second[2] == message_of([trace]).SerializeToString()


def test_a_refusal_is_told_without_a_key(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=a-key")
    collector.status, collector.answer = 401, b"who are you"
    with pytest.raises(ConfigError, match=r"does not take the traces: 401 who are you") as raised:
        send([trace_of()], collector.url, headers_of([]))
    assert "a-key" not in str(raised.value)


def test_nothing_is_followed(collector: Collector) -> None:
    collector.status, collector.headers = 307, {"location": f"{collector.url}/elsewhere"}
    with pytest.raises(ConfigError, match="307"):
        send([trace_of()], collector.url, {})
    assert len(collector.heard) == 1


def test_spans_that_were_refused_are_told(collector: Collector) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    collector.answer = answer.SerializeToString()
    with pytest.raises(ConfigError, match="refused 3 of the spans"):
        send([trace_of()], collector.url, {})
    collector.answer = b"{} is no protobuf"
    assert send([trace_of()], collector.url, {}) == 1


def test_an_address_that_is_none_is_told() -> None:
    for url in ("localhost:4318", "ftp://a.test/x", "http://"):
        with pytest.raises(ConfigError, match="takes an HTTP address"):
            send([], url, {})
    with pytest.raises(ConfigError, match="leave user and password out") as raised:
        send([], "http://me:secret@a.test", {})
    assert "secret" not in str(raised.value)
    with pytest.raises(ConfigError, match="cannot be reached"):
        send([trace_of()], "http://127.0.0.1:9/v1/traces", {})


@pytest.mark.parametrize("header", ["Authorization=x", "x-api-key=x", "x-own=sk-" + "a1" * 12])
def test_a_header_with_a_key_is_refused(header: str) -> None:
    with pytest.raises(ConfigError, match="holds a key") as raised:
        headers_of([header])
    assert "a1a1" not in str(raised.value)


def test_a_header_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        headers_of(["x-own"])


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    name = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"compilm\[otel\]"):
        message_of([])
