"""A callable whose prompts are named texts is compiled, copied, saved and served as a program."""

from __future__ import annotations

import asyncio
import copy
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from tests.bridges.world import (
    WORD,
    compiled,
    demos_in,
    engine_of,
    examples,
    label_of,
    right,
    system_of,
    world_lm,
)

import compilm
from compilm.artifact import Nearest
from compilm.bridges.foreign import Foreign, Text
from compilm.bridges.openai import async_client, client
from compilm.errors import ProgramError
from compilm.programs.predictors import applied, predictors, shape
from compilm.programs.reference import source_fingerprint
from compilm.programs.retrieving import retrieve
from compilm.testing.engines import scripted_lm

LOCK = threading.Lock()  # what a real function closes over cannot be copied
CLIENT = client()


def messages(system: str, text: str) -> list[Any]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def sort(text: str, *, classify: str) -> str:
    with LOCK:
        pass
    said = CLIENT.chat.completions.create(model="any", messages=messages(classify, text))
    return said.choices[0].message.content or ""


def sorter(fn: Any = sort, text: str | Text = "Sort the text.\n{demos}") -> Foreign:
    return Foreign(fn, texts={"classify": text}, inputs="text", outputs="label")


def with_demos(program: dspy.Module, count: int) -> dspy.Module:
    (state,) = shape(program)
    demos = tuple({"text": one.text, "label": one.label} for one in examples(count))
    return applied(program, {state.path: replace(state, demos=demos)})


def arrived(program: dspy.Module, text: str = "text number 1") -> int:
    """The demonstrations that reach the model when the program is called."""
    lm = world_lm()
    with dspy.context(lm=lm):
        program(text=text)
    return demos_in(engine_of(lm).requests[-1])


def test_the_text_reaches_the_model_as_it_was_written() -> None:
    lm = world_lm()
    text = "  Sort it:\n\tred, green or blue {with care}\n"
    with dspy.context(lm=lm):
        sorter(text=text)(text="text number 1")
    assert system_of(engine_of(lm).requests[0]) == text


def test_a_value_or_a_mapping_or_a_prediction_is_an_answer() -> None:
    for given in ("red", {"label": "red", "why": "so"}, dspy.Prediction(label="red")):
        assert sorter(lambda text, classify, given=given: given)(text="a").label == "red"
    with pytest.raises(ProgramError, match="gave dict without 'label': return a dict with label"):
        sorter(lambda text, classify: {})(text="a")


def test_a_call_with_other_inputs_is_refused_with_their_names() -> None:
    with pytest.raises(ProgramError, match="'text' is missing, 'txt' is unknown; its inputs are"):
        sorter()(txt="a")


def test_names_that_meet_and_programs_without_anything_to_compile_are_refused() -> None:
    with pytest.raises(ProgramError, match="'text' stands twice among inputs, texts, parts"):
        Foreign(sort, texts={"text": "Sort."}, inputs="text", outputs="label")
    with pytest.raises(ProgramError, match="nothing can be compiled without a text or a part"):
        Foreign(sort, inputs="text", outputs="label")


@pytest.mark.parametrize("how", ["our copy", "deepcopy", "dspy's deepcopy", "state", "artifact"])
def test_every_demo_reaches_the_model_however_the_program_is_carried(
    how: str, tmp_path: Path
) -> None:
    program = with_demos(sorter(), 5)
    assert arrived(sorter()) == 0
    if how == "deepcopy":
        program = copy.deepcopy(program)
    elif how == "dspy's deepcopy":
        program = program.deepcopy()
    elif how == "state":
        program.save(tmp_path / "state.json")
        program = sorter()
        program.load(tmp_path / "state.json")
    elif how == "artifact":
        program.save(tmp_path / "state.json")
        artifact = compilm.adopt(tmp_path / "state.json", sorter())
        lm = world_lm()
        runtime = compilm.load(artifact, sorter(), roles={"default": lm})
        assert runtime(text="text number 1").label in ("red", "green", "blue")
        assert demos_in(engine_of(lm).requests[-1]) == 5
    assert arrived(program) == 5


def test_demos_stand_at_the_end_of_a_text_that_has_no_place_for_them() -> None:
    lm = world_lm()
    with dspy.context(lm=lm):
        with_demos(sorter(text="Sort."), 1)(text="text number 9")
    shown = f"Sort.\n\nExamples:\n\ntext: text number 0\nlabel: {label_of('text number 0')}"
    assert system_of(engine_of(lm).requests[0]) == shown


def test_demos_are_shown_as_the_text_says() -> None:
    text = Text("{demos}", show=lambda demos: ";".join(f"{d['text']}={d['label']}" for d in demos))
    lm = world_lm()
    with dspy.context(lm=lm):
        with_demos(sorter(text=text), 2)(text="text number 9")
    first, second = (f"{one.text}={one.label}" for one in examples(2))
    assert system_of(engine_of(lm).requests[0]) == f"{first};{second}"


def test_demos_that_are_chosen_for_each_call_reach_the_model() -> None:
    pool = ({"text": "a lost card", "label": "red"}, {"text": "a leaking roof", "label": "blue"})
    program = sorter()
    retrieve(program.texts["classify"], Nearest(1, "words-v1", pool))
    lm = world_lm()
    with dspy.context(lm=lm):
        program(text="the roof is leaking")
    assert "leaking roof" in system_of(engine_of(lm).requests[0])
    assert "lost card" not in system_of(engine_of(lm).requests[0])


def test_an_async_function_is_awaited_from_either_side() -> None:
    reached = async_client()

    async def later(text: str, *, classify: str) -> str:
        said = await reached.chat.completions.create(model="any", messages=messages(classify, text))
        return said.choices[0].message.content or ""

    async def inside() -> list[str]:
        awaited = await sorter(later).acall(text="text number 1")
        plain = await sorter().acall(text="text number 1")  # a function that is not async
        return [awaited.label, plain.label, sorter(later)(text="text number 1").label]

    with dspy.context(lm=scripted_lm(["red"])):
        assert asyncio.run(inside()) == ["red"] * 3
        assert sorter(later)(text="text number 1").label == "red"


def test_a_part_is_a_module_whose_predictors_are_compiled_as_well() -> None:
    def answer(question: str, *, think: dspy.Module, style: str) -> dict[str, Any]:
        return {"answer": f"{style} {think(question=question).answer}"}

    program = Foreign(
        answer,
        texts={"style": "Well,"},
        parts={"think": dspy.ChainOfThought("question -> answer")},
        inputs="question",
        outputs="answer",
    )
    assert list(predictors(program)) == ["parts.think.predict", "texts.style"]
    assert program.deepcopy().parts["think"] is not program.parts["think"]
    with dspy.context(lm=scripted_lm([{"reasoning": "sums", "answer": "4"}])):
        assert program(question="2+2?").answer == "Well, 4"


def test_a_model_that_is_handed_over_is_metered_by_a_compile() -> None:
    judge = world_lm()

    def judged(text: str, *, classify: str, judge: dspy.LM) -> str:
        said = client(judge).chat.completions.create(model="any", messages=messages(classify, text))
        return said.choices[0].message.content or ""

    program = Foreign(
        judged,
        texts={"classify": "Sort."},
        models={"judge": judge},
        inputs="text",
        outputs="label",
    )
    result = compiled(program, scripted_lm(["red"]), level=0)
    assert result.spent.calls == engine_of(judge).calls > 0


def test_set_lm_is_obeyed() -> None:
    program = sorter()
    program.set_lm(scripted_lm(["green"]))
    with dspy.context(lm=scripted_lm(["red"])):
        assert program(text="a").label == "green"


def test_a_changed_function_is_another_program() -> None:
    def one(text: str, *, classify: str) -> str:
        return classify + text

    def two(text: str, *, classify: str) -> str:
        return text + classify

    class Called:
        def __call__(self, text: str, *, classify: str) -> str:
            return text

    assert source_fingerprint(sorter(one)) == source_fingerprint(sorter(one))
    known = {source_fingerprint(sorter(fn)) for fn in (one, two, sort, Called())}
    assert len(known) == 4


@pytest.mark.parametrize("level", [1, 2, 3])
def test_our_optimizers_compile_it_and_the_artifact_serves_the_gain(
    level: int, tmp_path: Path
) -> None:
    lm = world_lm()
    result = compiled(sorter(), lm, level=level)
    assert result.gain.value > 0.2
    assert result.verdict in ("proven", "likely")
    result.save(tmp_path / "artifact")
    (state,) = shape(result.program)
    chosen = state.nearest.k if state.nearest else 0
    served = compilm.load(tmp_path / "artifact", sorter(), roles={"default": lm})
    assert served(text="text number 999").label in ("red", "green", "blue")
    assert demos_in(engine_of(lm).requests[-1]) == len(state.demos) + chosen
    assert state.instructions.split("{demos}")[0].strip() in system_of(engine_of(lm).requests[-1])


def test_dspys_bootstrap_makes_demos_of_what_the_function_did() -> None:
    with dspy.context(lm=world_lm()):
        optimizer = dspy.BootstrapFewShot(right, max_bootstrapped_demos=3, max_labeled_demos=3)
        found = optimizer.compile(sorter(), trainset=examples(20))
    demos = found.texts["classify"].demos
    assert len(demos) == 3
    assert all(demo.augmented and demo.label == label_of(demo.text) for demo in demos)
    assert arrived(found) == arrived(found.deepcopy()) == 3


@pytest.mark.parametrize("optimizer", ["dspy.BootstrapFewShot", "dspy.MIPROv2", "dspy.GEPA"])
def test_dspys_optimizers_under_ours_improve_it(optimizer: str) -> None:
    lm = world_lm()
    result = compiled(sorter(), lm, optimizer=optimizer)
    assert result.gain.value > 0.1
    (state,) = shape(result.program)
    assert state.demos or WORD in state.instructions
    assert arrived(result.program) == len(state.demos)
