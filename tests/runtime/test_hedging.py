"""A provider that is slow is not waited for alone where `hedge` says so, through a whole stack."""

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
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer

ASK = lm15.Request("m", (lm15.Message.user("Which is it?"),))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HEDGE_KEY", "k")
    with ExitStack() as opened:
        yield lambda said, *script: opened.enter_context(
            FaultServer(ScriptedEngine(lambda _: said), script=script)
        )


def stacked(*servers: FaultServer, **settings: Any) -> Stack:
    models = ("openai/first", "openai/second")[: len(servers)]
    settings = {"timeout": 2.0, **settings}
    role = RoleSettings(
        model=models,
        base_url=tuple(f"{server.url}/v1" for server in servers),
        key_env=("HEDGE_KEY",) * len(servers),
        engine="lean",
    )
    runtime = RuntimeSettings(attempts=1, **settings)
    return assemble.stacks_from({"default": role}, runtime)["default"]


def answered(stack: Stack, way: str) -> str | None:
    async def task() -> Any:
        try:
            return await stack.pair.asynchronous.complete(ASK)
        finally:
            await stack.aclose()

    try:
        found = stack.pair.sync.complete(ASK) if way == "sync" else asyncio.run(task())
    finally:
        stack.close()
    said: str | None = found.text
    return said


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_second_answers_while_the_first_hangs(serve: Any, way: str) -> None:
    first, second = serve("one", "hang"), serve("two", "ok")
    stack = stacked(first, second, hedge=0.05)
    assert ("hedge", "after 0.05 s the next is asked too, the first answer wins") in stack.lines
    assert answered(stack, way) == "two"
    assert (len(first.seen), len(second.seen)) == (1, 1)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_first_that_is_quick_is_asked_alone(serve: Any, way: str) -> None:
    first, second = serve("one", "ok"), serve("two", "ok")
    assert answered(stacked(first, second, hedge=1.5), way) == "one"
    assert (len(first.seen), len(second.seen)) == (1, 0)


def test_one_model_has_nobody_to_be_asked_beside_it(serve: Any) -> None:
    only = serve("one", "ok")
    stack = stacked(only, hedge=0.001)
    assert "hedge" not in dict(stack.lines)
    assert answered(stack, "async") == "one"
    assert len(only.seen) == 1


def test_by_default_the_second_is_asked_when_the_first_takes_longer_than_usual(serve: Any) -> None:
    first, second = serve("one", *["ok"] * 16, "hang"), serve("two", "ok")
    stack = stacked(first, second, timeout=600.0)

    async def said() -> list[str | None]:
        try:
            asked = (lm15.Request("m", (lm15.Message.user(f"{n}"),)) for n in range(17))
            return [(await stack.pair.asynchronous.complete(each)).text for each in asked]
        finally:
            await stack.aclose()

    assert asyncio.run(said()) == ["one"] * 16 + ["two"]
    assert (len(first.seen), len(second.seen)) == (17, 1)


def test_by_never_nobody_is_asked_beside_another(serve: Any) -> None:
    assert "hedge" not in dict(stacked(serve("one", "ok"), serve("two", "ok"), hedge="never").lines)
