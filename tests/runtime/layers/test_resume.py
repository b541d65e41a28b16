"""A stream that breaks off is gone on with: by whom, with what, and when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st

from compilm.clock import ManualClock
from compilm.engine import EnginePair
from compilm.runtime.caches import MemoryStore
from compilm.runtime.layers.cache import Cache
from compilm.runtime.layers.deadline import within
from compilm.runtime.layers.fallback import Fallback, Target
from compilm.runtime.layers.resume import Resumption, was_resumed
from compilm.testing.layer_kit import request

TEXT = "The seat of the Swiss government is Bern, which is smaller than Zurich or Geneva."
CUT = lm15.TransportError("cut")
USAGE = lm15.Usage(11, 7)


class Author:
    """A model that writes `TEXT`, from where it is asked to go on, and breaks off where it is told.

    `stops` are the characters after which it does, for each time it is asked. `obeys` is whether
    it repeats the end of what was said, where it is told to.
    """

    def __init__(self, *stops: int | None, error: Exception = CUT, obeys: bool = True) -> None:
        self._stops, self._error, self._obeys = list(stops), error, obeys
        self.asked: list[Any] = []
        self.closed = 0
        self.pair = EnginePair(_Sync(self), _Async(self))

    def events(self, asked: Any) -> Iterator[Any]:
        self.asked.append(asked)
        start, text = 0, TEXT
        said = [m.text for m in asked.messages if m.role == "assistant"]
        if said:
            start = len(said[-1])
            text = TEXT[start:]
            last = asked.messages[-1]
            if last.role == "user":  # a new message begins with no blank
                anchor = last.text.partition("<<<")[2].removesuffix(">>>")
                text = anchor + text if self._obeys else text.lstrip()
        stop = self._stops.pop(0) if self._stops else None
        yield lm15.StreamStartEvent("id", asked.model)
        for place in range(0, len(text if stop is None else text[:stop]), 5):
            yield lm15.StreamDeltaEvent(lm15.TextDelta(text[place : place + 5], 3))
        if stop is not None:
            raise self._error
        yield lm15.StreamEndEvent("stop", USAGE)


class _Sync:
    def __init__(self, author: Author) -> None:
        self._author = author

    def stream(self, asked: Any) -> Iterator[Any]:
        try:
            yield from self._author.events(asked)
        finally:
            self._author.closed += 1


class _Async(_Sync):
    async def stream(self, asked: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        try:
            for event in self._author.events(asked):
                yield event
        finally:
            self._author.closed += 1


def chained(*authors: Author, prefills: bool = False, **settings: Any) -> EnginePair:
    first, *rest = authors
    others = [Target(f"{n}", each.pair, f"m{n}", prefills) for n, each in enumerate(rest, start=1)]
    layer = Fallback(others, name="0", prefills=prefills, resume=True, **settings)
    return layer(first.pair)


def read(pair: EnginePair, asked: Any) -> list[Any]:
    return list(pair.sync.stream(asked))


def aread(pair: EnginePair, asked: Any) -> list[Any]:
    async def listed() -> list[Any]:
        return [event async for event in pair.asynchronous.stream(asked)]

    return asyncio.run(listed())


def whole(events: list[Any]) -> Any:
    return lm15.materialize_response(iter(events), request())


both = pytest.mark.parametrize("how", [read, aread])
ways = pytest.mark.parametrize("prefills", [True, False])


@both
@ways
@pytest.mark.parametrize("cut", [1, 12, 15, 41, 60, len(TEXT)])
def test_the_rest_is_the_next_models_and_nothing_is_lost_or_twice(
    how: Any, prefills: bool, cut: int
) -> None:
    first, second = Author(cut), Author()
    events = how(chained(first, second, prefills=prefills), request())
    found = whole(events)
    assert (found.text, found.finish_reason, found.usage) == (TEXT, "stop", USAGE)
    assert [event.type for event in events].count("start") == 1
    assert {e.delta.part_index for e in events if e.type == "delta"} == {3}
    shown = len(TEXT[: 5 * -(-cut // 5)])
    assert found.provider_data == {
        "resumed": [{"model": "0", "after": shown, "error": "TransportError", "joined": True}]
    }
    assert [author.closed for author in (first, second)] == [1, 1]
    (asked,) = second.asked
    assert asked.model == "m1"
    assert asked.messages[-1].role == ("assistant" if prefills else "user")


@both
def test_one_model_alone_is_asked_again_and_not_for_ever(how: Any) -> None:
    again = Author(20)
    assert whole(how(chained(again), request())).text == TEXT
    assert len(again.asked) == 2
    broken = Author(20, 80)
    with pytest.raises(lm15.TransportError) as raised:
        how(chained(broken), request())
    assert raised.value is CUT
    assert len(broken.asked) == 2


@both
def test_a_chain_breaks_once_for_each_model_at_most(how: Any) -> None:
    first, second = Author(10), Author(60, None)
    found = whole(how(chained(first, second), request()))
    assert found.text == TEXT
    assert [told["model"] for told in found.provider_data["resumed"]] == ["0", "1"]
    assert (len(first.asked), len(second.asked)) == (2, 1)  # round, and round again


@both
def test_where_nobody_goes_on_it_is_told_as_what_broke_the_stream(how: Any) -> None:
    first, second = Author(10, 0), Author(0, error=lm15.AuthError("no key"))
    pair = chained(first, second)
    with pytest.raises(lm15.TransportError) as raised:
        how(pair, request())
    assert raised.value is CUT
    assert "none of 2 answered" in raised.value.__notes__[0]


NOT_PLAIN = [
    request(response_format={"type": "json_object"}),
    request(logprobs=1),
    lm15.Request("m", (lm15.Message.user("hi"),), tools=(lm15.FunctionTool("f"),)),
    request(max_tokens=4),  # what was shown has used them up
]


@both
@pytest.mark.parametrize("asked", NOT_PLAIN)
def test_what_is_of_one_piece_is_not_gone_on_with(how: Any, asked: Any) -> None:
    second = Author()
    with pytest.raises(lm15.TransportError):
        how(chained(Author(40), second), asked)
    assert second.asked == []


@both
@pytest.mark.parametrize(
    "error", [lm15.InvalidRequestError("no"), lm15.ContextLengthError("long"), KeyError("a bug")]
)
def test_what_another_would_not_do_better_passes(how: Any, error: Exception) -> None:
    second = Author()
    with pytest.raises(type(error)):
        how(chained(Author(40, error=error), second), request())
    assert second.asked == []


@both
def test_it_is_off_unless_asked_for(how: Any) -> None:
    second = Author()
    pair = Fallback([Target("b", second.pair)])(Author(40).pair)
    with pytest.raises(lm15.TransportError):
        how(pair, request())
    assert second.asked == []


@both
def test_nothing_is_asked_after_the_deadline(how: Any) -> None:
    clock, second = ManualClock(), Author()

    class Late(Author):
        def events(self, asked: Any) -> Iterator[Any]:
            for event in super().events(asked):
                clock.advance(2.0)
                yield event

    first = Late(40)
    with within(5.0, clock), pytest.raises(lm15.TransportError):
        how(chained(first, second, clock=clock), request())
    assert second.asked == []


def test_thinking_that_was_shown_cannot_be_sent_back() -> None:
    told = Resumption(request(), most=1)
    for delta in (lm15.ThinkingDelta("hm"), lm15.TextDelta("In Be", 1)):
        list(told.shown(lm15.StreamDeltaEvent(delta)))
    assert not told.broke("a", CUT)


def test_a_model_that_thinks_is_not_given_the_beginning_of_its_answer() -> None:
    told = Resumption(request(reasoning=lm15.Reasoning("low")), most=1)
    list(told.shown(lm15.StreamDeltaEvent(lm15.TextDelta("In Be", 1))))
    assert told.broke("a", CUT)
    assert told.asked(prefills=True).messages[-1].role == "user"
    thought = lm15.StreamDeltaEvent(lm15.ThinkingDelta("where was I?"))
    assert list(told.shown(thought)) == []


def test_the_rest_has_the_tokens_that_are_left() -> None:
    told = Resumption(request(max_tokens=100), most=1)
    list(told.shown(lm15.StreamDeltaEvent(lm15.TextDelta("x" * 200))))
    assert told.broke("a", CUT)
    assert told.asked(prefills=True).config.max_tokens == 50


def test_a_model_that_does_not_repeat_what_it_should_is_taken_as_it_is_and_told() -> None:
    first, second = Author(15), Author(obeys=False)
    found = whole(read(chained(first, second), request()))
    assert found.text == TEXT[:15] + TEXT[15:].lstrip()
    assert found.provider_data["resumed"][0]["joined"] is False


def test_an_answer_of_two_pieces_is_not_kept() -> None:
    first, second = Author(15, 15), Author()
    pair = Cache(MemoryStore(), ttl=60.0)(chained(first, second))
    for _ in range(2):
        events = read(pair, request())
        assert whole(events).text == TEXT
        assert was_resumed(events[-1])
    assert (len(first.asked), len(second.asked)) == (2, 2)


@given(st.text(min_size=1, max_size=80), st.integers(0, 80), st.booleans(), st.integers(1, 9))
def test_any_text_cut_anywhere_is_joined_exactly(
    text: str, cut: int, prefills: bool, size: int
) -> None:
    told, seen = Resumption(request(), most=1), ""

    def show(piece: str) -> str:
        events = list(told.shown(lm15.StreamDeltaEvent(lm15.TextDelta(piece))))
        return "".join(event.delta.text for event in events)

    seen += show(text[:cut])
    if told.broke("a", CUT):
        asked = told.asked(prefills=prefills)
        said = next((m.text for m in asked.messages if m.role == "assistant"), "")
        rest = text[len(said) :]
        if said and not prefills:
            rest = asked.messages[-1].text.partition("<<<")[2].removesuffix(">>>") + rest
        for place in range(0, len(rest), size):
            seen += show(rest[place : place + size])
        ended = list(told.shown(lm15.StreamEndEvent("stop", USAGE)))
        seen += "".join(event.delta.text for event in ended[:-1])
        assert seen == text


@both
def test_a_stream_may_break_off_in_the_middle_of_a_character(how: Any) -> None:
    """Some servers send half of one; what may still be said is counted all the same."""

    class Halving(Author):
        def events(self, asked: Any) -> Iterator[Any]:
            yield lm15.StreamStartEvent("id", asked.model)
            yield lm15.StreamDeltaEvent(lm15.TextDelta("Bern \ud83d", 0))
            raise CUT

    second = Author()
    events = how(chained(Halving(), second), request(max_tokens=50))
    assert events[-1].type == "end"
    assert second.asked[0].config.max_tokens == 48
