"""Traces sent on by OTLP over HTTP, as protobuf, to whoever takes OpenTelemetry's spans.

The messages are built straight from what is recorded: OpenTelemetry's SDK makes spans as things
happen, and these are over.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from ...artifact.secrets import secret_in
from ...errors import ConfigError, MissingExtra
from .names import EVENTS, attributes_of, name_of
from .span import Span, Trace

__all__ = ["headers_of", "message_of", "send", "span_id"]

_AT_ONCE = 100  # traces in one request
_PATIENCE = 30.0  # seconds for one request
_SECRET = {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}
_VARIABLES = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_CLIENT, _INTERNAL = 3, 1  # kinds of spans, and below what became of them, as OTLP numbers them
_OK, _ERROR = 1, 2


def headers_of(given: Iterable[str]) -> dict[str, str]:
    """The headers in `NAME=VALUE`, over those that OpenTelemetry's own variables name.

    Raises `ConfigError` for one that holds a key: these come from the environment alone.

    >>> headers_of(["x-mlflow-experiment-id=1"])
    {'x-mlflow-experiment-id': '1'}
    """
    found: dict[str, str] = {}
    for variable in _VARIABLES:
        for pair in filter(None, os.environ.get(variable, "").split(",")):
            name, _, value = pair.partition("=")
            found[name.strip().lower()] = unquote(value.strip())
    for pair in given:
        name, equals, value = pair.partition("=")
        name = name.strip().lower()
        if not equals or not name:
            raise ConfigError(f"a header is NAME=VALUE, as x-mlflow-experiment-id=1; {name!r} has"
                              " no value")  # fmt: skip
        if name in _SECRET or secret_in({name: value}):
            raise ConfigError(f"header {name!r} holds a key: set it in {_VARIABLES[0]} instead")
        found[name] = value.strip()
    return found


def send(traces: Sequence[Trace], url: str, headers: Mapping[str, str]) -> int:
    """Send these traces to `url`, a hundred at a time; how many were taken.

    Spans keep their ids, so that one sent twice is the same. Raises `MissingExtra` without
    opentelemetry-proto, and `ConfigError` where the address takes none.
    """
    address = _address(url)
    told = {"content-type": "application/x-protobuf", **headers}
    for start in range(0, len(traces), _AT_ONCE):
        body = message_of(traces[start : start + _AT_ONCE]).SerializeToString()
        _post(urllib.request.Request(address, data=body, headers=told, method="POST"))
    return len(traces)


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("--export takes an HTTP address, as http://127.0.0.1:4318/v1/traces")
    if parts.username or parts.password:
        raise ConfigError(f"--export: leave user and password out, and set {_VARIABLES[0]}")
    return url if parts.path.strip("/") else parts._replace(path="/v1/traces").geturl()


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nothing: headers may hold a key, which is for this address."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(request: urllib.request.Request) -> None:
    place = urlsplit(request.full_url)
    where = f"{place.scheme}://{place.hostname}{place.path}"
    try:
        with urllib.request.build_opener(_Straight()).open(request, timeout=_PATIENCE) as answer:
            refused = _refused(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", "replace").strip()
        raise ConfigError(f"{where} does not take the traces: {error.code} {said}") from None
    except OSError as error:
        raise ConfigError(f"{where} cannot be reached: {error}") from None
    if refused:
        raise ConfigError(f"{where} refused {refused} of the spans; the others were taken")


def _refused(answer: bytes) -> int:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        told = ExportTraceServiceResponse.FromString(answer)
    except Exception:  # border: it said 200, and not every server says it as the protocol wants
        return 0
    return int(told.partial_success.rejected_spans)


def message_of(traces: Iterable[Trace]) -> Any:
    """The traces as one `ExportTraceServiceRequest`."""
    try:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )
    except ImportError as error:
        raise MissingExtra(
            "opentelemetry-proto", extra="otel", purpose="send traces by OTLP"
        ) from error
    from ... import __version__

    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    name = os.environ.get("OTEL_SERVICE_NAME") or "compilm"
    _set(resource.resource.attributes, {"service.name": name})
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "compilm", __version__
    for trace in traces:
        for span in trace.spans:
            _fill(scope.spans.add(), trace, span)
    return request


def span_id(trace: Trace, number: int) -> bytes:
    """The eight bytes by which others know a span: the same each time it is sent.

    >>> root = Span(0, None, "program", "Desk", 0.0, 0.1)
    >>> span_id(Trace("ab" * 16, "Desk", "sha256:ab", "numbers", (root,)), 0).hex()
    'abababababababac'
    """
    # None may be 0, and a viewer that knows spans by this alone must not mix two traces.
    return ((int(trace.id[16:], 16) + number) % (2**64 - 1) + 1).to_bytes(8, "big")


def _fill(told: Any, trace: Trace, span: Span) -> None:
    told.trace_id, told.span_id = bytes.fromhex(trace.id), span_id(trace, span.number)
    if span.parent is not None:
        told.parent_span_id = span_id(trace, span.parent)
    told.name = name_of(span)
    told.kind = _CLIENT if span.kind in ("call", "attempt") else _INTERNAL
    told.start_time_unix_nano = _nanos(span.start)
    told.end_time_unix_nano = _nanos(span.start + span.seconds)
    told.status.code = _OK if span.error is None else _ERROR
    _set(told.attributes, attributes_of(trace, span))
    for event in span.events:
        one = told.events.add()
        one.name, one.time_unix_nano = f"{EVENTS}{event.name}", _nanos(event.at)
        _set(one.attributes, {f"{EVENTS}{key}": value for key, value in event.values.items()})


def _nanos(seconds: float) -> int:
    return round(seconds * 1e6) * 1000  # a float of today has no more


def _set(attributes: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        one = attributes.add()
        one.key = name
        _put(one.value, value)


def _put(place: Any, value: Any) -> None:
    if isinstance(value, bool):
        place.bool_value = value
    elif isinstance(value, int):
        place.int_value = value
    elif isinstance(value, float):
        place.double_value = value
    elif isinstance(value, (list, tuple)):
        for item in value:
            _put(place.array_value.values.add(), item)
    else:
        place.string_value = str(value)
