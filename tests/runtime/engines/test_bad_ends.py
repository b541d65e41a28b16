"""A stream whose last event is wrong ends in an error of the wire, whoever reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dspy import lm15

from compilm.runtime.engines.account import Account
from compilm.runtime.engines.provider import AsyncProviderEngine, ProviderEngine
from compilm.runtime.engines.wires import wire_for

ASKED = lm15.Request("m", (lm15.Message.user("hi"),))
BAD = {"input_tokens": "nine", "prompt_tokens": "nine", "input_tokens_details": 3}
CHAT = [
    {"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": BAD},
]
RESPONSES = [
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "yes"},
    {"type": "response.completed", "response": {"status": "completed", "usage": BAD}},
]
MESSAGES = [
    {"type": "message_start", "message": {"usage": BAD}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "y"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": BAD},
    {"type": "message_stop"},
]


class Said:
    """In the place of a connection: these payloads."""

    def __init__(self, payloads: list[Any]) -> None:
        self._payloads = payloads

    def prepare(self, key: str | None) -> None:
        """Nothing is."""

    def events(self, *_: Any) -> Any:
        yield from self._payloads


class AsyncSaid(Said):
    async def events(self, *_: Any) -> Any:
        for payload in self._payloads:
            yield payload


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize(
    ("wire", "payloads"),
    [("openai-chat", CHAT), ("openai-responses", RESPONSES), ("anthropic-messages", MESSAGES)],
)
def test_a_usage_that_is_none_is_no_bug_of_the_caller(wire: str, payloads: Any, way: str) -> None:
    spoken, address = wire_for(wire, "http://nowhere.invalid/v1")
    account = Account(address, "NO_SUCH_KEY", given_key="k")

    async def listed() -> list[Any]:
        engine = AsyncProviderEngine(spoken, account, "lean", AsyncSaid(payloads))
        return [event async for event in engine.stream(ASKED)]

    with pytest.raises(lm15.LM15Error):
        if way == "async":
            asyncio.run(listed())
        else:
            list(ProviderEngine(spoken, account, "lean", Said(payloads)).stream(ASKED))
