"""Anthropic Messages, coming in: a body as a response, events as events; all of it or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dspy import lm15

from .answer import counted, response, text_part
from .wire import Asked, Payload, WireFailure

__all__ = ["MessagesReader", "messages_answer"]

_FINISH = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the provider stopped in the middle and wants to be asked on
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
_WITHOUT_CONTENT = {"length", "content_filter"}


def messages_answer(payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
    """The response in a body; `WireFailure` where the body holds no finished answer."""
    if not isinstance(payload, dict):
        raise WireFailure("malformed", "it is not a JSON object", body=payload)
    if payload.get("type") == "error" or payload.get("error"):
        raise WireFailure("event", body=payload)
    content = payload.get("content")
    if not isinstance(content, list):
        raise WireFailure("malformed", "it holds no content", body=payload)
    parts = [part for block in content for part in _parts(block)]
    finish = _finish(payload.get("stop_reason"), payload)
    if not parts:
        if finish not in _WITHOUT_CONTENT:
            raise WireFailure("malformed", "its content is empty", body=payload)
        parts.append(text_part(""))
    counts = payload.get("usage") or {}
    return response(
        payload,
        asked,
        request,
        parts,
        finish=finish,
        usage=_usage(counts),
        kept=_kept(payload.get("stop_sequence"), counts),
    )


def _finish(raw: Any, payload: Any) -> str:
    if not raw:
        raise WireFailure("unfinished", "it has no stop reason", body=payload)
    return _FINISH.get(str(raw), "stop")


def _parts(block: Payload) -> Iterator[Any]:
    kind = block.get("type")
    if kind == "text":
        if block.get("text"):
            yield text_part(block["text"])
        for citation in block.get("citations") or []:
            if source := _citation(citation):
                yield lm15.CitationPart(**source)
    elif kind == "tool_use":
        if not block.get("name"):
            raise WireFailure("malformed", "it calls a tool without a name", body=block)
        yield lm15.ToolCallPart(str(block["id"]), block["name"], block.get("input") or {})
    elif kind == "thinking":
        yield lm15.ThinkingPart(block.get("thinking") or "", _signature(block.get("signature")))
    elif kind == "redacted_thinking":
        yield lm15.ThinkingPart("", _state("redacted_thinking", {"data": block.get("data")}))


def _state(kind: str, data: Payload) -> tuple[Any, ...]:
    return (lm15.ContinuationState("anthropic", kind, data),)


def _signature(signature: Any) -> tuple[Any, ...]:
    return _state("thinking_signature", {"signature": signature}) if signature else ()


def _citation(raw: Payload) -> dict[str, str]:
    found = {
        "url": raw.get("url"),
        "title": raw.get("title") or raw.get("document_title"),
        "text": raw.get("cited_text"),
    }
    return {name: str(value) for name, value in found.items() if value}


def _usage(raw: Payload) -> lm15.Usage:
    thought = (raw.get("output_tokens_details") or {}).get("thinking_tokens")
    return counted(
        raw.get("input_tokens"),
        raw.get("output_tokens"),
        read=raw.get("cache_read_input_tokens"),
        written=raw.get("cache_creation_input_tokens"),
        thought=thought,
    )


def _kept(stop_sequence: Any, usage: Payload) -> Payload | None:
    kept = {"stop_sequence": stop_sequence, "service_tier": usage.get("service_tier")}
    return {name: value for name, value in kept.items() if value} or None


class MessagesReader:
    """The events of one streamed answer."""

    def __init__(self, asked: Asked, request: lm15.Request) -> None:
        self._asked, self._request = asked, request
        self._kinds: dict[int, str] = {}
        self._usage: Payload = {}
        self._stop: Any = None
        self._stop_sequence: Any = None
        self._started = self._stopped = self._spoke = False

    def feed(self, payload: Payload) -> Iterator[Any]:
        if not isinstance(payload, dict):
            raise WireFailure("malformed", "an event is not a JSON object", body=payload)
        kind = payload.get("type")
        if kind == "error" or payload.get("error"):
            raise WireFailure("event", body=payload)
        if kind == "message_start":
            self._started, message = True, payload.get("message") or {}
            self._count(message.get("usage"))
            model = message.get("model") or self._request.model
            yield lm15.StreamStartEvent(message.get("id") or None, model, self._asked.notes)
        elif kind == "content_block_start":
            yield from self._open(payload["index"], payload.get("content_block") or {})
        elif kind == "content_block_delta":
            yield from self._delta(payload["index"], payload.get("delta") or {})
        elif kind == "message_delta":
            self._count(payload.get("usage"))
            delta = payload.get("delta") or {}
            self._stop = delta.get("stop_reason") or self._stop
            self._stop_sequence = delta.get("stop_sequence") or self._stop_sequence
        elif kind == "message_stop":
            self._stopped = True

    def _count(self, usage: Any) -> None:
        self._usage.update({k: v for k, v in (usage or {}).items() if v is not None})

    def _open(self, index: int, block: Payload) -> Iterator[Any]:
        kind = self._kinds[index] = str(block.get("type"))
        if kind == "tool_use":
            if not block.get("name"):
                raise WireFailure("malformed", "it calls a tool without a name", body=block)
            given = json.dumps(block["input"]) if block.get("input") else ""
            delta = lm15.ToolCallDelta(given, index, str(block["id"]), block["name"])
            yield self._spoken(delta)
        elif kind == "text" and block.get("text"):
            yield self._spoken(lm15.TextDelta(block["text"], index))
        elif kind in {"thinking", "redacted_thinking"}:
            yield self._spoken(lm15.ThinkingDelta(block.get("thinking") or "", index))
            if kind == "redacted_thinking":
                hidden = {"data": block.get("data")}
                state = lm15.ContinuationDelta("anthropic", kind, hidden, index)
                yield lm15.StreamDeltaEvent(state)

    def _delta(self, index: int, delta: Payload) -> Iterator[Any]:
        kind, opened = delta.get("type"), self._kinds.get(index)
        if kind == "text_delta" and delta.get("text"):
            yield self._spoken(lm15.TextDelta(delta["text"], index))
        elif kind == "input_json_delta" and opened == "tool_use":
            yield self._spoken(lm15.ToolCallDelta(delta.get("partial_json") or "", index))
        elif kind == "thinking_delta":
            yield self._spoken(lm15.ThinkingDelta(delta.get("thinking") or "", index))
        elif kind == "signature_delta" and delta.get("signature"):
            signed = {"signature": delta["signature"]}
            state = lm15.ContinuationDelta("anthropic", "thinking_signature", signed, index)
            yield lm15.StreamDeltaEvent(state)
        elif kind == "citations_delta" and (source := _citation(delta.get("citation") or {})):
            yield self._spoken(lm15.CitationDelta(**source, part_index=index))

    def _spoken(self, delta: Any) -> Any:
        self._spoke = True
        return lm15.StreamDeltaEvent(delta)

    def end(self) -> Iterator[Any]:
        if not self._started:
            raise WireFailure("malformed", "it is not a stream of events")
        finish = _finish(self._stop if self._stopped else None, None)
        if not self._spoke and finish not in _WITHOUT_CONTENT:
            raise WireFailure("malformed", "the stream held no content")
        kept = _kept(self._stop_sequence, self._usage)
        yield lm15.StreamEndEvent(finish, _usage(self._usage), kept)
