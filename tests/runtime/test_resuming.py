"""Streams that break off on the wire and are gone on with, through the whole stack of a role."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from dspy import lm15

from compilm import assemble
from compilm.config import RoleSettings, RuntimeSettings
from compilm.runtime.stack import Stack
from compilm.testing.faults import FaultServer

TEXT = "The seat of the Swiss government is Bern, which is smaller than Zurich."
HALF = TEXT[:39]
ASK = lm15.Request("m", (lm15.Message.user("Which is it?"),))
SPOKEN = {
    "chat": ("openai/second", "/v1"),
    "responses": ("openai/second", "/v1"),
    "messages": ("anthropic/second-haiku-4-5", ""),
}


class Writer:
    """Writes the first half; asked to go on, the rest, as the request wants it."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        said, last = HALF, request.messages[-1]
        if last.role == "assistant":
            said = TEXT[len(last.text or "") :]
        elif len(request.messages) > 1:
            before = request.messages[-2].text or ""
            anchor = (last.text or "").partition("<<<")[2].removesuffix(">>>")
            said = anchor + TEXT[len(before) :]
        usage = lm15.Usage(20, len(said))
        return lm15.Response("1", request.model, lm15.Message.assistant(said), "stop", usage)

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RESUME_KEY", "k")
    with ExitStack() as opened:
        yield lambda *script: opened.enter_context(FaultServer(Writer(), script=script))


def stacked(api: str, *servers: FaultServer, engine: str = "lean", resume: bool = True) -> Stack:
    chain = [("openai/first", "/v1"), SPOKEN[api]][: len(servers)]
    settings = RoleSettings(
        model=tuple(model for model, _ in chain),
        base_url=tuple(s.url + path for s, (_, path) in zip(servers, chain, strict=True)),
        key_env=("RESUME_KEY",) * len(servers),
        api=("chat", api)[: len(servers)],
        engine=engine,
    )
    runtime = RuntimeSettings(attempts=1, resume=resume)
    return assemble.stacks_from({"default": settings}, runtime)["default"]


def read(stack: Stack, way: str) -> list[Any]:
    async def tasks() -> list[Any]:
        try:
            return [event async for event in stack.pair.asynchronous.stream(ASK)]
        finally:
            await stack.aclose()

    try:
        return list(stack.pair.sync.stream(ASK)) if way == "sync" else asyncio.run(tasks())
    finally:
        stack.close()


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("fault", ["truncated", "unfinished", "stream-error", "bad-json"])
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_a_text_that_breaks_off_is_gone_on_with_on_every_wire(
    serve: Any, api: str, fault: str, way: str
) -> None:
    first, second = serve(fault), serve("ok")
    found = lm15.materialize_response(iter(read(stacked(api, first, second), way)), ASK)
    assert (found.text, found.finish_reason) == (TEXT, "stop")
    (told,) = found.provider_data["resumed"]
    assert (told["model"], told["after"], told["joined"]) == ("openai/first", len(HALF), True)
    assert (len(first.seen), len(second.seen)) == (1, 1)
    if api == "messages":
        rows = second.seen[0].body["messages"]
        assert rows[-1] == {
            "role": "assistant",
            "content": [{"type": "text", "text": HALF.rstrip()}],
        }


@pytest.mark.parametrize("engine", ["lean", "sdk"])
def test_one_model_goes_on_with_what_it_began(serve: Any, engine: str) -> None:
    server = serve("truncated", "ok")
    stack = stacked("chat", server, engine=engine)
    assert ("resume", "a text that breaks off is asked for again from there") in stack.lines
    assert lm15.materialize_response(iter(read(stack, "sync")), ASK).text == TEXT
    assert len(server.seen) == 2


def test_without_it_a_text_that_breaks_off_is_an_error(serve: Any) -> None:
    first, second = serve("truncated"), serve("ok")
    with pytest.raises(lm15.TransportError):
        read(stacked("chat", first, second, resume=False), "sync")
    assert (len(first.seen), len(second.seen)) == (1, 0)
