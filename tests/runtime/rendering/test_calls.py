"""Calls through a rendered adapter are DSPy's in everything: answers, errors, usage, streams."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import dspy
import pydantic
import pytest
from dspy import lm15
from dspy.adapters.types.citation import Citations
from dspy.utils.callback import BaseCallback
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.rendering import drawn
from tests.runtime.rendering.both import (
    ADAPTERS,
    asked,
    assert_same,
    calls,
    is_kept,
    outcome,
    quiet,
)

from compilm.artifact import Nearest
from compilm.engine import SAMPLE, EnginePair
from compilm.programs.models import RoleLM, as_engine, role_lm
from compilm.programs.retrieving import retrieve
from compilm.runtime.rendering import rendered
from compilm.testing.engines import ScriptedEngine, chat_answer, scripted_lm
from compilm.testing.strategies import texts

WHY = {"question": "why"}
GOOD = chat_answer({"answer": "because"})


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """DSPy warns of what is asked here on purpose."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


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


def completion(adapter: Any, answer: str) -> str:
    return {
        dspy.ChatAdapter: chat_answer({"answer": answer}),
        dspy.JSONAdapter: '{"answer": %s}' % (answer or '""'),
        dspy.XMLAdapter: f"<answer>\n{answer}\n</answer>",
    }[adapter]


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


class Heard(BaseCallback):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: Any) -> None:
        self.told.append(("format", type(instance).__name__, inputs["inputs"]))

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        self.told.append(("parse", outputs))

    def on_lm_start(self, call_id: str, instance: Any, inputs: Any) -> None:
        self.told.append(("lm", inputs["messages"]))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_callbacks_hear_all_they_heard(adapter: Any) -> None:
    program, found = dspy.Predict("question -> answer"), []
    for make in (adapter, lambda: rendered(adapter())):
        heard = Heard()
        with quiet(scripted_lm([completion(adapter, "a")]), make(), callbacks=[heard]):
            for _ in range(3):
                program(**WHY)
        found.append(heard.told)
    assert found[0] == found[1]
    assert len(found[0]) >= 9


class OfModules(BaseCallback):
    def on_module_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        pass


def test_a_callback_of_modules_alone_costs_no_rendering() -> None:
    program, lm = dspy.Predict("question -> answer", callbacks=[OfModules()]), scripted_lm([GOOD])
    program.demos = [dspy.Example(question="q", answer="a")]
    with quiet(lm, rendered(dspy.ChatAdapter()), callbacks=[OfModules()]):
        for _ in range(3):
            program(**WHY)
    assert is_kept(lm)


def test_history_is_kept_where_it_is_wanted() -> None:
    program, found = dspy.Predict("question -> answer"), []
    for adapter in (dspy.ChatAdapter(), rendered(dspy.ChatAdapter())):
        lm = scripted_lm([GOOD])
        with quiet(lm, adapter, disable_history=False):
            for _ in range(3):
                program(**WHY)
        found.append([entry["messages"] for entry in lm.history])
        lm.history[0]["messages"][0]["content"] = "changed by a reader"
    assert found[0] == found[1]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_streams_are_the_same_chunks(adapter: Any) -> None:
    program, found = dspy.Predict("question -> answer"), []
    program.demos = [dspy.Example(question="q", answer="a")]

    async def streamed(streaming: Any) -> list[Any]:
        return [said(chunk) async for chunk in streaming(**WHY)]

    for make in (adapter, lambda: rendered(adapter())):
        lm, one = scripted_lm([completion(adapter, "a b c")]), make()
        with quiet(lm, one):
            streaming = dspy.streamify(program)
            parts = [asyncio.run(streamed(streaming)) for _ in range(3)]
        found.append((asked(lm), parts))
    assert found[0] == found[1]
    assert len(found[1][1][-1]) > 2


class Sink:
    """In the place of the stream that a caller reads."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, chunk: Any) -> None:
        self.sent.append(said(chunk))


def test_a_stream_of_ones_own_is_sent_the_same() -> None:
    program, found = dspy.Predict("question -> answer"), []
    for adapter in (dspy.ChatAdapter(), rendered(dspy.ChatAdapter())):
        sink = Sink()
        with quiet(scripted_lm([GOOD]), adapter, send_stream=sink):
            for _ in range(3):
                asyncio.run(program.acall(**WHY))
        found.append(sink.sent)
    assert found[0] == found[1]
    assert len(found[0]) >= 6


def said(chunk: Any) -> Any:
    if isinstance(chunk, dspy.Prediction):
        return dict(chunk.items())
    return [(choice.delta.content, choice.finish_reason) for choice in chunk.choices]


def test_demos_chosen_for_each_call_are_rendered_once_each() -> None:
    pool = tuple({"question": f"what is {n} and {n}", "answer": str(n)} for n in range(6))
    program = dspy.Predict("question -> answer")
    retrieve(program, Nearest(2, "words-v1", pool))
    inputs = [{"question": f"{n} and {n}?"} for n in (1, 2, 1, 3, 1, 2)]
    plain = calls(program, dspy.ChatAdapter(), [GOOD], inputs)
    lm = scripted_lm([GOOD])
    with quiet(lm, rendered(dspy.ChatAdapter())):
        for one in inputs:
            program(**one)
    assert asked(lm) == plain[0]
    third, fifth = lm.engine.requests[2], lm.engine.requests[4]
    assert third.messages[0] is fifth.messages[0]


def test_an_adapter_that_is_not_dspys_is_left_alone() -> None:
    class Own(dspy.ChatAdapter):
        pass

    for adapter in (Own(), dspy.TwoStepAdapter(scripted_lm([GOOD]))):
        assert rendered(adapter) is adapter


def test_a_copy_and_a_pickle_of_the_twin_are_the_adapter() -> None:
    twin = rendered(dspy.ChatAdapter(use_json_adapter_fallback=False))
    for made in (copy.copy(twin), copy.deepcopy(twin), pickle.loads(pickle.dumps(twin))):
        assert type(made) is dspy.ChatAdapter
        assert vars(made) == vars(twin)


def test_a_signature_that_is_gone_is_forgotten() -> None:
    twin, lm = rendered(dspy.ChatAdapter()), scripted_lm([GOOD])
    with quiet(lm, twin):
        for n in range(20):
            program = dspy.Predict(dspy.Signature("question -> answer", f"Answer {n}."))
            assert outcome(lambda p=program: [p(**WHY) for _ in range(2)])
    del program
    gc.collect()
    assert len(twin._prompts._found) <= 1
