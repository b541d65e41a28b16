"""OpenAI Responses, coming in whole: a body as a response, all of it or an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dspy import lm15

from .answer import counted, response, text_part
from .chat_answer import token_scores
from .parts import tool_input
from .stops import Cut
from .wire import Asked, Payload, WireFailure

__all__ = [
    "WITHOUT_CONTENT",
    "citation",
    "ended",
    "finish_of",
    "kept_of",
    "replayable",
    "responses_answer",
    "tool_name",
    "usage_of",
]

WITHOUT_CONTENT = {"length", "content_filter"}
"""The finish reasons of an answer that may be empty."""


def responses_answer(payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
    """The response in a body; `WireFailure` where the body holds no finished answer."""
    ended(payload)
    output = payload.get("output")
    if not isinstance(output, list):
        raise WireFailure("malformed", "it holds no output", body=payload)
    parts = [part for item in output for part in _parts(item)]
    parts, is_cut = _cut(parts, request.config.stop)
    kinds = {part.type for part in parts}
    finish = "stop" if is_cut else finish_of(payload, kinds)
    if not kinds & {"text", "refusal", "tool_call"}:
        if finish not in WITHOUT_CONTENT:
            raise WireFailure("malformed", "its output holds no content", body=payload)
        parts.append(text_part(""))
    return response(
        payload,
        asked,
        request,
        parts,
        finish=finish,
        usage=usage_of(payload.get("usage")),
        logprobs=_scores(output) or None,
        kept=kept_of(payload),
    )


def ended(payload: Any) -> None:
    """`WireFailure` unless this object of a response says that it came to an end of its own."""
    if not isinstance(payload, dict):
        raise WireFailure("malformed", "it is not a JSON object", body=payload)
    status = payload.get("status")
    if payload.get("error") or status in {"failed", "cancelled"}:
        raise WireFailure("event", f"its status is {status}" if status else "", body=payload)
    if status not in {"completed", "incomplete"}:
        raise WireFailure("unfinished", "it has no final status", body=payload)


def finish_of(payload: Payload, kinds: set[str]) -> str:
    """Why the answer ended, of a body that did; `kinds` are the types of its parts.

    >>> finish_of({"status": "completed"}, {"text", "tool_call"})
    'tool_call'
    """
    if payload["status"] == "incomplete":
        why = (payload.get("incomplete_details") or {}).get("reason")
        return "content_filter" if why == "content_filter" else "length"
    if "tool_call" in kinds:
        return "tool_call"
    return "content_filter" if "refusal" in kinds else "stop"


def kept_of(payload: Payload) -> Payload | None:
    """What of the body is kept beside the response: the tier, by which it is priced."""
    tier = payload.get("service_tier")
    return {"service_tier": tier} if tier else None


def usage_of(raw: Any) -> lm15.Usage:
    """Tokens as reported; what is not reported is `None`.

    >>> found = usage_of({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}})
    >>> found.cache_read_tokens, found.output_tokens
    (4, None)
    """
    if not isinstance(raw, dict):
        return lm15.Usage()
    sent = raw.get("input_tokens_details") or {}
    got = raw.get("output_tokens_details") or {}
    return counted(
        raw.get("input_tokens"),
        raw.get("output_tokens"),
        raw.get("total_tokens"),
        read=sent.get("cached_tokens"),
        written=sent.get("cache_write_tokens"),
        thought=got.get("reasoning_tokens"),
        heard=sent.get("audio_tokens"),
        spoken=got.get("audio_tokens"),
    )


def _parts(item: Payload) -> Iterator[Any]:
    kind = item.get("type")
    if kind == "message":
        for content in item.get("content") or []:
            yield from _content(content)
    elif kind == "function_call":
        call_id = str(item.get("call_id") or item["id"])
        yield lm15.ToolCallPart(call_id, tool_name(item), tool_input(item.get("arguments")))
    elif kind == "reasoning":
        text = "\n".join(_thoughts(item))
        states = replayable(item)
        if text or states:
            yield lm15.ThinkingPart(text, states)
    # What is left are calls of tools that the provider ran itself: the answer tells what they gave.


def _content(content: Payload) -> Iterator[Any]:
    if content.get("type") in {"output_text", "text"}:
        text = str(content.get("text") or "")
        yield text_part(text)
        for annotation in content.get("annotations") or []:
            if found := citation(annotation, text):
                yield lm15.CitationPart(**found)
    elif content.get("type") == "refusal" and content.get("refusal"):
        yield lm15.RefusalPart(str(content["refusal"]))


def _thoughts(item: Payload) -> Iterator[str]:
    """Summaries, and reasoning itself where a server shows it."""
    for piece in [*(item.get("summary") or []), *(item.get("content") or [])]:
        if piece.get("text"):
            yield str(piece["text"])


def replayable(item: Payload) -> tuple[Any, ...]:
    """The state with which an item of reasoning goes back to the provider."""
    state = {name: str(item[name]) for name in ("id", "encrypted_content") if item.get(name)}
    return (lm15.ContinuationState("openai", "reasoning_item", state),) if state else ()


def tool_name(item: Payload) -> str:
    """The tool that an item calls."""
    if not item.get("name"):
        raise WireFailure("malformed", "it calls a tool without a name", body=item)
    return str(item["name"])


def citation(raw: Payload, text: str) -> dict[str, str]:
    """A source as lm15 tells it: where it is, what it is called, which words of `text` it is for.

    >>> citation({"url": "http://a", "start_index": 0, "end_index": 2}, "So it is.")
    {'url': 'http://a', 'text': 'So'}
    """
    start, end = raw.get("start_index"), raw.get("end_index")
    placed = isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)
    found = {
        "url": raw.get("url"),
        "title": raw.get("title") or raw.get("filename") or raw.get("file_id"),
        "text": text[start:end] if placed else None,
    }
    return {name: str(value) for name, value in found.items() if value}


def _scores(output: list[Any]) -> tuple[Any, ...]:
    contents = (each for item in output for each in item.get("content") or [])
    return tuple(score for each in contents for score in token_scores(each.get("logprobs")))


def _cut(parts: list[Any], stops: tuple[str, ...]) -> tuple[list[Any], bool]:
    """The parts up to the first stop sequence in their text, and whether there was one."""
    cut, kept, last = Cut(stops), list[Any](), -1
    for part in parts:
        if part.type == "text":
            last, part = len(kept), replace(part, text=cut.feed(part.text))
        kept.append(part)
        if cut.is_cut:
            return kept, True
    if rest := cut.rest():
        kept[last] = replace(kept[last], text=kept[last].text + rest)
    return kept, False
