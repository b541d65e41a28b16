"""A recorded trace as the body of its record: what is written is decided here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dspy

from ...programs.calling import path_of
from ...programs.models import response_to_json
from ...programs.requests import message_as_text, request_to_json
from .live import LiveSpan, LiveTrace, Step
from .span import FORMAT

__all__ = ["body_of"]

_USAGE = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
_CONFIG = ("temperature", "max_tokens", "top_p", "seed")


def body_of(trace: LiveTrace) -> dict[str, Any]:
    """The trace as plain JSON. Of one that keeps numbers alone, no text is in it."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "program": trace.about["program"],
        "digest": trace.about["digest"],
        "keeps": "texts" if trace.keeps_texts else "numbers",
        "spans": _Told(trace).spans,
    }
    if trace.keeps_texts:
        body["about"] = trace.about.get("roles", {})
    if trace.left_out:
        body["left_out"] = trace.left_out
    return body


class _Told:
    """The spans as they are written: each after the one that it is part of.

    The calls that were made while the same predictor was called are put under a span of it.
    """

    def __init__(self, trace: LiveTrace) -> None:
        self.spans: list[dict[str, Any]] = []
        self._trace, self._zero = trace, trace.root.start
        self._places: dict[int, int] = {}
        self._steps: dict[int, int] = {}  # by the list of modules that DSPy made for the call
        self._open: dict[int, Any] = {}  # the predictor at a place, until it gave its prediction
        for span in trace.spans[:]:  # one that was left behind may still add to it
            self._add(span)
        if trace.keeps_texts:
            self._finish(trace.steps[:])

    def _add(self, span: LiveSpan) -> None:
        told = _span(self._trace, span, self._zero)
        if span.parent is not None:
            told["parent"] = self._places.get(id(span.parent), 0)
        if span.modules and isinstance(span.modules[-1], dspy.Predict):
            told["parent"] = self._step(span.modules, told["at_us"])
            step = self.spans[told["parent"]]
            step["us"] = max(step["us"], told["at_us"] + told.get("us", 0) - step["at_us"])
        self._places[id(span)] = len(self.spans)
        self.spans.append(told)

    def _step(self, modules: list[Any], at_us: int) -> int:
        """The place of the predictor's span that this call of it has."""
        place = self._steps.get(id(modules))
        if place is None:
            place = self._steps[id(modules)] = self._predictor(modules[-1], at_us)
        return place

    def _predictor(self, predictor: Any, at_us: int) -> int:
        name = path_of(predictor) or type(predictor).__name__
        told = {"kind": "predictor", "name": name, "at_us": at_us, "us": 0, "parent": 0}
        place = len(self.spans)
        self.spans.append(told)
        self._open[place] = predictor
        return place

    def _finish(self, steps: list[Step]) -> None:
        """Say what the predictors gave, and which of them gave nothing."""
        for step in steps:
            over_us = int((step.over - self._zero) * 1e6)
            place = self._steps.get(id(step.modules)) if step.modules else None
            if place is None:  # by the predictor itself: the last call of it that is open
                place = self._latest(step.predictor)
            if place is None:  # it asked nobody that is heard
                place = self._predictor(step.predictor, over_us)
            told = self.spans[place]
            told["us"], told["texts"] = over_us - told["at_us"], step.texts
            self._open.pop(place, None)
        for place in self._open:
            self.spans[place]["unfinished"] = True

    def _latest(self, predictor: Any) -> int | None:
        """The place of its latest call that gave nothing so far."""
        found = (place for place, one in reversed(self._open.items()) if one is predictor)
        return next(found, None)


def _span(trace: LiveTrace, span: LiveSpan, zero: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": span.kind,
        "name": span.name,
        "at_us": int((span.start - zero) * 1e6),
    }
    if span.over is not None:
        told["us"] = int((span.over - span.start) * 1e6)
    if span.error is not None:
        told["error"] = span.error
    if span.status is not None:
        told["status"] = span.status
    if span.events:
        told["events"] = [(name, int((at - zero) * 1e6), said) for name, at, said in span.events[:]]
    if span.request is not None:
        told |= _call(trace, span)
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
    prefix = span.prefix
    begun = () if prefix is None else prefix.kept("trace", lambda: _written(prefix.messages))
    said = {"request": request_to_json(span.request, begun)}
    if span.response is not None:
        said["response"] = response_to_json(span.response)
    return said


def _written(messages: Iterable[Any]) -> tuple[Any, ...]:
    """Messages as the bytes of their JSON: most of a prompt with demonstrations is the same bytes.

    Of those that are no plain text, none.
    """
    import orjson

    plain = [message_as_text(message) for message in messages]
    return () if None in plain else tuple(orjson.Fragment(orjson.dumps(one)) for one in plain)
