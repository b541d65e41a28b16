"""An engine for driven optimizers: the world's task, and any proposer's question, are answered.

Questions of proposers are known by the fields they ask for. Every text they get says the word that
makes the world's program better, so that an optimizer that works has something to find.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import dspy
from dspy import lm15
from tests.optimizers import worlds

from compilm.engine import SAMPLE
from compilm.testing.engines import chat_answer, scripted_lm

ADVICE = f"Sort the text {worlds.WORD}, by its number."
TASK = "[[ ## text ## ]]"
_FIELD = re.compile(r"^\d+\. `(\w+)` \(([^)]*)\)", re.MULTILINE)

Reply = Callable[[lm15.Request], Any]


def system_of(request: lm15.Request) -> str:
    """The system prompt as text."""
    if isinstance(request.system, str):
        return request.system
    return "".join(part.text for part in request.system or () if hasattr(part, "text"))


def is_task(request: lm15.Request) -> bool:
    """Whether the program asks, and not a proposer."""
    return "`label`" in system_of(request) and TASK in (request.messages[-1].text or "")


def mind(task: Reply = worlds.reply, advice: str = ADVICE) -> Reply:
    """A reply that gives the program what `task` says, and every proposer `advice`."""

    def reply(request: lm15.Request) -> Any:
        if is_task(request):
            return task(request)
        return proposal(request, advice)

    return reply


def moody(request: lm15.Request) -> Any:
    """The world's answers, luckier in some samples than in others: what SIMBA looks for."""
    sample = SAMPLE.get()
    mood = (sample.rollout_id or 0) % 3 if sample else 0
    return worlds.reply(request, base=0.25 + 0.15 * mood)


def proposal(request: lm15.Request, advice: str) -> str:
    """The advice in every field that a proposer's request asks for, as its adapter wants it."""
    system = system_of(request)
    outputs = system.partition("Your output fields are:")[2].partition("All interactions")[0]
    fields: dict[str, Any] = {
        name: {"sort": advice} if kind.startswith("dict") else advice
        for name, kind in _FIELD.findall(outputs)
    }
    if "JSON object" in system:
        return json.dumps(fields)
    return chat_answer(fields)


def lm(reply: Reply | None = None) -> dspy.LM:
    """The world's LM with a mind for proposers."""
    return scripted_lm(reply or mind(), model="scripted/world")
