"""Who hears of a call hears the same: callbacks, history, streams; and copies are the adapter."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from typing import Any

import dspy
import pytest
from dspy.utils.callback import BaseCallback
from tests.runtime.rendering.both import (
    ADAPTERS,
    asked,
    calls,
    completion,
    is_kept,
    outcome,
    quiet,
)

from compilm.artifact import Nearest
from compilm.programs.retrieving import retrieve
from compilm.runtime.rendering import rendered
from compilm.testing.engines import chat_answer, scripted_lm

WHY = {"question": "why"}
GOOD = chat_answer({"answer": "because"})


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


def test_a_hook_put_on_one_callback_is_heard() -> None:
    program, lm, heard = dspy.Predict("question -> answer"), scripted_lm([GOOD]), OfModules()
    told: list[str] = []
    with quiet(lm, rendered(dspy.ChatAdapter()), callbacks=[heard]):
        for _ in range(2):
            program(**WHY)
        heard.on_lm_start = lambda call_id, instance, inputs: told.append(call_id)
        program(**WHY)
    assert len(told) == 1
