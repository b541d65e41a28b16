"""A response as the chat completions API writes it: the form that most SDKs read."""

from __future__ import annotations

import json
from typing import Any

from dspy import lm15

__all__ = ["chat_completion", "token_score"]

_FINISH = {"stop": "stop", "length": "length", "tool_call": "tool_calls"}


def chat_completion(response: lm15.Response) -> dict[str, Any]:
    """The body of a chat completion with one choice, as plain JSON.

    >>> said = lm15.Response("1", "m", lm15.Message.assistant("hi"), "stop", lm15.Usage(3, 1))
    >>> chat_completion(said)["choices"][0]["message"]
    {'role': 'assistant', 'content': 'hi'}
    """
    finish = _FINISH.get(response.finish_reason, response.finish_reason)
    choice: dict[str, Any] = {"index": 0, "message": _message(response), "finish_reason": finish}
    if response.logprobs:
        choice["logprobs"] = {"content": [token_score(token) for token in response.logprobs]}
    head = {"id": response.id, "created": 1, "model": response.model}
    head |= response.provider_data or {}
    usage = _usage(response.usage)
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


def _message(response: lm15.Response) -> dict[str, Any]:
    parts = response.message.parts
    texts = [part.text for part in parts if part.type == "text"]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
    for part in parts:
        if part.type == "thinking":
            message["reasoning_content"] = part.text
        elif part.type == "refusal":
            message["refusal"] = part.text
        elif part.type == "citation":
            source = {"url": part.url, "title": part.title}
            cited = {"type": "url_citation", "url_citation": source}
            message.setdefault("annotations", []).append(cited)
        elif part.type == "tool_call":
            function = {"name": part.name, "arguments": json.dumps(part.input)}
            call = {"id": part.id, "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
    return message


def _usage(usage: lm15.Usage | None) -> dict[str, Any] | None:
    if usage is None or usage.input_tokens is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def token_score(token: lm15.TokenLogprob) -> dict[str, Any]:
    """The log-probability of a token, as both wires of OpenAI write it."""
    top = [{"token": t.token, "logprob": t.logprob, "bytes": None} for t in token.top]
    return {"token": token.token, "logprob": token.logprob, "bytes": None, "top_logprobs": top}
