"""A recorded trace as the body of its record: what is written is decided here, and nowhere else."""

from __future__ import annotations

from typing import Any

from ...programs.models import request_to_json, response_to_json
from .live import LiveSpan, LiveTrace
from .span import FORMAT

__all__ = ["body_of"]


def body_of(trace: LiveTrace) -> dict[str, Any]:
    """The trace as plain JSON. Of one that keeps numbers alone, no text is in it."""
    spans = trace.spans[:]
    places = {id(span): number for number, span in enumerate(spans)}
    zero, over = trace.root.start, trace.root.end_
    body: dict[str, Any] = {
        "format": FORMAT,
        "program": trace.about["program"],
        "digest": trace.about["digest"],
        "keeps": "texts" if trace.keeps_texts else "numbers",
        "spans": [_span(span, places, zero, zero if over is None else over) for span in spans],
    }
    if trace.keeps_texts:
        body["about"] = trace.about["roles"]
    if trace.left_out:
        body["left_out"] = trace.left_out
    return body


def _span(span: LiveSpan, places: dict[int, int], zero: float, over: float) -> dict[str, Any]:
    values = span.values.copy()  # one that was left behind may still be written to
    end = span.end_
    if end is None:
        values["unfinished"] = True
        end = max(over, span.start)
    told = {
        "kind": span.kind,
        "name": span.name,
        "at_us": int((span.start - zero) * 1e6),
        "us": int((end - span.start) * 1e6),
    }
    if span.parent is not None:
        told["parent"] = places.get(id(span.parent), 0)
    if span.error is not None:
        told["error"] = span.error
    if values:
        told["values"] = values
    if span.events:
        told["events"] = [(name, int((at - zero) * 1e6), said) for name, at, said in span.events[:]]
    if texts := _texts(span):
        told["texts"] = texts
    return told


def _texts(span: LiveSpan) -> dict[str, Any]:
    if span.said is None:
        return span.texts or {}
    request, response = span.said
    said = {"request": request_to_json(request)}
    if response is not None:
        said["response"] = response_to_json(response)
    return said
