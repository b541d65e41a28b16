"""Keys: equal requests have equal ones, and whatever differs has others."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import orjson
import pytest
from dspy import lm15
from hypothesis import given
from hypothesis import strategies as st

from compilm.programs.models import request_digest
from compilm.runtime.layers.keys import _spelled, digest_of
from compilm.testing.layer_kit import request

# Texts that look like what stands between texts.
texts = st.sampled_from(["", "a", "b", "user", '"', '","', '","user","', "],", "null", "\n", "é"])
texts |= st.text(max_size=3)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
tables = st.dictionaries(texts, values, max_size=2)
states = st.lists(st.builds(lm15.ContinuationState, st.just("p"), st.just("k"), tables),
                  max_size=1).map(tuple)  # fmt: skip
said = st.builds(lm15.TextPart, texts, st.just(()) | states)
shown = st.builds(lm15.ImagePart, data=st.sampled_from(["AAAA", "BBBB"]),
                  detail=st.sampled_from([None, "low"]))  # fmt: skip
called = st.builds(lm15.ToolCallPart, st.just("1"), st.sampled_from("xy"), tables)
thought = st.builds(lm15.ThinkingPart, texts)
users = st.builds(
    lm15.Message, st.just("user"), st.lists(said | shown, min_size=1, max_size=2).map(tuple),
)  # fmt: skip
models = st.builds(
    lm15.Message, st.just("assistant"),
    st.lists(said | called | thought, min_size=1, max_size=2).map(tuple), states,
)  # fmt: skip
tools = st.builds(lm15.FunctionTool, name=st.sampled_from("fg"), description=texts)
configs = st.builds(
    lm15.Config,
    temperature=st.sampled_from([None, 0.0, 0.5]),
    seed=st.none() | st.integers(0, 2**70),
    stop=st.lists(st.sampled_from("ab"), max_size=2).map(tuple),
    extensions=st.none() | tables,
)
requests = st.builds(
    lm15.Request,
    model=st.sampled_from(["m", "n"]),
    messages=st.lists(users | models, min_size=1, max_size=3).map(tuple),
    system=st.none() | st.sampled_from(["s", "t"]) | st.just((lm15.TextPart("s"),)),
    tools=st.lists(tools, max_size=1).map(tuple),
    config=configs,
)


@given(requests, texts)
def test_a_copy_has_the_same_key(asked: Any, tenant: str) -> None:
    """However its parts came to be: a copy shares no object with it."""
    assert digest_of(copy.deepcopy(asked), tenant, 1) == digest_of(asked, tenant, 1)


@given(requests, requests)
def test_two_keys_are_equal_where_the_canonical_digests_are(one: Any, two: Any) -> None:
    """That one is slow, and says what is asked by sorted names and no shortcut."""
    assert (digest_of(one) == digest_of(two)) == (request_digest(one) == request_digest(two))


@given(st.lists(users | models, max_size=3), st.integers(0, 3))
def test_what_messages_are_spelled_as_can_be_made_in_two_goes(messages: Any, cut: int) -> None:
    """So that what many requests begin with can be hashed once."""
    try:
        whole = _spelled(messages)
    except orjson.JSONEncodeError:
        return
    assert _spelled(messages[:cut]) + _spelled(messages[cut:]) == whole


@given(requests, st.data())
def test_one_change_anywhere_is_another_key(asked: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(asked.messages) - 1))
    more = lm15.Message.user("more")
    messages = asked.messages
    changed = data.draw(st.sampled_from([
        replace(asked, model="another"),
        replace(asked, system="another"),
        replace(asked, messages=(*messages[:place], more, *messages[place:])),
        replace(asked, messages=(*messages[:place], more, *messages[place + 1 :])),
        replace(asked, config=replace(asked.config, max_tokens=1234)),
        replace(asked, tools=(*asked.tools, lm15.FunctionTool("another"))),
    ]))  # fmt: skip
    assert digest_of(changed) != digest_of(asked)


@pytest.mark.parametrize(
    ("one", "two"),
    [((), ("",)), (("a", "b"), ("ab",)), (("a", ""), ("", "a")), ((None, 0), (0, None)),
     (("1",), (1,)), ((None,), ("null",)), (("\ud800",), ("\udfff",))],
)  # fmt: skip
def test_what_else_is_in_a_key_counts_by_its_place_and_its_type(one: Any, two: Any) -> None:
    assert digest_of(request(), *one) != digest_of(request(), *two)


def test_texts_cannot_pose_as_the_messages_after_them() -> None:
    two = replace(request(), messages=(lm15.Message.user("a"), lm15.Message.user("b")))
    for text in ('a","user","b', 'a\\","user","b', "a,user,b"):
        assert digest_of(request(text)) != digest_of(two)


@pytest.mark.parametrize("odd", ["half of a character \ud800", "\x00", "\u2028"])
def test_any_text_has_a_key(odd: str) -> None:
    assert digest_of(request(odd)) == digest_of(request(odd)) != digest_of(request(odd + "!"))
    assert digest_of(request(odd))[:7] == "sha256:"
