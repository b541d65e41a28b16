"""A recorded trace as the body of its record: what is written is decided here, and nowhere else."""

from __future__ import annotations

from typing import Any

from ...programs.models import request_to_json, response_to_json
from .live import LiveSpan, LiveTrace
from .span import FORMAT

__all__ = ["body_of"]

_USAGE = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
_CONFIG = ("temperature", "max_tokens", "top_p", "seed")


def body_of(trace: LiveTrace) -> dict[str, Any]:
    """The trace as plain JSON. Of one that keeps numbers alone, no text is in it."""
    spans = trace.spans[:]  # one that was left behind may still add to it
    places = {id(span): number for number, span in enumerate(spans)}
    body: dict[str, Any] = {
        "format": FORMAT,
        "program": trace.about["program"],
        "digest": trace.about["digest"],
        "keeps": "texts" if trace.keeps_texts else "numbers",
        "spans": [_span(trace, span, places) for span in spans],
    }
    if trace.keeps_texts:
        body["about"] = trace.about["roles"]
    if trace.left_out:
        body["left_out"] = trace.left_out
    return body


def _span(trace: LiveTrace, span: LiveSpan, places: dict[int, int]) -> dict[str, Any]:
    zero, over = trace.root.start, span.over
    told: dict[str, Any] = {
        "kind": span.kind,
        "name": span.name,
        "at_us": int((span.start - zero) * 1e6),
    }
    if over is not None:
        told["us"] = int((over - span.start) * 1e6)
    if span.parent is not None:
        told["parent"] = places.get(id(span.parent), 0)
    if span.error is not None:
        told["error"] = span.error
    if span.status is not None:
        told["status"] = span.status
    if span.events:
        told["events"] = [(name, int((at - zero) * 1e6), said) for name, at, said in span.events[:]]
    if span.request is not None:
        told |= _call(trace, span)
    if span.unfinished:
        told["unfinished"] = True
    if trace.keeps_texts and (texts := _texts(span)):
        told["texts"] = texts
    return told


def _call(trace: LiveTrace, span: LiveSpan) -> dict[str, Any]:
    """What is told of a call besides texts: numbers, and the names of models."""
    config, told = span.request.config, dict[str, Any]()
    for name in _CONFIG:
        if (value := getattr(config, name)) is not None:
            told[name] = value
    if span.sample is not None:
        told["rollout"], told["index"] = span.sample
    if span.streams is not None:
        told["stream"], told["first_s"] = True, round(span.streams, 6)
    if span.by != span.name:
        told["by"] = span.by
    return told if span.response is None else told | _answer(trace, span)


def _answer(trace: LiveTrace, span: LiveSpan) -> dict[str, Any]:
    response = span.response
    told = {"answered_by": response.model, "finish": response.finish_reason}
    for name in _USAGE:
        if (count := getattr(response.usage, name)) is not None:
            told[name] = count
    if (usd := trace.prices.usd(response, span.by, span.request)) is not None:
        told["usd"] = usd
    return told


def _texts(span: LiveSpan) -> dict[str, Any]:
    if span.request is None:
        return span.texts or {}
    said = {"request": request_to_json(span.request)}
    if span.response is not None:
        said["response"] = response_to_json(span.response)
    return said
