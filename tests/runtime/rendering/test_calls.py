"""Calls through a rendered adapter are DSPy's in everything: answers, errors, usage, streams."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Literal

import dspy
import pydantic
import pytest
from dspy import lm15
from dspy.adapters.types.citation import Citations
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.rendering import drawn
from tests.runtime.rendering.both import (
    ADAPTERS,
    assert_same,
    completion,
    is_kept,
    quiet,
)

from compilm.engine import SAMPLE, EnginePair
from compilm.programs.models import RoleLM, as_engine, role_lm
from compilm.runtime.rendering import rendered
from compilm.testing.engines import ScriptedEngine, chat_answer, scripted_lm
from compilm.testing.strategies import texts

WHY = {"question": "why"}
GOOD = chat_answer({"answer": "because"})


class Place(pydantic.BaseModel):
    name: str
    size: int = 1


OUTPUTS: list[Any] = [
    str, int, float, bool, list[str], list[int], dict[str, int], Literal["a", "b"], drawn.Color,
    Place, list[Place], str | None, int | None, Place | None, int | str, str | int,
]  # fmt: skip
ANSWERS = st.one_of(
    st.sampled_from(
        ["", "a", "'b'", "7", "7.5", "true", "null", "red", "[1, 2]", '["x"]', '{"k": 1}',
         '{"name": "n", "size": "3"}', '[{"name": "n"}]', "Literal[a]", "\n7\n", "N/A"]
    ),
    texts(12),
)  # fmt: skip


@pytest.mark.parametrize("adapter", ADAPTERS)
@settings(max_examples=40)
@given(kind=st.sampled_from(OUTPUTS), answer=ANSWERS, is_whole=st.booleans())
def test_answers_are_read_as_the_adapter_reads_them(
    adapter: Any, kind: Any, answer: str, is_whole: bool
) -> None:
    signature = dspy.Signature({"question": (str, dspy.InputField()),
                                "answer": (kind, dspy.OutputField())})  # fmt: skip
    script = [completion(adapter, answer) if is_whole else answer or "."]
    assert_same(dspy.Predict(signature), adapter(), script, WHY)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("awaited", [False, True])
def test_what_stays_is_the_same_object_in_every_request(adapter: Any, awaited: bool) -> None:
    program, lm = dspy.Predict("question -> answer"), scripted_lm([completion(adapter, "a")])
    program.demos = [dspy.Example(question="q", answer="a")]
    with quiet(lm, rendered(adapter())):
        for _ in range(3):
            if awaited:
                asyncio.run(program.acall(**WHY))
            else:
                program(**WHY)
    assert is_kept(lm)
    lm.engine.requests.clear()
    with quiet(lm, adapter()):
        for _ in range(2):
            program(**WHY)
    assert not is_kept(lm)


class Deep(dspy.Module):
    """Several predictors, one of them of a signature that is made at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer: int")
        self.check = dspy.Predict("answer: int, notes: list[str] -> ok: bool")

    def forward(self, question: str) -> dspy.Prediction:
        answer = self.think(question=question).answer
        made = dspy.Signature("answer -> answer", f"Say {question} again.")
        again = dspy.Predict(made)(answer=answer).answer
        ok = self.check(answer=answer, notes=[again, "b"]).ok
        with dspy.context(adapter=dspy.JSONAdapter()):
            other = dspy.Predict("question -> answer")(question=question)
        return dspy.Prediction(ok=ok, other=other.answer)


def deep(request: Any) -> str:
    if "JSON" in request.messages[-1].text:
        return '{"answer": "json"}'
    return chat_answer({"reasoning": "r", "answer": "4", "ok": "True"})


def tool(city: str) -> str:
    """The weather."""
    return f"fine in {city}"


def acts(request: Any) -> str:
    is_over = "fine in Bern" in str(request.messages)
    step = {"next_tool_name": "finish" if is_over else "tool",
            "next_tool_args": "{}" if is_over else '{"city": "Bern"}'}  # fmt: skip
    return chat_answer({"next_thought": "t", **step, "reasoning": "r", "answer": "fine"})


class Said(dspy.Signature):
    """Go on."""

    history: dspy.History = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


class Described(dspy.adapters.types.Type):
    text: str
    seen: Any = None

    def format(self) -> str:
        return self.text

    @classmethod
    def description(cls) -> str:
        return "a kind of text"


HISTORY = dspy.History(messages=[{"question": "q", "answer": "a"}])
PICTURE = dspy.Image("data:image/png;base64,AAAA")
FEW = [
    (Deep(), deep, WHY),
    (dspy.ReAct("question -> answer", tools=[tool]), acts, WHY),
    (dspy.Predict(Said), [GOOD], {"history": HISTORY, **WHY}),
    (dspy.Predict("pages: list[dspy.Image], page: dspy.Image -> answer"), [GOOD],
     {"pages": [PICTURE, PICTURE], "page": PICTURE}),
    (dspy.Predict("question -> answer: dspy.Code"), [GOOD], WHY),
    (dspy.Predict("question -> answer, thought: dspy.Reasoning"), [GOOD], WHY),
    (dspy.Predict(dspy.Signature({"question": (str, dspy.InputField()),
                                  "answer": (str, dspy.OutputField()),
                                  "sources": (Citations, dspy.OutputField())})), [GOOD], WHY),
    (dspy.Predict("question, tools: list[dspy.Tool] -> answer, calls: dspy.ToolCalls"), [GOOD],
     {"tools": [dspy.Tool(tool)], **WHY}),
    (dspy.Predict(dspy.Signature({"question": (Described, dspy.InputField()),
                                  "answer": (str, dspy.OutputField())})), [GOOD],
     {"question": Described(text="why")}),
    (dspy.Predict(dspy.Signature({"question": (list, dspy.InputField()),
                                  "answer": (str, dspy.OutputField())})), [GOOD],
     {"question": ["why"]}),
    (dspy.Predict("question -> answer", n=2), [GOOD], WHY),
    (dspy.Predict("question -> answer", temperature=0.7, stop=["x"]), [GOOD], WHY),
    (dspy.Predict("question -> answer", nonsense=object()), [GOOD], WHY),
    (dspy.Predict("question -> answer", api_key="k"), [GOOD], WHY),
    (dspy.Predict("question -> answer", logprobs=True), [GOOD], WHY),
    (dspy.Predict("question -> answer"), [GOOD], {**WHY, "config": {"max_tokens": 5}}),
    (dspy.Predict("question -> answer"), [GOOD], {"question": "half \ud800"}),
    (dspy.Predict("question -> answer"), [GOOD], {"question": "café ☕ \x00"}),
    (dspy.Predict("question -> answer"), [""], WHY),
    (dspy.Predict("question -> answer"), ["garbled"], WHY),
    (dspy.Predict("question -> answer"), ["garbled", '{"answer": "again"}'], WHY),
    (dspy.Refine(dspy.ChainOfThought("question -> answer"), 2, lambda given, found: 0.0, 1.0),
     [chat_answer({"reasoning": "r", "answer": "a", "discussion": "d",
                   "advice": '{"predict": "be brief"}'})], WHY),
]  # fmt: skip


@pytest.mark.parametrize("case", FEW, ids=range(len(FEW)))
@pytest.mark.parametrize("adapter", [*ADAPTERS, lambda: dspy.ChatAdapter(None, True)])
def test_programs_of_many_kinds_ask_and_answer_as_before(case: Any, adapter: Any) -> None:
    program, script, inputs = case
    assert_same(program, adapter(), script, inputs)


class Capable(ScriptedEngine):
    """An engine that says it can do everything."""

    supports_function_calling = supports_response_schema = supports_reasoning = True
    supported_params = ("response_format", "tools", "tool_choice", "reasoning_effort")


def capable(script: Any) -> dspy.LM:
    engine = Capable(script)
    return dspy.LM("m", engine=engine, cache=False, num_retries=0,
                   async_engine=as_engine(scripted_lm(script)).asynchronous)  # fmt: skip


@pytest.mark.parametrize("case", FEW, ids=range(len(FEW)))
@pytest.mark.parametrize("adapter", [*ADAPTERS, lambda: dspy.ChatAdapter(None, True)])
def test_they_do_with_a_model_that_can_more(case: Any, adapter: Any) -> None:
    """Tools, reasoning, citations and schemas of answers go by the model's own features."""
    program, script, inputs = case
    assert_same(program, adapter(), script, inputs, model=capable)


@pytest.mark.parametrize("case", FEW, ids=range(len(FEW)))
def test_they_do_when_they_are_awaited(case: Any) -> None:
    program, script, inputs = case
    if hasattr(type(program), "aforward"):
        assert_same(program, dspy.ChatAdapter(), script, inputs, awaited=True)


@pytest.mark.parametrize(
    "error",
    [lm15.RateLimitError("slow", retry_after=3.0), lm15.AuthError("no"), KeyError("a bug"),
     lm15.ContextLengthError("long"), dspy.LMServerError(model="m", message="down"),
     lm15.InvalidRequestError("use /v1/responses")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("awaited", [False, True])
def test_errors_are_those_of_the_model(error: Exception, awaited: bool) -> None:
    assert_same(
        dspy.Predict("question -> answer"), dspy.ChatAdapter(), [error], WHY, awaited=awaited
    )


def test_what_is_no_error_passes() -> None:
    program, lm = dspy.Predict("question -> answer"), scripted_lm([KeyboardInterrupt()])
    with quiet(lm, rendered(dspy.ChatAdapter())):
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                program(**WHY)


class Thinking(ScriptedEngine):
    """An engine that says more than a text."""

    def complete(self, request: Any) -> Any:
        found = super().complete(request)
        parts = (lm15.ThinkingPart("hm"), *found.message.parts)
        scores = (lm15.TokenLogprob("a", -0.5, None),)
        message = replace(found.message, parts=parts)
        return replace(found, message=message, finish_reason="length", logprobs=scores)


def test_answers_with_thoughts_and_scores_are_read_as_before() -> None:
    def model(script: Any) -> dspy.LM:
        engine = Thinking(script)
        pair = as_engine(scripted_lm(script))
        return dspy.LM("m", engine=engine, async_engine=pair.asynchronous, cache=False,
                       num_retries=0)  # fmt: skip

    for options in ({}, {"logprobs": True}):
        program = dspy.Predict("question -> answer", **options)
        found = assert_same(program, dspy.ChatAdapter(), [GOOD], WHY, model=model)
        assert ("logprobs" in found[1][0]) == bool(options)


def test_tokens_are_counted_once_a_call() -> None:
    program, found = dspy.Predict("question -> answer"), []
    for adapter in (dspy.ChatAdapter(), rendered(dspy.ChatAdapter())):
        with quiet(scripted_lm([GOOD]), adapter, track_usage=True):
            found.append([program(**WHY).get_lm_usage() for _ in range(3)])
    assert found[0] == found[1]
    assert found[0][0]


def test_a_model_of_a_role_is_told_which_sample_is_meant() -> None:
    seen: list[Any] = []

    def script(request: Any) -> str:
        seen.append((SAMPLE.get().rollout_id, SAMPLE.get().is_fresh))
        return GOOD

    like = scripted_lm(script, temperature=1.0)
    lm = role_lm(EnginePair(like.engine, like._async_engine_spec), like)
    program = dspy.Predict("question -> answer")
    with quiet(lm, rendered(dspy.ChatAdapter())):
        for rollout in (1, 2, None):
            program.config = {} if rollout is None else {"rollout_id": rollout}
            for _ in range(2):
                program(**WHY)
        fresh = lm.copy(cache=False)
        assert isinstance(fresh, RoleLM)
        program(lm=fresh, **WHY)
    assert seen == [*[(1, False)] * 2, *[(2, False)] * 2, *[(None, False)] * 2, (None, True)]
    assert is_kept(like)
