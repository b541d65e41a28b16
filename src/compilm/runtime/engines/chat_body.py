"""Chat Completions, going out: a request as the JSON body that OpenAI-compatible servers take."""

from __future__ import annotations

import json
from typing import Any

from dspy import lm15

from ...engine import prefix_of
from .openai_fields import account_fields, cache_fields
from .parts import data_uri, joined, text_of, unsupported
from .wire import Asked, Notes, Payload

__all__ = ["chat_body"]

WIRE = "openai-chat"
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def chat_body(request: lm15.Request, *, stream: bool, native: bool) -> Asked:
    """The body for `request`; `native` is OpenAI's own service, which spells three things its way.

    >>> asked = chat_body(lm15.Request("m", (lm15.Message.user("hi"),)), stream=False, native=True)
    >>> asked.body
    {'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}]}
    """
    notes = Notes()
    body: Payload = {"model": request.model, "messages": _rows(request, native)}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    _sampling(body, request.config, native)
    _tools(body, request)
    _shape(body, request.config)
    _reasoning(body, request.config.reasoning, notes)
    account_fields(body, request.config, native)
    cache_fields(body, request.config.cache, native, notes, WIRE)
    notes.drop(request.config, ("top_k",), "Chat Completions has no such field; use extensions")
    notes.drop(request.config, ("probabilities",), "measured by DSPy's own engine only")
    body.update(request.config.extensions or {})
    return Asked(body, tuple(notes))


def _rows(request: lm15.Request, native: bool) -> list[Payload]:
    prefix = prefix_of(request)
    if prefix is None:
        return [*_system_rows(request.system), *_message_rows(request.messages, native)]
    kept = prefix.kept(
        f"{WIRE} {native}",
        lambda: (*_system_rows(prefix.system), *_message_rows(prefix.messages, native)),
    )
    return [*kept, *_message_rows(request.messages[len(prefix.messages) :], native)]


def _system_rows(system: Any) -> list[Payload]:
    return [{"role": "system", "content": joined(system, WIRE)}] if system else []


def _message_rows(messages: tuple[Any, ...], native: bool) -> list[Payload]:
    rows: list[Payload] = []
    for message in messages:
        if message.role == "tool":
            rows.extend(_result_row(part) for part in message.parts)
        elif message.role == "assistant":
            rows.append(_assistant_row(message))
        else:
            role = message.role if message.role == "user" or native else "system"
            rows.append({"role": role, "content": _content(message.parts)})
    return rows


def _content(parts: tuple[Any, ...]) -> Any:
    if len(parts) == 1 and parts[0].type in {"text", "data"}:
        return text_of(parts[0], WIRE)
    return [_block(part) for part in parts]


def _block(part: Any) -> Payload:
    if part.type == "image":
        return _image(part)
    if part.type == "audio" and part.url is None and part.file_id is None:
        form = _AUDIO.get(part.media_type)
        if form is not None:
            sound = data_uri(part).partition(",")[2]
            return {"type": "input_audio", "input_audio": {"data": sound, "format": form}}
    if part.type == "document" and part.url is None:
        return {"type": "file", "file": _file(part)}
    if part.type in {"text", "data"}:
        return {"type": "text", "text": text_of(part, WIRE)}
    raise unsupported(
        WIRE, f"a {part.type} of type {part.media_type}", "images, WAV, MP3 and files fit"
    )


def _file(part: Any) -> Payload:
    if part.file_id is not None:
        return {"file_id": part.file_id}
    return {"file_data": data_uri(part), "filename": f"document.{part.media_type.split('/')[-1]}"}


def _image(part: Any) -> Payload:
    if part.file_id is not None:
        raise unsupported(WIRE, "an image named by a file id", "give its address or its bytes")
    address: Payload = {"url": part.url if part.url is not None else data_uri(part)}
    if part.detail is not None:
        address["detail"] = part.detail
    return {"type": "image_url", "image_url": address}


def _assistant_row(message: Any) -> Payload:
    said = [text_of(p, WIRE) for p in message.parts if p.type in {"text", "refusal", "data"}]
    calls = [_call(part) for part in message.parts if part.type == "tool_call"]
    row: Payload = {"role": "assistant", "content": "\n".join(said) if said or not calls else None}
    if calls:
        row["tool_calls"] = calls
    return row


def _call(part: Any) -> Payload:
    arguments = json.dumps(part.input, separators=(",", ":"), ensure_ascii=False)
    function = {"name": part.name, "arguments": arguments}
    return {"id": part.id, "type": "function", "function": function}


def _result_row(part: Any) -> Payload:
    text = "\n".join(text_of(piece, WIRE) for piece in part.content)
    content = f"[error] {text}" if part.is_error else text
    return {"role": "tool", "tool_call_id": part.id, "content": content}


def _sampling(body: Payload, config: Any, native: bool) -> None:
    if config.max_tokens is not None:
        body["max_completion_tokens" if native else "max_tokens"] = config.max_tokens
    for name in ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"):
        if getattr(config, name) is not None:
            body[name] = getattr(config, name)
    if config.stop:
        body["stop"] = list(config.stop)
    if config.logprobs is not None:
        body["logprobs"] = True
        if config.logprobs:
            body["top_logprobs"] = config.logprobs


def _tools(body: Payload, request: lm15.Request) -> None:
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.config.tool_choice
    if choice is None:
        return
    body["tool_choice"] = _choice(choice)
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _tool(tool: Any) -> Payload:
    if tool.type != "function":
        raise unsupported(WIRE, f"the built-in tool {tool.name!r}", "servers ignore it in silence")
    function: Payload = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Any:
    if not choice.allowed:
        return choice.mode
    named = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _shape(body: Payload, config: Any) -> None:
    wanted = config.response_format
    if wanted is None:
        return
    if wanted["type"] == "json_object":
        body["response_format"] = {"type": "json_object"}
        return
    schema = {"name": wanted.get("name") or "response", "schema": wanted["schema"]}
    if "strict" in wanted:
        schema["strict"] = wanted["strict"]
    body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _reasoning(body: Payload, reasoning: Any, notes: Notes) -> None:
    if reasoning is None:
        return
    body["reasoning_effort"] = "none" if reasoning.is_off else reasoning.effort
    for name in ("thinking_budget", "summary"):
        asked = getattr(reasoning, name)
        if asked is not None:
            reason = "Chat Completions takes an effort only"
            notes.add(f"config.reasoning.{name}", "dropped", reason, asked)
