"""A recorded trace as the body of its record."""

from __future__ import annotations

from typing import Any

from ...programs.models import request_to_json, response_to_json
from .live import LiveSpan, LiveTrace
from .span import FORMAT

__all__ = ["body_of"]


def body_of(trace: LiveTrace) -> dict[str, Any]:
    """The trace as plain JSON. Of one that keeps numbers alone, no text is in it."""
    about, spans = trace.about, trace.spans
    body: dict[str, Any] = {
        "format": FORMAT,
        "program": about["program"],
        "digest": about["digest"],
        "keeps": "texts" if trace.keeps_texts else "numbers",
    }
    if trace.keeps_texts:
        body["spans"] = [_whole(span) for span in spans[:]]
        body["about"] = about["roles"]
    else:
        body["spans"] = [span.told for span in spans]
    if trace.left_out:
        body["left_out"] = trace.left_out
    return body


def _whole(span: LiveSpan) -> dict[str, Any]:
    """A span with what was said."""
    if span.said is None:
        return span.told
    request, response = span.said
    said = {"request": request_to_json(request)}
    if response is not None:
        said["response"] = response_to_json(response)
    return {**span.told, "texts": said}
