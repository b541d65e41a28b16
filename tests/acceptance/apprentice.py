"""A scripted model for any program: it knows the right answers and gives more of them when shown.

What it is asked is read out of the prompt as DSPy's adapters write it. Whether it is able to
answer right is decided by the question and by how many demonstrations stand before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dspy import lm15

from compilm.testing.engines import chat_answer

from .texts import drawn

_MARKER = re.compile(r"\[\[ ## (\w+) ## \]\]\n")
_TRAILER = "\n\nRespond with"


@dataclass(frozen=True)
class Asked:
    """One question: the inputs as text, the outputs wanted, and whether the answer will be right.

    `shown` counts the demonstrations in the prompt; an image stands for its own data.
    """

    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    shown: int
    able: bool


Answer = Callable[[Asked], Mapping[str, Any] | str | BaseException]


@dataclass(frozen=True)
class Apprentice:
    """A script for `scripted_lm` that answers by `answer`, right for `base` of the questions."""

    answer: Answer
    base: float = 0.3
    a_demo: float = 0.05

    def __call__(self, request: lm15.Request) -> str | BaseException:
        reply = self.answer(self.asked(request))
        return chat_answer(reply) if isinstance(reply, Mapping) else reply

    def asked(self, request: lm15.Request) -> Asked:
        """What this request asks."""
        told, _, trailer = _text(request.messages[-1].parts).rpartition(_TRAILER)
        pieces = _MARKER.split(told)
        inputs = {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
        wanted = [one for one in re.findall(r"`(?:\[\[ ## )?(\w+)", trailer) if one != "completed"]
        shown = demonstrations(request)
        luck = drawn(repr(sorted(inputs.items())), "luck", 1000) / 1000
        return Asked(inputs, tuple(wanted), shown, luck < self.base + self.a_demo * shown)


def demonstrations(request: lm15.Request) -> int:
    """How many answers the prompt shows."""
    return sum(message.role == "assistant" for message in request.messages)


def _text(parts: Iterable[Any]) -> str:
    return "".join(getattr(part, "text", None) or str(getattr(part, "data", "")) for part in parts)
