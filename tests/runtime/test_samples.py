"""Programs that try several times, loaded and served: each try is a sample of its own."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from tests.runtime.test_load import artifact_of

from compilm.config import RuntimeSettings
from compilm.runtime.load import load
from compilm.runtime.stack import Stacks
from compilm.testing.engines import scripted_lm


def is_last(_: Any, prediction: Any) -> float:
    return float(prediction.answer == "4")


class Tries(dspy.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.best = kind(dspy.Predict("question -> answer"), 4, is_last, 1.0)

    def forward(self, question: str) -> Any:
        return self.best(question=question)


def served(kind: Any, cache: str) -> tuple[Any, Any]:
    numbers = iter(range(1, 100))

    def reply(request: Any) -> Any:
        if "advice" in str(request.system):
            return {"discussion": "d", "advice": {"predict": "think"}}
        return {"answer": str(next(numbers))}

    lm = scripted_lm(reply, model="a/model")
    stack = Stacks(RuntimeSettings(cache=cache)).over(lm)
    program = Tries(kind)
    return load(artifact_of(program), program, roles={"default": stack.lm}), lm.engine


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_the_best_of_four_takes_four_samples(cache: str) -> None:
    runtime, engine = served(dspy.BestOfN, cache)
    assert runtime(question="2+2?").answer == "4"
    assert engine.calls == 4


def test_four_samples_are_found_again_in_their_order() -> None:
    runtime, engine = served(dspy.BestOfN, "memory")
    assert [runtime(question="2+2?").answer for _ in range(3)] == ["4", "4", "4"]
    assert engine.calls == 4


def test_a_program_that_refines_its_answer_is_served() -> None:
    runtime, engine = served(dspy.Refine, "none")
    assert runtime(question="2+2?").answer == "4"
    assert engine.calls > 4
