"""A world of two steps for whole searches: a topic, then a label, and a proposer that varies.

Whether a step is right is fixed by the text and by the skill that its prompt earns: some words of
the instruction, and demonstrations. The second step can only be right on the right topic. What the
proposer writes is fixed by what it is asked.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import dspy
from dspy import lm15

from compilm.clock import ManualClock
from compilm.datasets import DataSet, as_dataset
from compilm.journal import Journal, MemoryJournal
from compilm.metrics import Metric
from compilm.optimizers.budget import Budget
from compilm.optimizers.job import Job
from compilm.testing.engines import chat_answer, scripted_lm

TOPICS, LABELS = ("sea", "hill"), ("red", "green", "blue")
WORDS = ("slowly", "twice", "aloud", "backwards", "again", "first")
GOOD = ("slowly", "twice")


class Topic(dspy.Signature):
    """Tell the topic."""

    text: str = dspy.InputField()
    topic: Literal["sea", "hill"] = dspy.OutputField()


class Label(dspy.Signature):
    """Give the label."""

    text: str = dspy.InputField()
    topic: str = dspy.InputField()
    label: Literal["red", "green", "blue"] = dspy.OutputField()


class Relay(dspy.Module):
    """Two predictors, the second after the first."""

    def __init__(self) -> None:
        super().__init__()
        self.topic, self.label = dspy.Predict(Topic), dspy.Predict(Label)

    def forward(self, text: str) -> dspy.Prediction:
        topic = self.topic(text=text).topic
        return dspy.Prediction(topic=topic, label=self.label(text=text, topic=topic).label)


def truth(text: str) -> tuple[str, str]:
    """The right topic and label of a text."""
    return TOPICS[drawn(text, "topic", 2)], LABELS[drawn(text, "label", 3)]


def data(count: int, start: int, name: str) -> DataSet:
    """Examples that name the label; every second one names the topic too."""
    rows = []
    for number in range(start, start + count):
        text = f"letter {number}"
        topic, label = truth(text)
        gold = topic if number % 2 else None
        rows.append(dspy.Example(text=text, topic=gold, label=label).with_inputs("text"))
    return as_dataset(rows, name=name)


def spoken(
    gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None
) -> Any:
    """A metric that says something to each predictor, as `dspy.GEPA` wants it."""
    right = gold.label == pred.label
    told = "" if right else f"{pred_name or 'the program'} should have said {gold.label}"
    return dspy.Prediction(score=float(right), feedback=told)


def reply(request: lm15.Request) -> str:
    """What the model of this world says to any request."""
    system, last = str(request.system), request.messages[-1].text or ""
    if "proposed_rules" in system:
        return chat_answer({"proposed_rules": f"Read it {_word(last)}."})
    if "proposed_instruction" in system:
        own = re.findall(r"current_instruction ## \]\]\n(.*?)\n", last)
        return chat_answer({"proposed_instruction": f"{own[0] if own else ''} {_word(last)}."})
    text = re.findall(r"## text ## \]\]\n(.*?)\n", last)[-1].strip()
    demos = sum(message.role == "assistant" for message in request.messages)
    skill = 0.5 + 0.02 * min(8, demos) + 0.15 * sum(word in system for word in GOOD)
    topic, label = truth(text)
    if "## label ## ]]" not in system:
        able = drawn(text, "topic luck", 1000) < 1000 * (skill + 0.2)
        return chat_answer({"topic": topic if able else _other(TOPICS, topic)})
    given = re.findall(r"## topic ## \]\]\n(.*?)\n", last)[-1].strip()
    able = given == topic and drawn(text, "luck", 1000) < 1000 * skill
    return chat_answer({"label": label if able else _other(LABELS, label)})


def relay_lm(script: Any = reply, **settings: Any) -> dspy.LM:
    """The model of this world over a scripted engine."""
    return scripted_lm(script, model="scripted/relay", **settings)


def job(
    *,
    lm: dspy.LM | None = None,
    level: int = 3,
    rollouts: int = 260,
    journal: Journal | None = None,
    seed: int = 0,
    concurrency: int = 4,
    sizes: tuple[int, int, int] = (12, 20, 12),
    **more: Any,
) -> Job:
    """A compile in this world."""
    train, val, test = sizes
    lm = lm or relay_lm()
    return Job(
        Relay(), Metric(spoken), data(train, 0, "train"), data(val, 1000, "val"),
        data(test, 2000, "test"), level, Budget(rollouts=rollouts),
        {"default": lm, "proposer": lm}, seed,
        MemoryJournal() if journal is None else journal, "relay",
        concurrency=concurrency, clock=ManualClock(), **more,
    )  # fmt: skip


def drawn(text: str, salt: str, size: int) -> int:
    """A whole number below `size`, fixed by text and salt."""
    return int(hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:8], 16) % size


def _word(asked: str) -> str:
    return WORDS[drawn(asked, "word", len(WORDS))]


def _other(names: tuple[str, ...], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]
