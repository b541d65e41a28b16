"""What the exact cache keeps, what it never does, and that no store fails a call."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from dspy import lm15
from tests.runtime.layers.caching import (
    CALL,
    WHOLE,
    Answering,
    Broken,
    Counting,
    astreamed,
    streamed,
    ways,
)

from compilm.runtime.caches import MemoryStore
from compilm.runtime.layers.cache import Cache, is_worth_keeping
from compilm.testing.layer_kit import CountingEngine, ask, request


@ways
@pytest.mark.parametrize("reason", ["length", "content_filter", "error"])
def test_what_the_model_did_not_end_by_itself_is_asked_again(way: Any, reason: Any) -> None:
    store, engine = Counting(), Answering(replace(WHOLE, finish_reason=reason))
    pair = Cache(store)(engine.pair)
    for _ in range(2):
        way(pair, request())
    assert (engine.calls, store.puts) == (2, [])


def test_a_refusal_is_asked_again_and_a_tool_call_is_kept() -> None:
    refusal = replace(WHOLE, message=lm15.Message.assistant((lm15.RefusalPart("no"),)))
    tool = replace(WHOLE, finish_reason="tool_call", message=lm15.Message.assistant((CALL,)))
    assert [is_worth_keeping(each) for each in (WHOLE, refusal, tool)] == [True, False, True]
    for response, calls in ((refusal, 2), (tool, 1)):
        engine = Answering(response)
        pair = Cache(MemoryStore())(engine.pair)
        found = [ask(pair, request()) for _ in range(2)]
        assert engine.calls == calls
        assert found[1].message == response.message


def test_nobody_is_given_what_another_caller_may_change() -> None:
    """Texts are the same object for all, what can be changed in place never is."""
    tool = replace(WHOLE, finish_reason="tool_call", message=lm15.Message.assistant((CALL,)))
    for response, is_shared in ((WHOLE, True), (tool, False)):
        pair = Cache(MemoryStore())(Answering(response).pair)
        _, second, third = (ask(pair, request()) for _ in range(3))
        assert (second is third) is is_shared
        assert second == third
    second.message.parts[0].input["at"] = "another"
    assert ask(pair, request()).message.parts[0].input == {"at": "it"}


@pytest.mark.parametrize("text", ["half of a character \ud800", "a" * 5000, '"tool_call"', ""])
def test_any_text_is_found_as_it_was(text: str) -> None:
    answer = replace(WHOLE, message=lm15.Message.assistant((lm15.TextPart(text),)))
    engine = Answering(answer)
    pair = Cache(MemoryStore())(engine.pair)
    assert [ask(pair, request()).text for _ in range(3)] == [text] * 3
    assert engine.calls == 1


@ways
def test_an_error_is_not_kept(way: Any) -> None:
    replies: list[Any] = [lm15.ServerError("down"), "yes"]
    store = Counting()
    pair = Cache(store)(CountingEngine(lambda _: replies.pop(0)).pair)
    with pytest.raises(lm15.ServerError):
        way(pair, request())
    assert store.puts == []
    assert way(pair, request()) == "yes"
    assert len(store.puts) == 1


class Breaking(Answering):
    """Its streams stop in the middle, some without a word."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(WHOLE)
        self.error = error

    def stream(self, asked: Any) -> Any:
        for event in super().stream(asked):
            if event.type == "end":
                break
            yield event
        if self.error:
            raise self.error


@pytest.mark.parametrize("error", [None, lm15.TransportError("cut off")])
def test_a_stream_without_its_end_is_not_kept(error: Exception | None) -> None:
    store = Counting()
    cache = Cache(store)
    pair = cache(Breaking(error).pair)
    for way in (streamed, astreamed):
        with pytest.raises(lm15.LM15Error):
            way(pair, request())
    assert (store.puts, cache.counts.failures) == ([], 0)


def test_a_stream_that_is_left_is_not_kept_and_one_that_is_read_to_its_end_event_is() -> None:
    store = Counting()
    pair = Cache(store)(CountingEngine().pair)
    events: Any = pair.sync.stream(request())
    next(events)
    events.close()
    assert store.puts == []
    events = pair.sync.stream(request())
    while next(events).type != "end":
        pass
    events.close()
    assert len(store.puts) == 1


def test_what_is_kept_is_json_under_a_digest_and_nothing_of_the_request_is_in_it() -> None:
    store = Counting()
    secret = "my number is 4929 1234"
    answer = replace(WHOLE, provider_data={"seen": secret})
    ask(Cache(store, tenant="ada@example.org")(Answering(answer).pair), request(secret))
    ((key, value),) = store.puts
    assert (key[:7], len(key)) == ("sha256:", 71)
    assert json.loads(value)["message"]["parts"] == [{"type": "text", "text": "yes"}]
    assert secret not in key + value.decode()
    assert "ada" not in key + value.decode()


@ways
def test_a_store_that_fails_is_told_once_and_no_call_fails(
    way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache, engine = Cache(Broken()), CountingEngine()
    pair = cache(engine.pair)
    with caplog.at_level(logging.WARNING):
        assert [way(pair, request()) for _ in range(3)] == ["hi"] * 3
    assert (engine.calls, cache.counts.failures, cache.counts.misses) == (3, 6, 3)
    (record,) = caplog.records
    assert "OSError" in record.getMessage()
    assert "sha256" not in record.getMessage()
    assert record.exc_info is None


FOREIGN = json.dumps({"model": "m", "message": {"role": "assistant", "parts": [
    {"type": "text", "text": "of somebody else"}]}, "finish_reason": "stop"})  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"[]", b"{}", b'{"model": 3}', b"\x80\x04]\x94.", FOREIGN.encode()],
)
def test_a_value_that_cannot_be_read_is_asked_again_and_replaced(value: bytes) -> None:
    store, engine = Counting(), CountingEngine()
    cache = Cache(store)
    pair = cache(engine.pair)
    ask(pair, request())
    store.put(store.puts[0][0], value)
    for _ in range(2):
        assert ask(pair, request()).text == "hi"
    assert (engine.calls, cache.counts.failures, cache.counts.hits) == (2, 1, 1)
