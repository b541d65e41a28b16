"""Chat Completions, coming in: a body as a response, chunks as events; all of it or an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dspy import lm15

from .answer import counted, response, text_part
from .parts import tool_input
from .wire import Asked, Payload, WireFailure

__all__ = ["ChatReader", "chat_answer", "token_scores"]

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}
_THINKING, _TEXT, _CITATIONS, _TOOLS = 0, 1, 2, 3  # the order of parts, streamed or not


def chat_answer(payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
    """The response in a body; `WireFailure` where the body holds no finished answer."""
    choice = _choice(payload)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise WireFailure("malformed", "its choice holds no message", body=payload)
    parts = [*_said(message), *_called(message)]
    kinds = {part.type for part in parts}
    refused, called = "refusal" in kinds, "tool_call" in kinds
    finish = _finish(choice.get("finish_reason"), called, refused, payload)
    if not parts or not (called or refused or _spoke(message)):
        if finish not in {"length", "content_filter"}:
            raise WireFailure("malformed", "its message holds no content", body=payload)
        parts.append(text_part(""))
    scores = choice.get("logprobs") or {}
    return response(
        payload,
        asked,
        request,
        parts,
        finish=finish,
        usage=_usage(payload.get("usage")),
        logprobs=token_scores(scores.get("content")) or None,
        kept=_kept(payload),
    )


def _choice(payload: Any) -> Payload:
    if not isinstance(payload, dict):
        raise WireFailure("malformed", "it is not a JSON object", body=payload)
    if payload.get("error"):
        raise WireFailure("event", body=payload)
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise WireFailure("malformed", "it holds no choices", body=payload)
    return choices[0]


def _spoke(message: Payload) -> bool:
    return isinstance(message.get("content"), str | list)


def _said(message: Payload) -> Iterator[Any]:
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str) and thought:
        yield lm15.ThinkingPart(thought)
    if _spoke(message):
        yield text_part(_content_text(message["content"]))
    for citation in _citations(message):
        yield lm15.CitationPart(**citation)
    if message.get("refusal"):
        yield lm15.RefusalPart(str(message["refusal"]))


def _content_text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(b.get("text", "")) for b in content if b.get("type") == "text")


def _citations(message: Payload) -> Iterator[dict[str, str]]:
    for entry in message.get("annotations") or []:
        source = entry.get("url_citation") or {}
        found = {name: str(source[name]) for name in ("url", "title") if source.get(name)}
        if found:
            yield found


def _called(message: Payload) -> Iterator[Any]:
    for place, call in enumerate(message.get("tool_calls") or []):
        function = call.get("function") or {}
        if not function.get("name"):
            raise WireFailure("malformed", "it calls a tool without a name", body=message)
        name, given = str(function["name"]), call.get("id")
        call_id = str(given) if given else f"tool_call_{_TOOLS + place}"
        yield lm15.ToolCallPart(call_id, name, tool_input(function.get("arguments")))


def _finish(raw: Any, called: bool, refused: bool, payload: Any) -> str:
    if raw == "error":
        raise WireFailure("event", "the model failed while it answered", body=payload)
    if not raw:
        raise WireFailure("unfinished", "it has no finish reason", body=payload)
    if called and raw not in {"length", "content_filter"}:
        return "tool_call"
    return "content_filter" if refused else _FINISH.get(str(raw), "stop")


def _kept(payload: Payload) -> Payload | None:
    names = ("service_tier", "system_fingerprint")
    return {name: payload[name] for name in names if payload.get(name)} or None


def _usage(raw: Any) -> lm15.Usage:
    if not isinstance(raw, dict):
        return lm15.Usage()
    sent = raw.get("prompt_tokens_details") or {}
    got = raw.get("completion_tokens_details") or {}
    return counted(
        raw.get("prompt_tokens"),
        raw.get("completion_tokens"),
        raw.get("total_tokens"),
        read=sent.get("cached_tokens"),
        thought=got.get("reasoning_tokens"),
        heard=sent.get("audio_tokens"),
        spoken=got.get("audio_tokens"),
    )


def token_scores(entries: Any) -> tuple[lm15.TokenLogprob, ...]:
    """Log-probabilities (natural logarithm) of each token, with the alternatives reported.

    >>> token_scores([{"token": "a", "logprob": -0.5, "top_logprobs": []}])[0].logprob
    -0.5
    """
    return tuple(
        lm15.TokenLogprob(
            str(entry["token"]),
            float(entry["logprob"]),
            entry.get("bytes"),
            top=tuple(
                lm15.TopLogprob(str(other["token"]), float(other["logprob"]), other.get("bytes"))
                for other in entry.get("top_logprobs") or []
            ),
        )
        for entry in entries or []
    )


class ChatReader:
    """The events of one streamed answer."""

    def __init__(self, asked: Asked, request: lm15.Request) -> None:
        self._asked, self._request = asked, request
        self._started = self._spoke = self._refused = False
        self._finish: str | None = None
        self._usage: lm15.Usage | None = None
        self._tools: dict[int, int] = {}
        self._kept: Payload = {}

    def feed(self, payload: Payload) -> Iterator[Any]:
        if not isinstance(payload, dict):
            raise WireFailure("malformed", "a chunk is not a JSON object", body=payload)
        if payload.get("error"):
            raise WireFailure("event", body=payload)
        if not self._started:
            self._started = True
            model = payload.get("model") or self._request.model
            yield lm15.StreamStartEvent(payload.get("id") or None, model, self._asked.notes)
        self._kept.update(_kept(payload) or {})
        if isinstance(payload.get("usage"), dict):
            self._usage = _usage(payload["usage"])
        for choice in payload.get("choices") or []:
            for delta in self._deltas(choice):
                yield lm15.StreamDeltaEvent(delta)
            self._finish = choice.get("finish_reason") or self._finish

    def _deltas(self, choice: Payload) -> Iterator[Any]:
        delta = choice.get("delta") or {}
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            yield lm15.ThinkingDelta(thought, _THINKING)
        said = delta.get("content")
        if isinstance(said, str | list):
            self._spoke = True
            scores = token_scores((choice.get("logprobs") or {}).get("content"))
            text = _content_text(said)
            if text or scores:
                yield lm15.TextDelta(text, _TEXT, scores)
        if delta.get("refusal"):
            self._refused = True
            yield lm15.TextDelta(str(delta["refusal"]), _TEXT)
        for citation in _citations(delta):
            yield lm15.CitationDelta(**citation, part_index=_CITATIONS)
        for call in delta.get("tool_calls") or []:
            yield self._tool(call)

    def _tool(self, call: Payload) -> Any:
        function = call.get("function") or {}
        name = function.get("name") or None
        index = call.get("index")
        if index is None:  # some servers number nothing: a name begins another call
            index = len(self._tools) if name else len(self._tools) - 1
        if index not in self._tools:
            if name is None:
                raise WireFailure("malformed", "it calls a tool without a name", body=call)
            self._tools[index] = _TOOLS + len(self._tools)
        else:
            name = None  # repeated on each fragment by some servers
        arguments = function.get("arguments") or ""
        return lm15.ToolCallDelta(arguments, self._tools[index], call.get("id") or None, name)

    def end(self) -> Iterator[Any]:
        if not self._started:
            raise WireFailure("malformed", "it is not a stream of events")
        called = bool(self._tools)
        finish = _finish(self._finish, called, self._refused, None)
        spoke = self._spoke or called or self._refused
        if not spoke and finish not in {"length", "content_filter"}:
            raise WireFailure("malformed", "the stream held no content")
        yield lm15.StreamEndEvent(finish, self._usage or lm15.Usage(), self._kept or None)
