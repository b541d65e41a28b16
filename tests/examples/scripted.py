"""An engine whose answers are given: what it says for the fields a predictor asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage, response_to_events

# the inputs of a call by field name, and the output fields asked for -> their values
Script: TypeAlias = Callable[[dict[str, str], list[str]], Mapping[str, str]]

_MARK = re.compile(r"^\[\[ ## (\w+) ## \]\]\n", re.M)


class ScriptedEngine:
    """Answers each call as its script says, and counts the calls."""

    supports_function_calling = False
    supports_response_schema = False
    supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self, script: Script) -> None:
        self.script, self.calls = script, 0

    def complete(self, request: Request) -> Response:
        self.calls += 1
        body, _, asked = request.messages[-1].text.partition("\n\nRespond with the corresponding")
        outputs = re.findall(r"\[\[ ## (\w+) ## \]\]", asked)[:-1]  # the last one is `completed`
        answers = self.script(_inputs(body), outputs)
        said = "".join(f"[[ ## {name} ## ]]\n{answers[name]}\n\n" for name in outputs)
        return Response(
            id="1",
            model=request.model,
            message=Message.assistant((TextPart(said + "[[ ## completed ## ]]"),)),
            finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1),
        )

    def stream(self, request: Request) -> Iterator[Any]:
        return iter(response_to_events(self.complete(request)))

    def __deepcopy__(self, memo: dict[int, Any]) -> ScriptedEngine:
        return self


def scripted(script: Script) -> dspy.LM:
    """A `dspy.LM` that answers by a script, each call anew."""
    return dspy.LM("scripted", engine=ScriptedEngine(script), cache=False, num_retries=0)


def _inputs(body: str) -> dict[str, str]:
    parts = _MARK.split(body)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2])}
