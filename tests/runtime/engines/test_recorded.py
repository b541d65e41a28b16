"""Recorded engines: what was answered once is answered again, and nothing else is."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15

from compilm.engine import EnginePair
from compilm.errors import DataError
from compilm.runtime.engines import Recorder, recorded
from compilm.testing.engines import ScriptedEngine


def request(text: str) -> lm15.Request:
    return lm15.Request("m", (lm15.Message.user(text),))


class Twin:
    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine

    async def complete(self, asked: lm15.Request) -> lm15.Response:
        return self.engine.complete(asked)

    async def stream(self, asked: lm15.Request) -> Any:
        for event in self.engine.stream(asked):
            yield event


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A recording: "a" twice with two answers, "b" streamed, "c" in tasks, both ways."""
    path = tmp_path / "pairs.jsonl"
    engine = ScriptedEngine(["one", "two", "three", "four", "five", lm15.ServerError("down")])
    pair = Recorder(path)(EnginePair(engine, Twin(engine)))
    pair.sync.complete(request("a"))
    pair.sync.complete(request("a"))
    list(pair.sync.stream(request("b")))

    async def tasks() -> None:
        await pair.asynchronous.complete(request("c"))
        [event async for event in pair.asynchronous.stream(request("d"))]

    asyncio.run(tasks())
    with pytest.raises(lm15.ServerError):
        pair.sync.complete(request("e"))
    return path


def test_answers_come_in_the_order_of_recording_and_the_last_repeats(kept: Path) -> None:
    engine = recorded(kept).sync
    assert [engine.complete(request("a")).text for _ in range(3)] == ["one", "two", "two"]


def test_streams_and_tasks_are_recorded_and_answered_too(kept: Path) -> None:
    pair = recorded(kept)
    events = list(pair.sync.stream(request("b")))
    assert lm15.materialize_response(iter(events), request("b")).text == "three"

    async def tasks() -> list[str | None]:
        whole = await pair.asynchronous.complete(request("c"))
        events = [event async for event in pair.asynchronous.stream(request("d"))]
        return [whole.text, lm15.materialize_response(iter(events), request("d")).text]

    assert asyncio.run(tasks()) == ["four", "five"]


@pytest.mark.parametrize("text", ["e", "never asked"])
def test_what_was_not_answered_is_refused_without_telling_the_prompt(kept: Path, text: str) -> None:
    with pytest.raises(lm15.InvalidRequestError, match="holds no answer") as caught:
        recorded(kept).sync.complete(request(text))
    assert text == "e" or text not in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[]", '{"request": "x"}', '{"request": "x", "response": 1}'])
def test_a_line_that_is_no_pair_is_named(kept: Path, line: str) -> None:
    with kept.open("a") as file:
        file.write("\n" + line)
    with pytest.raises(DataError, match=r"pairs\.jsonl:7: not a recorded pair"):
        recorded(kept)


def test_a_recorded_engine_is_itself_when_copied_and_comes_back_from_its_state(kept: Path) -> None:
    for engine in (recorded(kept).sync, recorded(kept).asynchronous):
        assert copy.deepcopy(engine) is engine
        assert type(engine).load_state(engine.dump_state()).dump_state() == engine.dump_state()
