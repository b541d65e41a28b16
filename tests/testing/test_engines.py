"""Scripted engines say what the script says, to whoever asks, from whatever thread."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.testing.engines import ScriptedEngine, chat_answer, scripted_lm

HI = lm15.Request(model="m", messages=(lm15.Message.user("12345678"),))


def test_a_list_is_used_up_in_order_and_its_end_repeats() -> None:
    engine = ScriptedEngine(["a", "b"])
    assert [engine.complete(HI).text for _ in range(4)] == ["a", "b", "b", "b"]
    assert (engine.calls, engine.requests[0]) == (4, HI)


def test_a_function_sees_the_request() -> None:
    engine = ScriptedEngine(lambda request: f"you said {request.messages[0].text}")
    assert engine.complete(HI).text == "you said 12345678"


def test_an_error_in_the_script_is_raised() -> None:
    with pytest.raises(lm15.ServerError, match="down"):
        ScriptedEngine([lm15.ServerError("down")]).complete(HI)


def test_usage_counts_four_characters_as_a_token() -> None:
    usage = ScriptedEngine(["abcdefgh"]).complete(HI).usage
    assert (usage.input_tokens, usage.output_tokens) == (2, 2)


def test_fields_are_read_by_dspys_adapter() -> None:
    lm = scripted_lm([{"answer": "4", "sure": True, "why": ["a", "b"]}])
    with dspy.context(lm=lm):
        found = dspy.Predict("question -> answer, sure: bool, why: list[str]")(question="2+2?")
    assert (found.answer, found.sure, found.why) == ("4", True, ["a", "b"])


def test_text_is_written_as_it_is_and_values_as_json() -> None:
    text = chat_answer({"a": 'say "x"', "b": {"k": None}})
    assert 'say "x"' in text
    assert '{"k": null}' in text


def test_both_twins_share_one_script_and_stream_the_same() -> None:
    lm = scripted_lm(["a", "b", "c", "c"])

    async def twin() -> list[Any]:
        assert await lm.acall("hi") == ["a"]
        return [event async for event in lm._async_engine_spec.stream(HI)]

    events = asyncio.run(twin())
    assert lm("hi") == ["c"]
    assert [e.type for e in lm.engine.stream(HI)] == [e.type for e in events]
    assert lm.engine.calls == 4


def test_copies_of_a_program_ask_the_same_engine() -> None:
    lm = scripted_lm(["a"])
    twin = copy.deepcopy(lm)
    twin("hi")
    assert (twin.engine, twin._async_engine_spec) == (lm.engine, lm._async_engine_spec)
    assert lm.engine.calls == 1


def test_many_threads_lose_no_request() -> None:
    engine = ScriptedEngine([str(n) for n in range(200)])
    found: list[str] = []

    def work() -> None:
        for _ in range(25):
            found.append(engine.complete(HI).text or "")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=int) == [str(n) for n in range(200)]
