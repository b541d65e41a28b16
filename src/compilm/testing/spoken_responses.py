"""The Responses wire as a provider speaks it: output items, and the events in which they grow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dspy import lm15

from ..programs.chat_form import token_score
from .spoken_form import Spoken, event, pieces

__all__ = ["asked_responses", "spoken_responses"]

_WHY = {"length": "max_output_tokens", "content_filter": "content_filter"}
_Event = dict[str, Any]


def spoken_responses(response: lm15.Response) -> Spoken:
    """`response` on this wire.

    >>> said = lm15.Response("1", "m", lm15.Message.assistant("hi"), "stop", lm15.Usage(3, 1))
    >>> spoken_responses(said).whole["output"][0]["content"][0]["text"]
    'hi'
    """
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    head = {"id": response.id or "resp_1", "object": "response", "created_at": 1, **settings}
    head |= {"model": response.model, "error": None, **(response.provider_data or {})}
    items = list(_items(response))
    refused = any(part.type == "refusal" for part in response.message.parts)
    why = None if refused else _WHY.get(response.finish_reason)
    status = "incomplete" if why else "completed"
    ended = {"status": status, "incomplete_details": {"reason": why} if why else None}
    whole = {**head, **ended, "output": items, "usage": _usage(response.usage)}
    begun = {**head, "status": "in_progress", "output": [], "usage": None}
    told: list[_Event] = [
        {"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")
    ]
    for place, item in enumerate(items):
        told += _item_events(place, item)
    told.append({"type": f"response.{status}", "response": whole})
    events = [event(each.pop("type"), sequence_number=n, **each) for n, each in enumerate(told)]
    return Spoken("responses", whole, events, 1)


def _items(response: lm15.Response) -> Iterator[dict[str, Any]]:
    scores = [token_score(token) for token in response.logprobs or ()]
    sources = [_source(part) for part in response.message.parts if part.type == "citation"]
    for place, part in enumerate(response.message.parts):
        if part.type == "text":
            text = {"type": "output_text", "text": part.text}
            yield _message(place, {**text, "annotations": sources, "logprobs": scores})
            scores, sources = [], []
        elif part.type == "refusal":
            yield _message(place, {"type": "refusal", "refusal": part.text})
        elif part.type == "tool_call":
            call = {"call_id": part.id, "name": part.name, "arguments": json.dumps(part.input)}
            yield {"type": "function_call", "id": f"fc_{place}", "status": "completed", **call}
        elif part.type == "thinking":
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            kept = part.continuation[0].data if part.continuation else {}
            yield {"type": "reasoning", "id": f"rs_{place}", **kept, "summary": summary}


def _message(place: int, content: dict[str, Any]) -> dict[str, Any]:
    head = {"type": "message", "id": f"msg_{place}", "role": "assistant", "status": "completed"}
    return {**head, "content": [content]}


def _source(part: Any) -> dict[str, Any]:
    whole = {"start_index": 0, "end_index": 0}  # of no words in particular
    return {"type": "url_citation", "url": part.url, "title": part.title, **whole}


def _usage(usage: lm15.Usage) -> dict[str, Any] | None:
    if usage.input_tokens is None:
        return None
    cached = {"cached_tokens": usage.cache_read_tokens}
    cached["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _item_events(place: int, item: dict[str, Any]) -> Iterator[_Event]:
    grows, empty, grow = {
        "message": ("content", [], _message_events),
        "function_call": ("arguments", "", _call_events),
        "reasoning": ("summary", [], _thinking_events),
    }[item["type"]]
    opened = {"output_index": place, "item": {**item, grows: empty}}
    yield {"type": "response.output_item.added", **opened}
    at = {"output_index": place, "item_id": item["id"]}
    yield from ({**at, **each} for each in grow(item))
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _message_events(item: dict[str, Any]) -> Iterator[_Event]:
    content = item["content"][0]
    kind, scores = content["type"], content.get("logprobs", [])
    word = "refusal" if kind == "refusal" else "text"
    opened = {**content, word: "", **({} if kind == "refusal" else {"annotations": []})}
    yield {"type": "response.content_part.added", "content_index": 0, "part": opened}
    for piece in pieces(content[word]):
        said = {"type": f"response.{kind}.delta", "content_index": 0, "delta": piece}
        yield said if kind == "refusal" else {**said, "logprobs": scores}
        scores = []
    for number, source in enumerate(content.get("annotations", [])):
        cited = {"content_index": 0, "annotation_index": number, "annotation": source}
        yield {"type": "response.output_text.annotation.added", **cited}
    yield {"type": "response.content_part.done", "content_index": 0, "part": content}


def _call_events(item: dict[str, Any]) -> Iterator[_Event]:
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", "delta": piece}


def _thinking_events(item: dict[str, Any]) -> Iterator[_Event]:
    for number, summary in enumerate(item["summary"]):
        for piece in pieces(summary["text"]):
            told = {"summary_index": number, "delta": piece}
            yield {"type": "response.reasoning_summary_text.delta", **told}


def asked_responses(body: dict[str, Any]) -> lm15.Request:
    """The request in a body of this wire.

    >>> asked_responses({"model": "m", "input": "hi", "instructions": "be kind"}).system
    'be kind'
    """
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    rows = tuple(row for item in items if (row := _row(item)) is not None)
    config = lm15.Config(
        max_tokens=body.get("max_output_tokens"), temperature=body.get("temperature")
    )
    return lm15.Request(body["model"], rows, system=body.get("instructions"), config=config)


def _row(item: dict[str, Any]) -> lm15.Message | None:
    kind = item.get("type", "message")
    if kind == "function_call":
        call = lm15.ToolCallPart(item["call_id"], item["name"], json.loads(item["arguments"]))
        return lm15.Message("assistant", (call,))
    if kind == "function_call_output":
        said = item["output"]
        text = said if isinstance(said, str) else "".join(b.get("text", "") for b in said)
        return lm15.Message.tool(item["call_id"], text)
    if kind == "reasoning":
        return None
    content = item["content"]
    blocks = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    role = "developer" if item["role"] == "system" else item["role"]
    return lm15.Message(role, tuple(_part(block) for block in blocks))


def _part(block: dict[str, Any]) -> Any:
    if block["type"] == "input_image":
        address = block["image_url"]
        if not address.startswith("data:"):
            return lm15.ImagePart(url=address)
        media, _, data = address.removeprefix("data:").partition(";base64,")
        return lm15.ImagePart(media, data=data)
    return lm15.TextPart(block.get("text") or block.get("refusal") or "")
