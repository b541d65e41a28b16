"""What the texts of a foreign program were used for in one call: its steps, for the trace.

A step is what DSPy notes of a predictor: its inputs and its outputs. Here they are put together
from what the program was given, what it put into a text, what it gave back, what it asked of a
`dspy.LM` with the text in the request, and what it said by `Prompt.record`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy import lm15
from dspy.utils.callback import BaseCallback

from .prompts import Prompt

__all__ = ["Step", "Uses"]

Step = tuple[dspy.Predict, dict[str, Any], dspy.Prediction]


@dataclass(slots=True)
class _Asked:
    """One call of a model: the texts of the request, and of the answer once there is one."""

    texts: tuple[str, ...]
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the program itself said about one use of a text."""

    prompt: Prompt
    values: Mapping[str, Any]


class Uses(BaseCallback):
    """Listens to one call of a foreign program: a DSPy callback, and what its prompts tell.

    Of two texts that both stand in a request the longer was used.
    """

    def __init__(self) -> None:
        self._issued: list[Prompt] = []
        self._events: list[_Asked | _Recorded] = []
        self._open: dict[str, _Asked] = {}

    def told(self, kind: str, about: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """What a `Prompt` tells: that it was issued, or what came of it."""
        if kind == "issued":
            self._issued.append(about["prompt"])
        else:
            self._events.append(_Recorded(about["prompt"], values))

    def on_lm_start(
        self,
        call_id: str,
        instance: Any,  # noqa: ARG002 - whichever model is asked
        inputs: dict[str, Any],
    ) -> None:
        """A model is asked."""
        asked = self._open[call_id] = _Asked(tuple(_texts(inputs)))
        self._events.append(asked)

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """It answered, or failed."""
        asked = self._open.pop(call_id, None)
        if asked is not None and exception is None:
            asked.answer = _answer(outputs)

    def steps(
        self, texts: Mapping[str, dspy.Predict], inputs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> list[Step]:
        """The steps of the call, in order; one whose values are not all known is left out.

        Args:
            texts: the predictor of each text.
            inputs: what the program was called with.
            given: what it gave back.
        """
        found: list[Step] = []
        spoken = {event.prompt.name for event in self._events if isinstance(event, _Recorded)}
        heard = any(isinstance(event, _Asked) for event in self._events)
        for event in self._events:
            prompt = event.prompt if isinstance(event, _Recorded) else self._used(event)
            if prompt is None or (isinstance(event, _Asked) and prompt.name in spoken):
                continue
            known = _Known(inputs, given, prompt.values)
            if isinstance(event, _Recorded):
                known = _Known({**inputs, **event.values}, event.values, prompt.values)
            else:
                known.sent, known.came = _rest(event.texts, prompt), event.answer
            found += known.step(texts[prompt.name])
        for name, predictor in texts.items() if not heard else ():
            if name not in spoken:
                latest = [each for each in self._issued if each.name == name][-1]
                found += _Known(inputs, given, latest.values).step(predictor)
        return found

    def _used(self, asked: _Asked) -> Prompt | None:
        """The prompt that stands in the request."""
        within = [
            prompt
            for prompt in self._issued
            if prompt.strip() and any(prompt.strip() in text for text in asked.texts)
        ]
        return max(within, key=len, default=None)


@dataclass(slots=True)
class _Known:
    """The values that are known of one use of a text, by where they come from."""

    inputs: Mapping[str, Any]
    given: Mapping[str, Any]
    filled: Mapping[str, Any]
    sent: str | None = None
    came: str | None = field(default=None)

    def step(self, predictor: dspy.Predict) -> list[Step]:
        """The step, if all is known; the one field that is not is what was sent, or what came."""
        signature = predictor.signature
        went = _chosen(signature.input_fields, {**self.inputs, **self.filled}, self.sent)
        came = _chosen(signature.output_fields, self.given, self.came)
        if went is None or came is None:
            return []
        return [(predictor, went, dspy.Prediction(**came))]


def _chosen(
    names: Mapping[str, Any], known: Mapping[str, Any], rest: str | None
) -> dict[str, Any] | None:
    missing = [name for name in names if name not in known]
    if len(missing) > 1 or (missing and rest is None):
        return None
    return {name: known.get(name, rest) for name in names}


def _rest(texts: Sequence[str], prompt: Prompt) -> str:
    """What was sent beside the prompt."""
    left = (text.replace(prompt.strip(), "").strip() for text in texts)
    return "\n".join(text for text in left if text)


def _texts(inputs: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a request, whichever way a `dspy.LM` was asked."""
    asked = inputs.get("prompt")
    asked = (inputs.get("kwargs") or {}).get("request", asked)
    if isinstance(asked, lm15.Request):
        if isinstance(asked.system, str):
            yield asked.system
        system = asked.system if isinstance(asked.system, tuple) else ()
        for part in (*system, *(part for message in asked.messages for part in message.parts)):
            if isinstance(part, lm15.TextPart):
                yield part.text
    elif isinstance(asked, str):
        yield asked
    for message in inputs.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield content


def _answer(outputs: Any) -> str | None:
    if isinstance(outputs, lm15.Response):
        return outputs.text or ""
    first = outputs[0] if isinstance(outputs, list) and outputs else None
    return first if isinstance(first, str) else (first or {}).get("text")
