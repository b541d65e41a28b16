"""The digest of a request tells all requests apart, and is the same however it is worked out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.config import RuntimeSettings
from compilm.engine import PREFIX, Prefix, prefix_of
from compilm.runtime.engines.chat_body import chat_body
from compilm.runtime.layers.keys import digest_of
from compilm.runtime.rendering import rendered
from compilm.runtime.stack import Stacks
from compilm.testing.engines import scripted_lm

DEMOS = (lm15.Message.user("q"), lm15.Message.assistant("a"))
SYSTEM = "Answer in one word."
CONFIG = lm15.Config(temperature=0.0)


def request(**changes: Any) -> lm15.Request:
    messages = (*DEMOS, lm15.Message.user("why"))
    return replace(lm15.Request("m", messages, SYSTEM, config=CONFIG), **changes)


OTHERS = [
    request(model="n"),
    request(system="Answer in two words."),
    request(system=(lm15.TextPart(SYSTEM), lm15.TextPart("!"))),
    request(system=None),
    request(messages=(*DEMOS, lm15.Message.user("how"))),
    request(messages=(lm15.Message.user("why"),)),
    request(messages=(*DEMOS, lm15.Message.developer("why"))),
    request(messages=(*reversed(DEMOS), lm15.Message.user("why"))),
    request(messages=(*DEMOS, *DEMOS, lm15.Message.user("why"))),
    request(config=lm15.Config(temperature=0.5)),
    request(config=lm15.Config(temperature=0.0, response_format={"type": "json_object"})),
    request(tools=(lm15.FunctionTool("t"),)),
]


def within(prefix: Prefix, asked: lm15.Request, *others: Any) -> str:
    """The digest where this prefix is known."""
    token = PREFIX.set(prefix)
    try:
        return digest_of(asked, *others)
    finally:
        PREFIX.reset(token)


@pytest.mark.parametrize("other", OTHERS, ids=range(len(OTHERS)))
def test_requests_that_differ_in_anything_have_other_digests(other: lm15.Request) -> None:
    prefix = Prefix(SYSTEM, DEMOS)
    assert digest_of(other) != digest_of(request())
    assert within(prefix, other) == within(prefix, other) == digest_of(other)


@pytest.mark.parametrize("others", [("a", "b"), ("ab",), ("a", None), (None, "a"), (1,), ("1",)])
def test_what_else_is_digested_counts_too(others: tuple[Any, ...]) -> None:
    prefix = Prefix(SYSTEM, DEMOS)
    assert digest_of(request(), *others) == within(prefix, request(), *others)
    assert digest_of(request(), *others) != digest_of(request())
    assert digest_of(request(), "a", "b") != digest_of(request(), "ab")


def test_a_prefix_is_of_the_same_objects_only() -> None:
    prefix = Prefix(SYSTEM, DEMOS)
    token = PREFIX.set(prefix)
    try:
        assert prefix_of(request()) is prefix
        again = lm15.Message.user("q")
        assert prefix_of(request(messages=(again, DEMOS[1], again))) is None
        assert prefix_of(request(messages=DEMOS[:1])) is None
        assert prefix_of(request(system="Answer in one " + "word.".lower())) is None
    finally:
        PREFIX.reset(token)


def test_a_prefix_does_not_grow_with_settings() -> None:
    prefix = Prefix(SYSTEM, DEMOS)
    for n in range(500):
        asked = request(config=lm15.Config(max_tokens=n + 1))
        assert within(prefix, asked) == digest_of(asked)
    assert len(prefix._kept) <= 64


@pytest.mark.parametrize("native", [True, False])
def test_a_body_is_the_same_with_a_prefix(native: bool) -> None:
    plain = chat_body(request(), stream=False, native=native).body
    token = PREFIX.set(Prefix(SYSTEM, DEMOS))
    try:
        for _ in range(2):
            assert chat_body(request(), stream=False, native=native).body == plain
    finally:
        PREFIX.reset(token)


def test_what_was_asked_without_rendering_is_found_with_it() -> None:
    lm = scripted_lm([{"answer": "because"}], temperature=0.0)
    stack = Stacks(RuntimeSettings(cache="memory")).over(lm)
    program = dspy.Predict("question -> answer")
    program.demos = [dspy.Example(question="q", answer="a")]
    adapter = dspy.ChatAdapter()
    for one in (adapter, rendered(adapter)):
        with dspy.context(lm=stack.lm, adapter=one, trace=None, disable_history=True):
            for _ in range(3):
                assert program(question="why").answer == "because"
    assert lm.engine.calls == 1
