"""Nothing stale is ever served: whatever is changed, the next prompt is the adapter's own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import dspy
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.rendering import drawn
from tests.runtime.rendering.both import ADAPTERS, asked, is_kept, quiet

from compilm.runtime.rendering import rendered
from compilm.testing.engines import chat_answer, scripted_lm

ANSWER = chat_answer({"answer": "a", "note": "n"})


class Counter(pydantic.BaseModel):
    count: int = 0


def made() -> dspy.Predict:
    """A predictor whose demos hold what can change in place."""
    signature = dspy.Signature("question, tags: list[str], extra -> answer, note", "Answer.")
    program = dspy.Predict(signature)
    program.demos = [
        dspy.Example(question="q", tags=["x"], extra=Counter(), answer="a", note="n"),
        {"question": "q2", "tags": ["y", ["z"]], "extra": {"k": [1]}, "answer": "a2", "note": 1},
        dspy.Example(question="q3", answer="a3"),
    ]
    return program


def written() -> dspy.Predict:
    """A predictor whose demos are records of texts."""
    program = made()
    program.demos = [
        dspy.Example(question=f"q{n}", tags="x", extra="e", answer=f"a{n}", note="n")
        for n in range(3)
    ]
    return program


def _swapped(program: Any) -> None:
    program.demos.reverse()


def _signature_replaced(program: Any) -> None:
    program.signature = program.signature.with_instructions("Answer otherwise.")


def _instructions_changed(program: Any) -> None:
    program.signature.instructions = program.signature.instructions + " More."


def _description_changed(program: Any) -> None:
    extra = program.signature.fields["question"].json_schema_extra
    extra["desc"] = extra["desc"] + "!"


def _field_added(program: Any) -> None:
    if "hint" not in program.signature.fields:
        program.signature = program.signature.append("hint", dspy.InputField(default="h"))


def _value_assigned(program: Any) -> None:
    program.demos[0]["answer"] = str(len(str(program.demos[0]["answer"])))


def _value_of_another_type(program: Any) -> None:
    """1, True and 1.0 are equal and look different."""
    following = {int: True, bool: 1.0}
    program.demos[-1]["note"] = following.get(type(program.demos[-1].get("note")), 1)


def _value_taken(program: Any) -> None:
    demo = program.demos[0]
    if "note" in demo:
        del demo["note"]


def _value_none(program: Any) -> None:
    program.demos[-1]["answer"] = None


def _list_appended(program: Any) -> None:
    for demo in program.demos:
        if "tags" in demo:
            demo["tags"] += ["more"] if isinstance(demo["tags"], list) else "more"


def _deep_changed(program: Any) -> None:
    for demo in program.demos:
        extra = demo.get("extra")
        if isinstance(extra, str):
            demo["extra"] = extra + "!"
        if isinstance(extra, dict):
            extra["k"].append(2)
        if isinstance(extra, Counter):
            extra.count += 1


def _demo_added(program: Any) -> None:
    program.demos.append(dspy.Example(question="new", answer="new", note="new"))


def _demo_taken(program: Any) -> None:
    if len(program.demos) > 1:
        program.demos.pop()


def _demos_assigned(program: Any) -> None:
    program.demos = [dspy.Example(question="only", tags=[], extra="e", answer="one", note="n")]


def _demo_unknown(program: Any) -> None:
    program.demos.insert(0, dspy.Example(question=object.__new__(Odd), answer="odd"))


class Odd:
    """A value that looks different each time."""

    seen = 0

    def __str__(self) -> str:
        return "odd"


CHANGES = [
    _swapped, _signature_replaced, _instructions_changed, _description_changed, _field_added,
    _value_assigned, _value_of_another_type, _value_taken, _value_none, _list_appended,
    _deep_changed, _demo_added, _demo_taken, _demos_assigned, _demo_unknown,
]  # fmt: skip
INPUTS = {"question": "why", "tags": ["t"], "extra": "e"}


def assert_as_before(program: Any, plain: Any, twin: Any) -> None:
    """Three calls through the twin ask what one through the adapter asks."""
    lms = scripted_lm([ANSWER]), scripted_lm([ANSWER])
    for lm, adapter, times in ((lms[0], plain, 1), (lms[1], twin, 3)):
        with quiet(lm, adapter):
            for _ in range(times):
                # The answer is of one adapter; what was asked is what is looked at.
                with suppress(dspy.utils.exceptions.AdapterParseError):
                    program(**INPUTS)
    wanted = asked(lms[0])
    found = asked(lms[1])
    assert found == wanted * 3


@pytest.mark.parametrize("adapter", ADAPTERS)
@settings(max_examples=25)
@given(start=st.sampled_from([made, written]),
       changes=st.lists(st.sampled_from(CHANGES), min_size=1, max_size=6))  # fmt: skip
def test_after_any_changes_the_prompt_is_the_adapters_own(
    adapter: Any, start: Any, changes: Any
) -> None:
    program, plain = start(), adapter()
    twin = rendered(plain)
    assert_as_before(program, plain, twin)
    for change in changes:
        change(program)
        assert_as_before(program, plain, twin)


@pytest.mark.parametrize("start", [made, written])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_between_two_calls_is_seen_by_the_second(start: Any, change: Any) -> None:
    program, plain, lm = start(), dspy.ChatAdapter(), scripted_lm([ANSWER])
    twin = rendered(plain)
    with quiet(lm, twin):
        for _ in range(3):
            program(**INPUTS)
        assert is_kept(lm)
        change(program)
        program(**INPUTS)
    with quiet(lm, plain):
        program(**INPUTS)
    before, after, own = asked(lm)[-3:]
    assert after == own != before


def test_a_method_put_on_the_adapter_is_heard() -> None:
    program, plain, lm = made(), dspy.ChatAdapter(), scripted_lm([ANSWER])
    twin = rendered(plain)
    with quiet(lm, twin):
        for _ in range(3):
            program(**INPUTS)
        plain.format_task_description = lambda signature: "Something else."
        program(**INPUTS)
    assert "Something else." not in lm.engine.requests[-2].system
    assert "Something else." in lm.engine.requests[-1].system


def test_settings_of_the_adapter_are_read_at_each_call() -> None:
    program, plain = dspy.Predict("question -> answer"), dspy.ChatAdapter()
    twin, lm = rendered(plain), scripted_lm(["garbled"])
    with quiet(lm, twin):
        for fallback, calls in ((True, 2), (False, 1), (True, 2)):
            plain.use_json_adapter_fallback = fallback
            before = lm.engine.calls
            for _ in range(2):
                with pytest.raises(dspy.utils.exceptions.AdapterParseError):
                    program(question="why")
            assert lm.engine.calls - before == 2 * calls


@settings(max_examples=40)
@given(drawn.cases())
def test_most_demos_are_kept_and_those_that_are_not_are_still_right(case: Any) -> None:
    """Known kinds of values are kept whatever they are nested in."""
    from compilm.runtime.rendering.demos import Snapshot

    for demo in case[1]:
        snapshot = Snapshot.of(demo)
        assert snapshot is not None
        assert snapshot.holds(demo)
