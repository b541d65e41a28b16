"""A small world for compiles: a program, its data, and an engine that gets better with prompts.

The engine knows the right answer of every text. Whether it gives it is fixed by the text and by
the skill that the prompt earns: demonstrations and a certain word in the instruction.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any, Literal

import dspy
from dspy import lm15

from compilm.clock import Clock, ManualClock
from compilm.datasets import DataSet, as_dataset
from compilm.journal import Journal, MemoryJournal
from compilm.metrics import Metric, exact
from compilm.optimizers.budget import Budget
from compilm.optimizers.job import Job
from compilm.testing.engines import ScriptedEngine, chat_answer, scripted_lm

LABELS = ("red", "green", "blue")
WORD = "carefully"


class Sort(dspy.Signature):
    """Sort the text."""

    text: str = dspy.InputField()
    label: Literal["red", "green", "blue"] = dspy.OutputField()


class Sorter(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sort = dspy.Predict(Sort)

    def forward(self, text: str) -> dspy.Prediction:
        return self.sort(text=text)


def label_of(text: str) -> str:
    return LABELS[_hash(text, "label") % len(LABELS)]


def examples(count: int, start: int = 0) -> list[dspy.Example]:
    texts = [f"text number {start + n}" for n in range(count)]
    return [dspy.Example(text=t, label=label_of(t)).with_inputs("text") for t in texts]


def data(count: int, start: int = 0, name: str = "data") -> DataSet:
    return as_dataset(examples(count, start), name=name)


def reply(request: lm15.Request, *, base: float = 0.4, a_demo: float = 0.02) -> str:
    """The world's answer: right for a share of texts that the prompt's skill decides."""
    system = "".join(part.text for part in request.system or () if hasattr(part, "text"))
    if isinstance(request.system, str):
        system = request.system
    text = request.messages[-1].text or ""
    if "proposed_instruction" in system:
        return chat_answer({"proposed_instruction": f"Sort the text {WORD}, by its number."})
    if "proposed_rules" in system:
        return chat_answer({"proposed_rules": f"Do it {WORD}."})
    demos = sum(message.role == "assistant" for message in request.messages)
    skill = base + a_demo * demos + 0.25 * (WORD in system)
    asked = text.split("[[ ## text ## ]]")[1].split("\n\n")[0].strip()
    truth = label_of(asked)
    luck = _hash(asked, "luck") % 1000 / 1000
    wrong = LABELS[(LABELS.index(truth) + 1) % len(LABELS)]
    return chat_answer({"label": truth if luck < skill else wrong})


def world_lm(**settings: Any) -> dspy.LM:
    return scripted_lm(reply, model="scripted/world", **settings)


def engine_of(lm: dspy.LM) -> ScriptedEngine:
    assert isinstance(lm.engine, ScriptedEngine)
    return lm.engine


def job(
    *,
    lm: dspy.LM | None = None,
    program: dspy.Module | None = None,
    metric: Metric | None = None,
    level: int = 1,
    budget: Budget | None = None,
    journal: Journal | None = None,
    seed: int = 0,
    concurrency: int = 4,
    clock: Clock | None = None,
    sizes: tuple[int, int, int] = (40, 40, 60),
    **more: Any,
) -> Job:
    train, val, test = sizes
    return Job(
        program or Sorter(),
        metric or exact("label"),
        data(train, 0, "train"),
        data(val, 1000, "val"),
        data(test, 2000, "test"),
        level,
        budget or Budget(rollouts=700),
        {"default": lm or world_lm()},
        seed,
        MemoryJournal() if journal is None else journal,
        "world",
        concurrency=concurrency,
        clock=clock or ManualClock(),
        **more,
    )


class Bomb:
    """A reply that works until it has been asked `fuse` times, and then raises `error`."""

    def __init__(self, fuse: int, error: BaseException) -> None:
        self._left, self._error = fuse, error
        self._lock = threading.Lock()

    def __call__(self, request: lm15.Request) -> Any:
        with self._lock:
            self._left -= 1
            exploded = self._left < 0
        return self._error if exploded else reply(request)


def _hash(text: str, salt: str) -> int:
    return int(hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:8], 16)
