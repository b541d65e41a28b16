"""A small world for foreign programs: texts to sort, and a model that prompts make better.

The model is asked in plain messages, as code that knows nothing of DSPy asks: an instruction in
the system message, a text from the user. It is right more often where the system message has
demonstrations or a certain word.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import dspy
from dspy import lm15

import compilm
from compilm.testing.engines import ScriptedEngine, chat_answer, scripted_lm

LABELS = ("red", "green", "blue")
WORD = "carefully"
_BETTER = ("proposed_instruction", "proposed_rules", "new_instruction")


def label_of(text: str) -> str:
    return LABELS[_hash(text, "label") % len(LABELS)]


def examples(count: int, start: int = 0) -> list[dspy.Example]:
    texts = [f"text number {start + n}" for n in range(count)]
    return [dspy.Example(text=t, label=label_of(t)).with_inputs("text") for t in texts]


def system_of(request: lm15.Request) -> str:
    if isinstance(request.system, tuple):
        return "".join(part.text for part in request.system)
    return request.system or ""


def demos_in(request: lm15.Request) -> int:
    """How many demonstrations arrived, written as the bridges write them."""
    return len(re.findall(r"^text: .*\nlabel: ", system_of(request), re.MULTILINE))


def reply(request: lm15.Request, *, base: float = 0.3, a_demo: float = 0.1) -> str:
    """A label for a text; for DSPy's and our own proposers the word, whatever they ask."""
    system, asked = system_of(request), request.messages[-1].text or ""
    if "[[ ##" in system:
        names = re.findall(r"^\d+\. `(\w+)`", system.split("Your output fields")[1], re.MULTILINE)
        said = {name: f"Sort it {WORD}." if name in _BETTER else "As it says." for name in names}
        return json.dumps(said) if "be a JSON object" in system else chat_answer(said)
    skill = base + a_demo * demos_in(request) + 0.3 * (WORD in system)
    luck = _hash(asked, "luck") % 1000 / 1000
    truth = LABELS.index(label_of(asked))
    return LABELS[truth if luck < skill else (truth + 1) % len(LABELS)]


def world_lm(**settings: Any) -> dspy.LM:
    return scripted_lm(reply, model="scripted/world", **settings)


def engine_of(lm: dspy.LM) -> ScriptedEngine:
    assert isinstance(lm.engine, ScriptedEngine)
    return lm.engine


def right(example: dspy.Example, prediction: Any, trace: Any = None) -> float:
    return float(example.label == prediction.label)


def compiled(program: dspy.Module, lm: dspy.LM, **how: Any) -> compilm.CompileResult:
    """The program compiled in this world."""
    level = {} if "optimizer" in how else {"level": 1}
    how = {"budget": compilm.Budget(rollouts=300), **level, **how}
    return compilm.compile(
        program,
        right,
        trainset=examples(20),
        valset=examples(30, 100),
        testset=examples(40, 200),
        roles={"default": lm},
        concurrency=4,
        **how,
    )


def _hash(text: str, salt: str) -> int:
    return int(hashlib.sha256(f"{salt}{text}".encode()).hexdigest()[:8], 16)
