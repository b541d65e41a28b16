"""A crew is a program: its roles and tasks are compiled, and its agents ask our models."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import dspy
import pydantic
from tests.bridges.needs import QUIET, needs
from tests.bridges.world import LABELS, WORD, compiled, engine_of, label_of

import compilm
from compilm.bridges import crewai as bridge
from compilm.bridges.foreign import Text
from compilm.testing.engines import scripted_lm

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OTEL_SDK_DISABLED", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")

crewai = needs("crewai")

pytestmark = QUIET


def build(*, goal: str, model: Any) -> Any:
    agent = crewai.Agent(role="Sorter", goal=goal, backstory="You sort.", llm=model)
    task = crewai.Task(description="Sort: {text}", expected_output="a color", agent=agent)
    return crewai.Crew(agents=[agent], tasks=[task], verbose=False)


def sorting() -> Any:
    texts = {"goal": Text("Sort the text.", "text -> label")}
    return bridge.crew(build, texts=texts, inputs="text", outputs="label")


def reply(request: Any) -> Any:
    system = str(request.system)
    if "[[ ##" in system:
        return {"proposed_instruction": f"Sort it {WORD}.", "proposed_rules": f"Do it {WORD}."}
    asked = request.messages[-1].text or ""
    truth = label_of(asked.split("Sort: ")[1].split("\n")[0])
    is_taught = WORD in system or "label: " in system
    found = truth if is_taught else LABELS[LABELS.index(truth) - 1]
    return f"Thought: I now can give a great answer\nFinal Answer: {found}"


def test_a_crew_answers_with_our_model() -> None:
    lm = scripted_lm(reply)
    with dspy.context(lm=lm):
        found = sorting()(text="text number 1")
        later = asyncio.run(sorting().acall(text="text number 1"))
    assert found.label == later.label in LABELS
    assert "Sort the text." in str(engine_of(lm).requests[0].system)


def test_a_crew_is_compiled_by_its_texts_and_metered() -> None:
    lm = scripted_lm(reply)
    result = compiled(sorting(), lm, budget=compilm.Budget(rollouts=180))
    assert result.gain.value > 0.9
    assert result.spent.calls == engine_of(lm).calls


def test_a_shape_of_an_answer_is_kept() -> None:
    class Color(pydantic.BaseModel):
        name: str

    model = bridge.model(scripted_lm(['{"name": "red"}']))
    asked = [{"role": "user", "content": "which?"}]
    assert model.call(asked, response_model=Color) == Color(name="red")
    assert asyncio.run(model.acall("which?")) == '{"name": "red"}'
