"""The recorded outcomes as ladders: for each question what each step answered and what it cost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dspy

from compilm.confidence import Agreement, Attempt, Case, Verdict

__all__ = ["Answer", "Ladder", "Row", "bbh", "confidences", "gsm8k", "llmrouter"]

# Cobbe et al. 2021, arXiv:2110.14168, §4: the verifier ranks 100 samples.
_SAMPLES = 100


class Answer(NamedTuple):
    """What one step said: how right it is (0 to 1), what it cost, and its text, if recorded."""

    score: float
    cost: float
    text: str = ""


class Row(NamedTuple):
    """One question and the answer of each step, the cheapest first."""

    id: str
    text: str
    answers: tuple[Answer, ...]


class Ladder(NamedTuple):
    """A set: its rows, what its steps are, and a signal from what they said, if one is there."""

    name: str
    steps: tuple[str, ...]
    unit: str
    rows: tuple[Row, ...]
    said: Callable[[Row, int], float | None] | None = None


def gsm8k(folder: Path) -> Ladder:
    """Four recorded solvers; a call costs its billions of parameters times what it writes."""
    sizes = {
        "6b_finetuning": 6,
        "175b_finetuning": 175,
        "6b_verification": 6 * _SAMPLES,
        "175b_verification": 175 * _SAMPLES,
    }
    rows = []
    for row in _lines(folder / "gsm8k" / "test_half_a_with_model_outputs.jsonl"):
        answers = []
        for name, size in sizes.items():
            said = row["models"][name]
            output = said["output"]
            answers.append(Answer(float(said["correct"]), size * len(output) / 1e3, output))
        rows.append(Row(row["id"], row["question"], tuple(answers)))
    unit = "billion parameters x thousand characters written"
    return Ladder("gsm8k", tuple(sizes), unit, tuple(rows), _agreed)


def _agreed(row: Row, step: int) -> float | None:
    """Agreement of the final numbers so far; among equal ones, a short solution is surer."""
    said = [dspy.Prediction(answer=_number(each.text)) for each in row.answers[: step + 1]]
    share = Agreement("answer")(_case(said[:-1], said[-1])) or 0.0
    return 0.8 * share + 0.2 * math.exp(-len(row.answers[step].text) / 300)


def _case(before: list[dspy.Prediction], now: dspy.Prediction) -> Case:
    refused = Verdict(False)
    return Case({}, now, tuple(Attempt(str(n), each, refused) for n, each in enumerate(before)))


def _number(output: str) -> str:
    found = re.findall(r"A:\s*([^\n]+)", output)
    return found[-1].replace(",", "").strip() if found else output[-40:]


def bbh(folder: Path) -> Ladder:
    """Codex asked for the answer, then for its reasoning; a call costs what it writes."""
    rows = []
    for row in _lines(folder / "bbh" / "tasks.jsonl"):
        both = [row["codex_direct"], row["codex_cot"]]
        if None not in both:
            answers = [
                Answer(float(said["correct"]), len(said["output"]), str(said["answer"]))
                for said in both
            ]
            rows.append(Row(row["id"], row["input"], tuple(answers)))
    return Ladder("bbh", ("direct", "chain of thought"), "characters written", tuple(rows))


def llmrouter(folder: Path) -> Ladder:
    """The cheapest good model and the best one; a call costs its price times the question."""
    steps = ("gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct")
    prices = json.loads((folder / "llmrouter-outcomes" / "models.json").read_text("utf-8"))
    rows = []
    for row in _lines(folder / "llmrouter-outcomes" / "outcomes.jsonl"):
        options = " ".join(each["text"] for each in row["choices"] or ())
        text = f"{row['query']} {options}".strip()
        answers = [
            Answer(row["scores"][name], prices[name]["input_usd_per_mtok"] * len(text) / 4)
            for name in steps
        ]
        rows.append(Row(row["id"], text, tuple(answers)))
    return Ladder("llmrouter", steps, "micro-dollars for the question", tuple(rows))


class Checked(NamedTuple):
    """One answer with the model's own confidence in it."""

    id: str
    signal: float | None
    right: bool


def confidences(folder: Path) -> dict[str, list[Checked]]:
    """Answers of a classifier with their probabilities, by task and prompt."""
    found: dict[str, list[Checked]] = {}
    for row in _lines(folder / "confidence-outcomes" / "outcomes.jsonl"):
        for prompt in ("baseline", "default", "confidence"):
            said = row[prompt]
            checked = Checked(row["id"], said["score"], bool(said["correct"]))
            found.setdefault(f"{row['task']}, {prompt}", []).append(checked)
    return found


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
