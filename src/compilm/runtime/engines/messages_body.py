"""Anthropic Messages, going out: a request as the JSON body that the Messages API takes."""

from __future__ import annotations

from typing import Any

from dspy import lm15

from .parts import base64_of, joined, text_of, unsupported
from .wire import Asked, Notes, Payload

__all__ = ["messages_body", "prefills"]

WIRE = "anthropic-messages"
MAX_TOKENS = 8192
"""What `max_tokens` becomes where a request sets none: the API demands a figure."""

# Models that decide themselves how much to think and take an effort; the others take a budget.
_ADAPTIVE = ("opus-4-6", "opus-4-7", "opus-4-8", "sonnet-4-6", "opus-5", "sonnet-5", "haiku-5")
# Thinking tokens for an effort where the wire has budgets only: DSPy's own table, so that a
# program thinks as much on either engine.
_BUDGETS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32768,
}
_BUILTIN = {"web_search": "web_search_20250305", "code_execution": "code_execution_20250522"}
_NO_FIELD = "the Messages API has no such field"


def prefills(model: str) -> bool:
    """Whether a model goes on from an answer that it is given the beginning of.

    Those that decide themselves how much to think refuse it.

    >>> prefills("claude-haiku-4-5"), prefills("claude-opus-4-7")
    (True, False)
    """
    return not any(name in model.lower() for name in _ADAPTIVE)


def messages_body(request: lm15.Request, *, stream: bool) -> Asked:
    """The body for `request`.

    >>> request = lm15.Request("m", (lm15.Message.user("hi"),), config=lm15.Config(max_tokens=9))
    >>> body = messages_body(request, stream=False).body
    >>> body["max_tokens"], body["messages"]
    (9, [{'role': 'user', 'content': [{'type': 'text', 'text': 'hi'}]}])
    """
    notes = Notes()
    body: Payload = {"model": request.model, "messages": [_row(m) for m in request.messages]}
    if request.system:
        body["system"] = [{"type": "text", "text": joined(request.system, WIRE)}]
    if stream:
        body["stream"] = True
    _tools(body, request, notes)
    _reasoning(body, request, notes)
    _sampling(body, request.config, notes)
    _shape(body, request.config.response_format)
    _cache(body, request.config.cache, notes)
    if request.config.user_id is not None:
        body["metadata"] = {"user_id": request.config.user_id}
    if request.config.service_tier is not None:
        body["service_tier"] = request.config.service_tier
    body.update(request.config.extensions or {})
    return Asked(body, tuple(notes))


def _row(message: Any) -> Payload:
    if message.role == "developer":
        text = "\n".join(text_of(part, WIRE) for part in message.parts)
        return {"role": "user", "content": [{"type": "text", "text": f"[developer]\n{text}"}]}
    role = "assistant" if message.role == "assistant" else "user"
    blocks = [_block(part) for part in message.parts if part.type != "citation"]
    full = [block for block in blocks if block.get("text") != ""]  # empty texts are refused
    return {"role": role, "content": full or blocks}


def _block(part: Any) -> Payload:
    if part.type in {"image", "document"}:
        return {"type": part.type, "source": _source(part)}
    if part.type == "tool_call":
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}
    if part.type == "tool_result":
        return _result(part)
    if part.type == "thinking":
        return _thought(part)
    return {"type": "text", "text": text_of(part, WIRE)}


def _source(part: Any) -> Payload:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    return {"type": "base64", "media_type": part.media_type, "data": base64_of(part)}


def _result(part: Any) -> Payload:
    content = [_block(piece) for piece in part.content]
    block: Payload = {"type": "tool_result", "tool_use_id": part.id, "content": content}
    return {**block, "is_error": True} if part.is_error else block


def _thought(part: Any) -> Payload:
    """Thinking goes back only with the provider's signature; without it, as text."""
    kept = {(s.provider, s.kind): s.data for s in part.continuation}
    hidden = kept.get(("anthropic", "redacted_thinking"))
    if hidden is not None:
        return {"type": "redacted_thinking", **hidden}
    signed = kept.get(("anthropic", "thinking_signature"))
    if signed is not None:
        return {"type": "thinking", "thinking": part.text, "signature": signed.get("signature")}
    return {"type": "text", "text": part.text}


def _tools(body: Payload, request: lm15.Request, notes: Notes) -> None:
    choice = request.config.tool_choice
    allowed = set(choice.allowed) if choice is not None else set()
    forced = len(allowed) == 1 and choice is not None and choice.mode == "required"
    tools = [t for t in request.tools if forced or not allowed or t.name in allowed]
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
    if len(tools) < len(request.tools):
        reason = "only the allowed tools were sent, which is what the list means"
        notes.add("config.tool_choice.allowed", "client_side", reason, sorted(allowed))
    if choice is None:
        return
    kind = {"required": "any"}.get(choice.mode, choice.mode)
    picked: Payload = {"type": "tool", "name": choice.allowed[0]} if forced else {"type": kind}
    if choice.parallel is False and kind != "none":
        picked["disable_parallel_tool_use"] = True
    body["tool_choice"] = picked


def _tool(tool: Any) -> Payload:
    if tool.type == "builtin":
        kind = _BUILTIN.get(tool.name, tool.name)
        return {"type": kind, "name": tool.name, **(tool.config or {})}
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "input_schema": tool.parameters}


def _reasoning(body: Payload, request: lm15.Request, notes: Notes) -> None:
    """Sets `max_tokens`, which counts thinking, and how the model thinks."""
    reasoning, visible = request.config.reasoning, request.config.max_tokens
    if visible is None:
        visible = MAX_TOKENS
        reason = "the Messages API demands a figure and none was set"
        notes.add("config.max_tokens", "defaulted", reason, None, visible)
    body["max_tokens"] = visible
    if reasoning is None or reasoning.is_off:
        return
    if reasoning.summary in {"concise", "detailed"}:
        reason = "thinking has one form here"
        notes.add("config.reasoning.summary", "dropped", reason, reasoning.summary)
    if not prefills(request.model):
        effort = "low" if reasoning.effort == "minimal" else reasoning.effort
        body |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
        if reasoning.thinking_budget is not None:
            reason = "this model takes an effort"
            asked = reasoning.thinking_budget
            notes.add("config.reasoning.thinking_budget", "dropped", reason, asked)
        return
    budget = reasoning.thinking_budget or _BUDGETS[reasoning.effort]
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    body["max_tokens"] = budget + visible


def _sampling(body: Payload, config: Any, notes: Notes) -> None:
    missing = ("seed", "frequency_penalty", "presence_penalty", "logprobs", "probabilities")
    notes.drop(config, (*missing, "store"), _NO_FIELD)
    if config.stop:
        body["stop_sequences"] = list(config.stop)
    if "thinking" in body:
        notes.drop(config, ("temperature", "top_k"), "cannot be set while the model thinks")
    else:
        if config.temperature is not None:
            body["temperature"] = min(config.temperature, 1.0)
            if config.temperature > 1.0:
                reason = "the Messages API goes to 1"
                notes.add("config.temperature", "clamped", reason, config.temperature, 1.0)
        if config.top_k is not None:
            body["top_k"] = config.top_k
    if config.top_p is not None:
        body["top_p"] = config.top_p


def _shape(body: Payload, wanted: Any) -> None:
    if wanted is None:
        return
    if wanted["type"] == "json_object":
        raise unsupported(WIRE, "response_format json_object", "give a JSON schema")
    shape = {"format": {"type": "json_schema", "schema": wanted["schema"]}}
    body["output_config"] = {**body.get("output_config", {}), **shape}


def _cache(body: Payload, cache: Any, notes: Notes) -> None:
    """Marks the end of what stays the same: tools and system, and messages up to a place."""
    if cache is None or cache.mode == "off":
        return
    if cache.resource is not None:
        raise unsupported(WIRE, "a stored cache", "this provider caches by marks")
    if cache.key is not None:
        notes.add("config.cache.key", "dropped", _NO_FIELD, cache.key)
    mark = {"type": "ephemeral", **({"ttl": "1h"} if cache.retention == "long" else {})}
    stable = body.get("system") or body.get("tools")
    if stable:
        stable[-1]["cache_control"] = mark
    last = len(body["messages"]) - 1
    place = last if cache.prefix == "history" else cache.prefix_until_index
    if place is not None:
        body["messages"][min(place, last)]["content"][-1]["cache_control"] = mark
