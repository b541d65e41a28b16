"""What a trace says under OpenTelemetry's conventions for generative AI: the one table of names.

Source: the attributes of `opentelemetry-semantic-conventions` 0.66b2 (status: development), and
what MLflow 3.17, the first to be told, reads. What they have no name for is under `compilm.`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

from ...prices.price import tokens_of
from .span import Span, Trace

__all__ = ["EVENTS", "PROVIDERS", "VALUES", "attributes_of", "name_of"]

VALUES: Final[Mapping[str, str]] = {
    "answered_by": "gen_ai.response.model",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "first_s": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "seed": "gen_ai.request.seed",
    "status": "http.response.status_code",
    "stream": "gen_ai.request.stream",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    # no name in the conventions
    "by": "compilm.call.by",
    "index": "compilm.call.index",
    "rollout": "compilm.call.rollout",
    "unfinished": "compilm.unfinished",
    "usd": "compilm.usage.usd",
}
"""The attribute of each value of a span; `finish` is a list there and stands apart."""

EVENTS: Final = "compilm."
"""Before the names of events and of their values."""

PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""`gen_ai.provider.name` where it is not what stands before the slash of a model's name."""

_PARTS = {"text": "text", "thinking": "reasoning", "refusal": "text"}


def name_of(span: Span) -> str:
    """What a span is called: the operation and its model, as the conventions want it.

    >>> name_of(Span(1, 0, "call", "openai/gpt-5-mini", 0.0, 0.1))
    'chat gpt-5-mini'
    """
    if span.kind == "call":
        return f"chat {_model(span.name)}"
    before = {"attempt": "attempt ", "tool": "execute_tool ", "retrieval": "retrieval "}.get(
        span.kind, ""
    )
    return f"{before}{span.name}"


def attributes_of(trace: Trace, span: Span) -> dict[str, Any]:
    """The attributes of a span; texts are among them only where the trace keeps them.

    >>> root = Span(0, None, "program", "Desk", 0.0, 0.1)
    >>> attributes_of(Trace("3f", "Desk", "sha256:ab", "numbers", (root,)), root)["compilm.kind"]
    'program'
    """
    values = {**span.values, **_prompt_tokens(span)}
    found: dict[str, Any] = {"compilm.kind": span.kind}
    found |= {VALUES[key]: value for key, value in values.items() if key in VALUES}
    if span.error is not None:
        found["error.type"] = span.error
    if span.kind == "program":
        found |= _workflow(trace)
    elif span.kind == "call":
        found |= _chat(trace, span)
    if span.kind == "tool":
        found |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": span.name}
    if span.kind == "retrieval":
        found["gen_ai.operation.name"] = "retrieval"
    if span.kind not in ("program", "call"):
        found |= {f"compilm.{name}": _json(said) for name, said in span.texts.items()}
    return {name: value for name, value in found.items() if value is not None}


def _prompt_tokens(span: Span) -> dict[str, int]:
    """The tokens that went in, those of the provider's cache among them, whoever counts how."""
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    usage = {name: span.values.get(name) for name in (*names, "reasoning_tokens")}
    tokens = tokens_of(SimpleNamespace(**usage), span.values.get("by", span.name))
    return {} if tokens is None else {"input_tokens": tokens.prompt}


def _workflow(trace: Trace) -> dict[str, Any]:
    texts = trace.root.texts
    found = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": trace.program,
        "compilm.artifact.digest": trace.digest,
    }
    if "inputs" in texts:
        found["gen_ai.input.messages"] = _messages("user", texts["inputs"])
    if "outputs" in texts:
        found["gen_ai.output.messages"] = _messages("assistant", texts["outputs"])
    return found


def _messages(role: str, said: Any) -> str:
    return _json([{"role": role, "parts": [{"type": "text", "content": _json(said)}]}])


def _chat(trace: Trace, span: Span) -> dict[str, Any]:
    by, finish = span.values.get("by", span.name), span.values.get("finish")
    provider = by.partition("/")[0]
    found = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
        "gen_ai.request.model": _model(span.name),
        "gen_ai.response.finish_reasons": None if finish is None else [finish],
        "gen_ai.prompt.name": trace.spans[span.parent].name if span.parent else None,
    }
    request, response = span.texts.get("request"), span.texts.get("response")
    if request is not None:
        found["gen_ai.input.messages"] = _json([_message(one) for one in request["messages"]])
        if system := request.get("system"):
            told = [{"type": "text", "text": system}] if isinstance(system, str) else system
            found["gen_ai.system_instructions"] = _json(list(_parts(told)))
    if response is not None:
        said = {**_message(response["message"]), "finish_reason": finish}
        found["gen_ai.output.messages"] = _json([said])
        found["gen_ai.response.id"] = response.get("id")
    return found


def _message(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": body["role"], "parts": list(_parts(body["parts"]))}


def _parts(parts: Any) -> Iterator[dict[str, Any]]:
    """Parts as the conventions write them; of media, what kind they are."""
    for part in parts:
        kind = part["type"]
        if kind in _PARTS:
            yield {"type": _PARTS[kind], "content": part["text"]}
        elif kind == "tool_call":
            told = {"type": kind, "id": part["id"], "name": part["name"]}
            yield {**told, "arguments": part["input"]}
        elif kind == "tool_result":
            said = list(_parts(part["content"]))
            yield {"type": "tool_call_response", "id": part["id"], "response": said}
        else:
            kept = ("media_type", "url", "title", "value")
            yield {"type": kind, **{name: part[name] for name in kept if name in part}}


def _model(name: str) -> str:
    return name.partition("/")[2] or name


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
