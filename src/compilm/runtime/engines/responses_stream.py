"""OpenAI Responses, coming in as typed events: the parts of one answer as they grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dspy import lm15

from .chat_answer import token_scores
from .responses_answer import (
    WITHOUT_CONTENT,
    citation,
    ended,
    finish_of,
    kept_of,
    replayable,
    tool_name,
    usage_of,
)
from .stops import Cut
from .wire import Asked, Payload, WireFailure

__all__ = ["ResponsesReader"]

_OVER = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}


class ResponsesReader:
    """The events of one streamed answer, whose parts are those of the same answer in one body."""

    def __init__(self, asked: Asked, request: lm15.Request) -> None:
        self._asked, self._request = asked, request
        self._cut = Cut(request.config.stop)
        self._places: dict[tuple[Any, Any], int] = {}
        self._texts: dict[int, str] = {}  # all that came, by part: citations point into it
        self._inputs: dict[int, str] = {}  # of tools, as far as they came
        self._thoughts: dict[int, tuple[Any, Any]] = {}  # the summary that a part is in
        self._last = 0  # the part of the latest text
        self._kinds: set[str] = set()
        self._started = False
        self._final: Payload | None = None

    def feed(self, payload: Payload) -> Iterator[Any]:
        if not isinstance(payload, dict):
            raise WireFailure("malformed", "an event is not a JSON object", body=payload)
        kind = str(payload.get("type"))
        if kind == "error" or payload.get("error"):
            raise WireFailure("event", body=_error(payload))
        if kind.startswith("response.") and not self._started:
            yield self._start(payload.get("response") or {})
        if kind in _OVER:
            self._final = payload["response"]
            ended(self._final)
            for delta in self._missing(self._final.get("output") or []):
                yield lm15.StreamDeltaEvent(delta)
        elif kind in _TELLS and not self._cut.is_cut:
            for delta in _TELLS[kind](self, payload):
                yield lm15.StreamDeltaEvent(delta)

    def _start(self, response: Payload) -> Any:
        self._started = True
        model = response.get("model") or self._request.model
        return lm15.StreamStartEvent(response.get("id") or None, model, self._asked.notes)

    def _place(self, payload: Payload) -> int:
        """The number of the part that an event is about: they are counted as they appear."""
        key = payload.get("output_index", 0), payload.get("content_index")
        return self._places.setdefault(key, len(self._places))

    def _began(self, payload: Payload) -> Iterator[Any]:
        if (payload.get("part") or {}).get("type") == "output_text":
            self._kinds.add("text")  # it may stay empty, and is an answer
        yield from ()

    def _text(self, payload: Payload) -> Iterator[Any]:
        said, place = str(payload.get("delta") or ""), self._place(payload)
        self._texts[place] = self._texts.get(place, "") + said
        self._last = place
        shown, scores = self._cut.feed(said), token_scores(payload.get("logprobs"))
        if shown or scores or self._cut.is_cut:
            yield lm15.TextDelta(shown, place, scores)

    def _refusal(self, payload: Payload) -> Iterator[Any]:
        self._kinds.add("refusal")
        if payload.get("delta"):
            yield lm15.TextDelta(str(payload["delta"]), self._place(payload))

    def _thought(self, payload: Payload) -> Iterator[Any]:
        place = self._item_place(payload)
        # Summaries, and reasoning itself, are numbered each for themselves.
        piece = payload.get("summary_index"), payload.get("content_index")
        before = self._thoughts.get(place)
        self._thoughts[place] = piece
        lead = "\n" if before is not None and before != piece else ""
        yield lm15.ThinkingDelta(lead + str(payload.get("delta") or ""), place)

    def _cited(self, payload: Payload) -> Iterator[Any]:
        place = self._place(payload)
        if found := citation(payload.get("annotation") or {}, self._texts.get(place, "")):
            yield lm15.CitationDelta(**found, part_index=place)

    def _opened(self, payload: Payload) -> Iterator[Any]:
        item = payload.get("item") or {}
        if item.get("type") == "function_call":
            self._kinds.add("tool_call")
            given, call_id = str(item.get("arguments") or ""), item.get("call_id") or item["id"]
            place, name = self._item_place(payload), tool_name(item)
            self._inputs[place] = given
            yield lm15.ToolCallDelta(given, place, str(call_id), name)

    def _argument(self, payload: Payload) -> Iterator[Any]:
        key = payload.get("output_index", 0), None
        if key not in self._places:
            raise WireFailure("malformed", "it calls a tool without a name", body=payload)
        place, given = self._places[key], str(payload.get("delta") or "")
        self._inputs[place] += given
        yield lm15.ToolCallDelta(given, place)

    def _missing(self, output: list[Payload]) -> Iterator[Any]:
        """What stands in the whole answer alone: not every server that speaks so tells it before.

        A tool would be called with nothing, and an empty text would be the answer.
        """
        if self._cut.is_cut:
            return
        calls = [(n, item) for n, item in enumerate(output) if item.get("type") == "function_call"]
        if not self._inputs:
            for n, item in calls:
                yield from self._opened({"output_index": n, "item": item})
        for (place, given), (_, item) in zip([*self._inputs.items()], calls, strict=False):
            if not given and item.get("arguments"):
                yield lm15.ToolCallDelta(str(item["arguments"]), place)
        if not self._texts:
            yield from self._missing_texts(output)

    def _missing_texts(self, output: list[Payload]) -> Iterator[Any]:
        for n, item in enumerate(output):
            contents = item.get("content") or [] if item.get("type") == "message" else []
            for number, content in enumerate(contents):
                if content.get("type") == "output_text":
                    self._kinds.add("text")
                    at = {"output_index": n, "content_index": number}
                    yield from self._text({**at, "delta": content.get("text")})

    def _closed(self, payload: Payload) -> Iterator[Any]:
        item = payload.get("item") or {}
        states = replayable(item) if item.get("type") == "reasoning" else ()
        for state in states:
            place = self._item_place(payload)
            if place not in self._thoughts:
                yield lm15.ThinkingDelta("", place)
            yield lm15.ContinuationDelta(state.provider, state.kind, state.data, place)

    def _item_place(self, payload: Payload) -> int:
        return self._place({"output_index": payload.get("output_index", 0)})

    def end(self) -> Iterator[Any]:
        if not self._started:
            raise WireFailure("malformed", "it is not a stream of events")
        if self._final is None:
            raise WireFailure("unfinished", "the stream has no final event")
        finish = "stop" if self._cut.is_cut else finish_of(self._final, self._kinds)
        if not self._kinds and finish not in WITHOUT_CONTENT:
            raise WireFailure("malformed", "the stream held no content")
        if rest := self._cut.rest():
            yield lm15.StreamDeltaEvent(lm15.TextDelta(rest, self._last))
        yield lm15.StreamEndEvent(finish, usage_of(self._final.get("usage")), kept_of(self._final))


def _error(payload: Payload) -> Payload:
    """An error as other wires tell it; here its code may stand beside the type of the event."""
    if payload.get("error"):
        return payload
    return {"error": {"code": payload.get("code"), "message": payload.get("message")}}


_TELLS: dict[str, Callable[[ResponsesReader, Payload], Iterator[Any]]] = {
    "response.content_part.added": ResponsesReader._began,
    "response.output_text.delta": ResponsesReader._text,
    "response.refusal.delta": ResponsesReader._refusal,
    "response.reasoning_summary_text.delta": ResponsesReader._thought,
    "response.reasoning_text.delta": ResponsesReader._thought,
    "response.output_text.annotation.added": ResponsesReader._cited,
    "response.output_item.added": ResponsesReader._opened,
    "response.function_call_arguments.delta": ResponsesReader._argument,
    "response.output_item.done": ResponsesReader._closed,
}
"""What each event that brings a piece of the answer becomes."""
