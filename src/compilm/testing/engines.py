"""Engines for tests: answers from a script, failures on cue. A double at the seam, never a mock."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import dspy
from dspy import lm15

__all__ = ["ScriptedEngine", "chat_answer", "scripted_lm"]

Reply = str | Mapping[str, Any] | BaseException
Script = Callable[[lm15.Request], Reply] | Sequence[Reply]


def chat_answer(fields: Mapping[str, Any]) -> str:
    """The text with which a model answers DSPy's ChatAdapter.

    >>> print(chat_answer({"answer": 4}))
    [[ ## answer ## ]]
    4
    <BLANKLINE>
    [[ ## completed ## ]]
    """
    parts = [f"[[ ## {name} ## ]]\n{_text(value)}" for name, value in fields.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


class ScriptedEngine:
    """Answers what the script says: a text, fields for the ChatAdapter, or an error to raise.

    A list is used up in order (its last entry repeats); a function sees the request. `requests`
    keeps what was asked, in the order of arrival. Usage counts 4 characters as a token. A stream
    comes in pieces of `piece` characters, or, with 0, in one.

    >>> lm = scripted_lm([{"answer": "4"}])
    >>> with dspy.context(lm=lm):
    ...     dspy.Predict("question -> answer")(question="2+2?").answer
    '4'
    """

    supports_function_calling = False
    supports_response_schema = False
    supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self, script: Script, piece: int = 0) -> None:
        self._script, self._piece = script, piece
        self._lock = threading.Lock()  # protects requests
        self.requests: list[lm15.Request] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> ScriptedEngine:
        return self

    @property
    def calls(self) -> int:
        """How many requests arrived."""
        return len(self.requests)

    def complete(self, request: lm15.Request) -> lm15.Response:
        with self._lock:
            place = len(self.requests)
            self.requests.append(request)
        if callable(self._script):
            reply = self._script(request)
        else:
            reply = self._script[min(place, len(self._script) - 1)]
        if isinstance(reply, BaseException):
            raise reply
        return _response(request, reply if isinstance(reply, str) else chat_answer(reply))

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        for event in lm15.response_to_events(self.complete(request)):
            if not self._piece or event.type != "delta":
                yield event
                continue
            text = event.delta.text
            for place in range(0, len(text), self._piece):
                delta = lm15.TextDelta(text=text[place : place + self._piece], part_index=0)
                yield lm15.StreamDeltaEvent(delta=delta)


class _AsyncScriptedEngine:
    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine

    def __deepcopy__(self, memo: dict[int, Any]) -> _AsyncScriptedEngine:
        return self

    async def complete(self, request: lm15.Request) -> lm15.Response:
        return self._engine.complete(request)

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in self._engine.stream(request):
            yield event


def scripted_lm(
    script: Script, model: str = "scripted/model", *, piece: int = 0, **settings: Any
) -> dspy.LM:
    """A `dspy.LM` over a `ScriptedEngine`, which is its `engine`; no cache, no retries."""
    engine = ScriptedEngine(script, piece)
    settings = {"cache": False, "num_retries": 0, **settings}
    return dspy.LM(model, engine=engine, async_engine=_AsyncScriptedEngine(engine), **settings)


def _response(request: lm15.Request, text: str) -> lm15.Response:
    asked = sum(
        len(part.text)
        for message in request.messages
        for part in message.parts
        if hasattr(part, "text")
    )
    return lm15.Response(
        id=None,
        model=request.model,
        message=lm15.Message.assistant((lm15.TextPart(text),)),
        finish_reason="stop",
        usage=lm15.Usage(input_tokens=asked // 4, output_tokens=len(text) // 4),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
