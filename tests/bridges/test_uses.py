"""The steps of a foreign program: what went into each text and what came out of it."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest

from compilm.bridges.foreign import Foreign, Text
from compilm.bridges.openai import async_client, client
from compilm.testing.engines import scripted_lm

CLIENT = client()


def said(system: str, text: str) -> str:
    rows: list[Any] = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return (
        CLIENT.chat.completions.create(model="any", messages=rows).choices[0].message.content or ""
    )


def steps_of(program: Foreign, lm: dspy.LM, **inputs: Any) -> list[tuple[str, dict[str, Any]]]:
    """The trace of one call: the name of the text, and all values of the step."""
    names = {id(predictor): name for name, predictor in program.texts.items()}
    with dspy.context(lm=lm, trace=[]):
        try:
            program(**inputs)
        finally:
            found = [*dspy.settings.trace]
    return [(names[id(one)], {**went, **dict(came)}) for one, went, came in found]


def two(fn: Any, **texts: str | Text) -> Foreign:
    texts = texts or {"plan": "Plan it.", "do": "Do it."}
    return Foreign(fn, texts=texts, inputs="task", outputs="result")


def test_several_texts_are_told_apart_by_what_was_sent_with_them() -> None:
    def run(task: str, *, plan: str, do: str) -> str:
        return said(do, f"Plan: {said(plan, task)}")

    assert steps_of(two(run), scripted_lm(["first a", "done"]), task="wash") == [
        ("plan", {"request": "wash", "response": "first a"}),
        ("do", {"request": "Plan: first a", "response": "done"}),
    ]


def test_of_two_texts_in_a_request_the_longer_was_used() -> None:
    def run(task: str, *, plan: str, do: str) -> str:
        return said(do, task)

    program = two(run, plan="Do it", do="Do it well.")
    assert [name for name, _ in steps_of(program, scripted_lm(["x"]), task="a")] == ["do"]


def test_a_text_used_in_a_loop_has_a_step_each_time() -> None:
    def run(task: str, *, plan: str, do: str) -> str:
        return " ".join(said(do, word) for word in task.split())

    found = steps_of(two(run), scripted_lm(["1", "2"]), task="a b")
    assert [step["request"] for _, step in found] == ["a", "b"]


def test_values_given_back_under_the_names_of_fields_are_the_step() -> None:
    def run(task: str, *, plan: str, do: str) -> dict[str, str]:
        return {"points": "1. a", "result": "done"}

    program = two(run, plan=Text("Plan.", "task -> points"), do=Text("Do.", "points -> result"))
    # What a step of the second takes in, nobody told; the first is known.
    assert steps_of(program, scripted_lm(["x"]), task="wash") == [
        ("plan", {"task": "wash", "points": "1. a"}),
    ]


def test_what_format_was_given_is_what_went_in() -> None:
    def run(task: str, *, plan: Any, do: Any) -> dict[str, str]:
        return {"result": said("", do.format(points="1. a", task=task))}

    program = two(run, plan="Plan.", do=Text("Do {points} for {task}.", "points -> result"))
    assert steps_of(program, scripted_lm(["done"]), task="wash") == [
        ("do", {"points": "1. a", "result": "done"}),
    ]


def test_what_a_program_records_is_its_step_and_nothing_else() -> None:
    def run(task: str, *, plan: Any, do: Any) -> str:
        plan.record(request=task, response="told")
        said(plan, "heard, and not counted twice")
        return said(do, "x")

    assert steps_of(two(run), scripted_lm(["done"]), task="wash") == [
        ("plan", {"request": "wash", "response": "told"}),
        ("do", {"request": "x", "response": "done"}),
    ]


def test_calls_that_nobody_hears_are_known_by_what_was_given_back() -> None:
    program = Foreign(
        lambda task, do: "done", texts={"do": "Do it."}, inputs="task", outputs="result"
    )
    assert steps_of(program, scripted_lm(["x"]), task="wash") == [
        ("do", {"task": "wash", "result": "done"})
    ]


def test_the_steps_before_an_error_are_kept() -> None:
    def run(task: str, *, plan: str, do: str) -> str:
        said(plan, task)
        raise ValueError("broken")

    program = two(run)
    with dspy.context(lm=scripted_lm(["x"]), trace=[]):
        with pytest.raises(ValueError, match="broken"):
            program(task="a")
        names = [dict(came)["response"] for _, _, came in dspy.settings.trace]
    assert names == ["x"]


def test_calls_that_run_side_by_side_are_all_heard() -> None:
    reached = async_client()

    async def run(task: str, *, plan: str, do: str) -> str:
        async def one(word: str) -> str:
            rows: list[Any] = [{"role": "user", "content": f"{do}\n{word}"}]
            found = await reached.chat.completions.create(model="any", messages=rows)
            return found.choices[0].message.content or ""

        return " ".join(await asyncio.gather(*map(one, task.split())))

    found = steps_of(two(run), scripted_lm(lambda r: r.messages[0].text[-1]), task="a b c")
    assert sorted(step["response"] for _, step in found) == ["a", "b", "c"]


def test_a_model_asked_as_dspy_asks_is_heard_too() -> None:
    def run(task: str, *, plan: str, do: str) -> str:
        return str(dspy.settings.lm(f"{do}\n{task}")[0])

    assert steps_of(two(run), scripted_lm(["done"]), task="wash") == [
        ("do", {"request": "wash", "response": "done"})
    ]


def test_a_full_trace_drops_its_oldest_step() -> None:
    program = Foreign(lambda task, do: task, texts={"do": "."}, inputs="task", outputs="result")
    with dspy.context(lm=scripted_lm(["x"]), trace=[], max_trace_size=2):
        for task in "abc":
            program(task=task)
        assert [went["task"] for _, went, _ in dspy.settings.trace] == ["b", "c"]
