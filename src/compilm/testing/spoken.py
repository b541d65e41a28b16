"""Responses as providers write them on each wire, whole or streamed, and requests read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dspy import lm15

from ..programs.chat_form import chat_completion
from .spoken_form import Spoken, event, pieces
from .spoken_responses import asked_responses, spoken_responses

__all__ = ["asked", "spoken"]

_NOT_IN_CHUNKS = {"object", "choices", "usage"}
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use"}


def spoken(response: lm15.Response, path: str) -> Spoken:
    """`response` on the wire that `path` belongs to.

    >>> said = lm15.Response("1", "m", lm15.Message.assistant("hi"), "stop", lm15.Usage(3, 1))
    >>> spoken(said, "/v1/chat/completions").whole["choices"][0]["message"]["content"]
    'hi'
    >>> spoken(said, "/v1/messages").whole["content"]
    [{'type': 'text', 'text': 'hi'}]
    """
    if path.endswith("/responses"):
        return spoken_responses(response)
    return _messages(response) if path.endswith("/messages") else _chat(response)


def asked(body: dict[str, Any], path: str) -> lm15.Request:
    """The request in a body of the wire that `path` belongs to."""
    if path.endswith("/responses"):
        return asked_responses(body)
    if not path.endswith("/messages"):
        return lm15.request_from_openai_chat(body)
    system = body.get("system")
    if isinstance(system, list):
        system = "\n".join(block["text"] for block in system)
    rows = tuple(_row(row) for row in body["messages"])
    config = lm15.Config(max_tokens=body["max_tokens"], temperature=body.get("temperature"))
    return lm15.Request(body["model"], rows, system=system or None, config=config)


def _row(row: dict[str, Any]) -> lm15.Message:
    content = row["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [part for block in blocks if (part := _part(block)) is not None]
    results = all(part.type == "tool_result" for part in parts)
    return lm15.Message("tool" if results else row["role"], tuple(parts))


def _part(block: dict[str, Any]) -> Any:
    if block["type"] == "text":
        return lm15.TextPart(block["text"])
    if block["type"] == "image":
        source = block["source"]
        if source["type"] == "url":
            return lm15.ImagePart(url=source["url"])
        return lm15.ImagePart(source["media_type"], data=source["data"])
    if block["type"] == "tool_use":
        return lm15.ToolCallPart(block["id"], block["name"], block["input"])
    if block["type"] == "tool_result":
        said = block["content"]
        text = said if isinstance(said, str) else "".join(b.get("text", "") for b in said)
        return lm15.ToolResultPart(block["tool_use_id"], (lm15.TextPart(text),))
    return None


def _chat(response: lm15.Response) -> Spoken:
    whole = chat_completion(response)
    (choice,), usage = whole["choices"], whole["usage"]
    head = {name: value for name, value in whole.items() if name not in _NOT_IN_CHUNKS}
    scores = choice.get("logprobs", {}).get("content", [])
    deltas = _chat_deltas(choice["message"], scores)
    chunks = [*deltas, {"choices": [_delta({}, choice["finish_reason"])]}]
    if usage:
        chunks.append({"choices": [], "usage": usage})
    frame = {**head, "object": "chat.completion.chunk"}
    events = [b"data: " + json.dumps({**frame, **chunk}).encode() + b"\n\n" for chunk in chunks]
    return Spoken("chat", whole, [*events, b"data: [DONE]\n\n"], 3 if usage else 2)


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _chat_deltas(message: dict[str, Any], scores: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    for name in ("reasoning_content", "content", "refusal"):
        deltas += [{name: piece} for piece in pieces(message.get(name) or "")]
    if message.get("annotations"):
        deltas.append({"annotations": message["annotations"]})
    for index, call in enumerate(message.get("tool_calls", [])):
        named = {"name": call["function"]["name"], "arguments": ""}
        deltas.append({"tool_calls": [{**call, "index": index, "function": named}]})
        for piece in pieces(call["function"]["arguments"]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for delta in deltas:
        choice = _delta(delta)
        if "content" in delta and scores:
            choice["logprobs"], scores = {"content": scores}, []
        yield {"choices": [choice]}


def _messages(response: lm15.Response) -> Spoken:
    blocks = _blocks(response)
    used = response.usage
    counts = {
        "input_tokens": used.input_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
    }
    usage = {**counts, "output_tokens": used.output_tokens, **(response.provider_data or {})}
    if used.reasoning_tokens is not None:
        usage["output_tokens_details"] = {"thinking_tokens": used.reasoning_tokens}
    stop = _STOP.get(response.finish_reason, "refusal")
    head = {"id": response.id, "type": "message", "role": "assistant", "model": response.model}
    whole = {**head, "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": usage}
    opening = {**head, "content": [], "stop_reason": None, "usage": {**counts, "output_tokens": 1}}
    events = [event("message_start", message=opening), event("ping")]
    for index, block in enumerate(blocks):
        events += _block_events(index, block)
    ended = {"stop_reason": stop, "stop_sequence": None}
    events += [event("message_delta", delta=ended, usage=usage), event("message_stop")]
    return Spoken("messages", whole, events, 2)


def _blocks(response: lm15.Response) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for part in response.message.parts:
        kept = {state.kind: state.data for state in part.continuation}
        if part.type == "text":
            blocks.append({"type": "text", "text": part.text})
        elif part.type == "citation":
            cited = {"type": "web_search_result_location", "url": part.url, "title": part.title}
            blocks[-1].setdefault("citations", []).append({**cited, "cited_text": part.text})
        elif part.type == "tool_call":
            call = {"id": part.id, "name": part.name, "input": part.input}
            blocks.append({"type": "tool_use", **call})
        elif "redacted_thinking" in kept:
            blocks.append({"type": "redacted_thinking", **kept["redacted_thinking"]})
        elif part.type == "thinking":
            signed = kept.get("thinking_signature", {"signature": ""})
            blocks.append({"type": "thinking", "thinking": part.text, **signed})
    return blocks


def _block_events(index: int, block: dict[str, Any]) -> list[bytes]:
    kind = block["type"]
    deltas: list[dict[str, Any]] = []
    opened = dict(block)
    if kind == "text":
        opened = {"type": "text", "text": ""}
        deltas += [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        for citation in block.get("citations", []):
            deltas.append({"type": "citations_delta", "citation": citation})
    elif kind == "thinking":
        opened = {"type": "thinking", "thinking": "", "signature": ""}
        thought = pieces(block["thinking"])
        deltas += [{"type": "thinking_delta", "thinking": piece} for piece in thought]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind == "tool_use":
        opened["input"] = {}
        written = pieces(json.dumps(block["input"]))
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in written]
    return [
        event("content_block_start", index=index, content_block=opened),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]
