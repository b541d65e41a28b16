"""OpenAI Responses, going out: a request as the JSON body that the Responses API takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dspy import lm15

from .openai_fields import account_fields, cache_fields
from .parts import data_uri, joined, text_of, unsupported
from .wire import Asked, Notes, Payload

__all__ = ["responses_body"]

WIRE = "openai-responses"
_NO_FIELD = "the Responses API has no such field"
_BUILTIN = {
    "web_search": "web_search_preview",
    "code_execution": "code_interpreter",
    "computer_use": "computer_use_preview",
}
_ENCRYPTED, _SCORES = "reasoning.encrypted_content", "message.output_text.logprobs"


def responses_body(request: lm15.Request, *, stream: bool, native: bool) -> Asked:
    """The body for `request`; `native` is OpenAI's own service.

    Nothing is stored unless the request asks for it, so every turn carries what it continues.

    >>> hi = lm15.Request("m", (lm15.Message.user("hi"),), system="Be brief.")
    >>> responses_body(hi, stream=False, native=True).body["input"]
    [{'role': 'user', 'content': [{'type': 'input_text', 'text': 'hi'}]}]
    """
    config, notes = request.config, Notes()
    stored = bool(config.store)
    items = [item for message in request.messages for item in _items(message, native, stored)]
    body: Payload = {"model": request.model, "input": items, "store": False}
    if stream:
        body["stream"] = True
    if request.system:
        body["instructions"] = joined(request.system, WIRE)
    _sampling(body, config, notes)
    _tools(body, request)
    _shape(body, config.response_format)
    _reasoning(body, config.reasoning, notes)
    _included(body, config, stored)
    account_fields(body, config, native)
    cache_fields(body, config.cache, native, notes, WIRE)
    return Asked(_extended(body, config.extensions or {}), tuple(notes))


def _items(message: Any, native: bool, stored: bool) -> Iterator[Payload]:
    """A message as input items; what the model said keeps its order, its calls between texts."""
    if message.role == "tool":
        yield from (_result(part) for part in message.parts)
    elif message.role == "assistant":
        yield from _said(message.parts, stored)
    else:
        role = message.role if message.role == "user" or native else "system"
        yield {"role": role, "content": [_block(part) for part in message.parts]}


def _block(part: Any) -> Payload:
    if part.type == "image":
        return _image(part)
    if part.type in {"document", "binary"}:
        return _file(part)
    if part.type in {"text", "data", "thinking"}:
        return {"type": "input_text", "text": text_of(part, WIRE)}
    raise unsupported(WIRE, f"a {part.type} part here", "text, images and files fit")


def _image(part: Any) -> Payload:
    if part.file_id is not None:
        source = {"file_id": part.file_id}
    else:
        source = {"image_url": part.url if part.url is not None else data_uri(part)}
    return {"type": "input_image", "detail": part.detail or "auto", **source}


def _file(part: Any) -> Payload:
    if part.file_id is not None:
        return {"type": "input_file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    name = f"document.{part.media_type.split('/')[-1]}"
    return {"type": "input_file", "filename": name, "file_data": data_uri(part)}


def _said(parts: tuple[Any, ...], stored: bool) -> Iterator[Payload]:
    content: list[Payload] = []
    for part in parts:
        item = _own_item(part, stored)
        if item is None:
            content += _output(part)
            continue
        if content:
            yield {"role": "assistant", "content": content}
            content = []
        yield item
    if content:
        yield {"role": "assistant", "content": content}


def _own_item(part: Any, stored: bool) -> Payload | None:
    """The item that a part is by itself; `None` where it belongs into a message."""
    if part.type == "tool_call":
        arguments = json.dumps(part.input, separators=(",", ":"), ensure_ascii=False)
        call = {"call_id": part.id, "name": part.name, "arguments": arguments}
        return {"type": "function_call", **call}
    if part.type == "thinking":
        return _thought(part, stored)
    return None


def _thought(part: Any, stored: bool) -> Payload | None:
    """Reasoning as it came, if it can be read again: encrypted, or kept by the provider."""
    kept = {(s.provider, s.kind): s.data for s in part.continuation}
    state = kept.get(("openai", "reasoning_item"), {})
    if not (state.get("encrypted_content") or (stored and state.get("id"))):
        return None
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    replayed = {name: state[name] for name in ("id", "encrypted_content") if state.get(name)}
    return {"type": "reasoning", **replayed, "summary": summary}


def _output(part: Any) -> list[Payload]:
    if part.type == "refusal":
        return [{"type": "refusal", "refusal": part.text}]
    if part.type == "citation" or not (text := text_of(part, WIRE)):
        return []
    return [{"type": "output_text", "text": text}]


def _result(part: Any) -> Payload:
    blocks = [_block(piece) for piece in part.content]
    if all(block["type"] == "input_text" for block in blocks):
        text = "\n".join(block["text"] for block in blocks)
        output: Any = f"[error] {text}" if part.is_error else text
    else:
        mark = [{"type": "input_text", "text": "[error]"}] if part.is_error else []
        output = [*mark, *blocks]
    return {"type": "function_call_output", "call_id": part.id, "output": output}


def _sampling(body: Payload, config: Any, notes: Notes) -> None:
    if config.max_tokens is not None:
        body["max_output_tokens"] = config.max_tokens
    for name in ("temperature", "top_p"):
        if getattr(config, name) is not None:
            body[name] = getattr(config, name)
    notes.drop(config, ("top_k", "seed", "frequency_penalty", "presence_penalty"), _NO_FIELD)
    notes.drop(config, ("probabilities",), "measured by DSPy's own engine only")
    if not config.stop:
        return
    if config.logprobs is not None:
        raise unsupported(WIRE, "stop sequences with log-probabilities", "leave one of them out")
    asked = list(config.stop)
    reason = f"{_NO_FIELD}; the text is cut here, and what follows is paid for"
    notes.add("config.stop", "client_side", reason, asked, asked)


def _tools(body: Payload, request: lm15.Request) -> None:
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.config.tool_choice
    if choice is None:
        return
    body["tool_choice"] = _choice(choice, request.tools)
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _tool(tool: Any) -> Payload:
    if tool.type == "builtin":
        return {"type": _BUILTIN.get(tool.name, tool.name), **(tool.config or {})}
    # Unless told otherwise, this API reads a schema as strict: every optional argument is demanded.
    function = {"name": tool.name, "parameters": tool.parameters, "strict": False}
    described = {} if tool.description is None else {"description": tool.description}
    return {"type": "function", **function, **described}


def _choice(choice: Any, tools: tuple[Any, ...]) -> Any:
    if not choice.allowed:
        return choice.mode
    known = {tool.name: tool for tool in tools}
    named = [_named(known[name]) for name in choice.allowed]
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}


def _named(tool: Any) -> Payload:
    if tool.type == "builtin":
        return {"type": _BUILTIN.get(tool.name, tool.name)}
    return {"type": "function", "name": tool.name}


def _shape(body: Payload, wanted: Any) -> None:
    if wanted is None:
        return
    if wanted["type"] == "json_object":
        body["text"] = {"format": {"type": "json_object"}}
        return
    schema = {"name": wanted.get("name") or "response", "schema": wanted["schema"]}
    strict = {"strict": wanted["strict"]} if "strict" in wanted else {}
    body["text"] = {"format": {"type": "json_schema", **schema, **strict}}


def _reasoning(body: Payload, reasoning: Any, notes: Notes) -> None:
    if reasoning is None:
        return
    body["reasoning"] = {"effort": "none" if reasoning.is_off else reasoning.effort}
    if reasoning.summary is not None and not reasoning.is_off:
        body["reasoning"]["summary"] = reasoning.summary
    if reasoning.thinking_budget is not None:
        reason, asked = "the Responses API takes an effort only", reasoning.thinking_budget
        notes.add("config.reasoning.thinking_budget", "dropped", reason, asked)


def _included(body: Payload, config: Any, stored: bool) -> None:
    """Ask for the scores, and for reasoning in the one form that can go back where none is kept.

    Models that do not reason refuse to be asked for theirs, so it takes a sign that this one does.
    """
    included = []
    if config.logprobs is not None:
        body["top_logprobs"] = config.logprobs
        included.append(_SCORES)
    reasons = config.reasoning is not None and not config.reasoning.is_off
    reasoned = any(item.get("type") == "reasoning" for item in body["input"])
    if not stored and (reasons or reasoned):
        included.append(_ENCRYPTED)
    if included:
        body["include"] = included


def _extended(body: Payload, extensions: Payload) -> Payload:
    """The body with extensions over it; tables are joined, so that a verbosity keeps the schema."""
    for name, value in extensions.items():
        old = body.get(name)
        joins = isinstance(old, dict) and isinstance(value, dict)
        body[name] = {**old, **value} if joins else value  # type: ignore[dict-item]
    return body
