"""A graph program to compile, and a scripted model that answers better when it is shown more.

The graph has all that a program can hide predictors in: branches, a map, a graph in a graph.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import dspy
from dspy import lm15

from compilm.graphs import END, Choice, Graph, Map
from compilm.randomness import rng
from compilm.testing.engines import ScriptedEngine, scripted_lm

KINDS = ("status", "denial", "payment")
WORD = "carefully"
_MARKER = re.compile(r"\[\[ ## (\w+) ## \]\]\n")


def build() -> Graph:
    """The program: five predictors, one of them behind a map, one in an inner graph."""
    reply = Graph(
        nodes={"write": dspy.Predict("message, kind, points -> answer"), "tidy": tidy},
        edges={"write": "tidy", "tidy": END},
        start="write",
        outputs=["answer"],
    )
    return Graph(
        nodes={
            "split": lambda message: {"parts": message.split()[:2]},
            "kind": dspy.Predict("message -> kind"),
            "tone": dspy.ChainOfThought("message -> tone"),
            "points": Map(dspy.Predict("part -> point"), over="parts", into="points"),
            "reply": reply,
            "check": dspy.Predict("message, answer -> verdict"),
        },
        edges={
            "split": ("kind", "tone", "points"),
            "kind": "reply",
            "tone": "reply",
            "points": "reply",
            "reply": "check",
            "check": Choice("verdict", {"redo": "reply"}, END),
        },
        start="split",
        inputs=["message"],
        outputs=["kind", "answer"],
    )


def tidy(answer: str) -> dict[str, Any]:
    return {"answer": answer.strip()}


def kind_of(message: str) -> str:
    return rng(0, "kind", message).choice(KINDS)


def examples(count: int, start: int = 0) -> list[dspy.Example]:
    found = []
    for number in range(start, start + count):
        message = f"message {number} about a claim"
        kind = kind_of(message)
        found.append(dspy.Example(message=message, kind=kind, answer=kind).with_inputs("message"))
    return found


def metric(example: Any, prediction: Any, *_: Any, **__: Any) -> float:
    """Half for the kind, half for the answer."""
    right = (prediction.kind == example.kind) + (prediction.answer == example.answer)
    return float(right) / 2


def feedback(example: Any, prediction: Any, *_: Any, **__: Any) -> dspy.Prediction:
    """The same for GEPA."""
    return dspy.Prediction(score=metric(example, prediction), feedback="say the kind")


def score(program: dspy.Module, lm: dspy.LM, data: list[dspy.Example]) -> float:
    with dspy.context(lm=lm):
        return sum(metric(one, program(**one.inputs())) for one in data) / len(data)


def lm() -> dspy.LM:
    return scripted_lm(reply)


def engine(model: dspy.LM) -> ScriptedEngine:
    assert isinstance(model.engine, ScriptedEngine)
    return model.engine


def reply(request: lm15.Request) -> Mapping[str, Any]:
    """Right for a share of messages that demonstrations and a word in the instruction raise."""
    fields = fields_of(request)
    told = " ".join(text_of(request.system or ()) if request.system else [])
    skill = 0.4 + 0.08 * demonstrations(request) + 0.3 * (WORD in told)
    message = fields.get("message", "")
    is_able = rng(0, "luck", message).random() < skill
    kind = kind_of(message) if is_able else "none"
    return {
        "kind": kind,
        "reasoning": "so",
        "tone": "calm",
        "point": f"of {fields.get('part', '')}",
        "answer": kind,
        "verdict": "fine",
        # what optimizers ask for
        "proposed_instruction": f"Answer {WORD}.",
        "summary": "claims",
        "observations": "COMPLETE",
        "program_description": "answers",
        "module_description": "answers",
    }


def fields_of(request: lm15.Request) -> dict[str, str]:
    """The inputs of the question, as the chat adapter writes them."""
    told = " ".join(text_of(request.messages[-1].parts)).partition("\n\nRespond with")[0]
    pieces = _MARKER.split(told)
    return {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def text_of(parts: Any) -> list[str]:
    return [parts] if isinstance(parts, str) else [getattr(part, "text", "") for part in parts]


def demonstrations(request: lm15.Request) -> int:
    return sum(message.role == "assistant" for message in request.messages)


def outputs_asked(request: lm15.Request) -> tuple[str, ...]:
    last = " ".join(text_of(request.messages[-1].parts)).partition("\n\nRespond with")[2]
    return tuple(name for name in re.findall(r"\[\[ ## (\w+)", last) if name != "completed")


def stored(program: dspy.Module) -> dict[str, int]:
    """How many demonstrations each predictor holds, by its last output.

    DSPy's optimizers also store rows of the data as they are with every predictor, those too that
    have nothing of what the predictor gives: no prompt can show such a row, and DSPy leaves it out.
    """
    return {
        list(one.signature.output_fields)[-1]: sum(_can_be_shown(one, demo) for demo in one.demos)
        for one in program.predictors()  # what MIPROv2 leaves in its logs is no part of it
    }


def _can_be_shown(predictor: dspy.Predict, demo: Any) -> bool:
    signature = predictor.signature
    sides = (signature.input_fields, signature.output_fields)
    held = set(dict(demo))
    return all(held.intersection(side) for side in sides)


def arrived(program: dspy.Module) -> dict[str, int]:
    """How many demonstrations stand in the prompts of one call, by the last output asked for."""
    model = lm()
    with dspy.context(lm=model):
        program(message="message 999 about a claim")
    found: dict[str, set[int]] = {}
    for request in engine(model).requests:
        found.setdefault(outputs_asked(request)[-1], set()).add(demonstrations(request))
    assert all(len(counts) == 1 for counts in found.values()), found
    return {name: counts.pop() for name, counts in found.items()}


def total(counts: Mapping[str, int]) -> int:
    return Counter(counts).total()
