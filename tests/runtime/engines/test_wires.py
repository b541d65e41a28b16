"""The wires as pure functions: what a request becomes, what answers and failures become."""

from __future__ import annotations

from typing import Any

import pytest
from dspy import lm15

from compilm.runtime.engines.chat_answer import ChatReader, chat_answer
from compilm.runtime.engines.chat_body import chat_body
from compilm.runtime.engines.failures import told
from compilm.runtime.engines.messages_answer import messages_answer
from compilm.runtime.engines.messages_body import MAX_TOKENS, messages_body
from compilm.runtime.engines.wire import Asked, WireFailure

HI = (lm15.Message.user("hi"),)


def chat(native: bool = False, stream: bool = False, **config: Any) -> Asked:
    request = lm15.Request("m", HI, config=lm15.Config(**config))
    return chat_body(request, stream=stream, native=native)


def messages(model: str = "claude-haiku-4-5", tools: Any = (), **config: Any) -> Asked:
    request = lm15.Request(model, HI, system="be kind", tools=tools, config=lm15.Config(**config))
    return messages_body(request, stream=False)


def noted(asked: Asked) -> list[tuple[str, str]]:
    return [(note.field, note.action) for note in asked.notes]


def test_openai_s_own_address_is_spelled_its_way_and_others_theirs() -> None:
    settings: dict[str, Any] = {"max_tokens": 5, "user_id": "u"}
    assert chat(native=True, **settings).body.keys() >= {
        "max_completion_tokens",
        "safety_identifier",
    }
    assert chat(**settings).body.keys() >= {"max_tokens", "user"}


def test_a_stream_asks_for_usage() -> None:
    assert chat(stream=True).body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("effort", "spelled"), [("off", "none"), ("minimal", "minimal"), ("high", "high")]
)
def test_reasoning_is_an_effort_on_chat(effort: Any, spelled: str) -> None:
    assert chat(reasoning=lm15.Reasoning(effort)).body["reasoning_effort"] == spelled


def test_logprobs_and_extensions_reach_the_chat_wire() -> None:
    body = chat(logprobs=3, extensions={"top_k": 7}).body
    assert (body["logprobs"], body["top_logprobs"], body["top_k"]) == (True, 3, 7)


def test_a_hint_without_a_place_is_recorded() -> None:
    assert noted(chat(top_k=5)) == [("config.top_k", "dropped")]
    dropped = noted(messages(max_tokens=1, seed=1, logprobs=0, presence_penalty=0.5))
    assert dropped == [
        ("config.seed", "dropped"),
        ("config.presence_penalty", "dropped"),
        ("config.logprobs", "dropped"),
    ]


def test_what_a_program_depends_on_is_refused_before_the_wire() -> None:
    film = lm15.Request("m", (lm15.Message.user(lm15.VideoPart(data="aGk=")),))
    with pytest.raises(lm15.UnsupportedFeatureError, match="a video"):
        chat_body(film, stream=False, native=True)
    with pytest.raises(lm15.UnsupportedFeatureError, match="a video"):
        messages_body(film, stream=False)
    with pytest.raises(lm15.UnsupportedFeatureError, match="json_object"):
        messages(response_format={"type": "json_object"})
    for wire in (chat, messages):
        with pytest.raises(lm15.UnsupportedFeatureError, match="stored cache"):
            wire(cache=lm15.CacheConfig(resource="r"))


def test_allowed_tools_are_the_only_ones_sent_where_a_wire_cannot_say_it() -> None:
    tools = (lm15.FunctionTool("a"), lm15.FunctionTool("b"), lm15.FunctionTool("c"))
    asked = messages(tools=tools, tool_choice=lm15.ToolChoice("required", ("a", "b")))
    assert [tool["name"] for tool in asked.body["tools"]] == ["a", "b"]
    assert asked.body["tool_choice"] == {"type": "any"}
    one = messages(tools=tools, tool_choice=lm15.ToolChoice("required", ("a",), parallel=False))
    assert len(one.body["tools"]) == 3
    assert one.body["tool_choice"] == {
        "type": "tool",
        "name": "a",
        "disable_parallel_tool_use": True,
    }


def test_an_unset_limit_becomes_a_figure_that_is_told() -> None:
    asked = messages()
    assert asked.body["max_tokens"] == MAX_TOKENS
    assert noted(asked) == [("config.max_tokens", "defaulted")]


def test_thinking_is_a_budget_for_some_models_and_an_effort_for_others() -> None:
    old = messages(max_tokens=10, reasoning=lm15.Reasoning("low"), temperature=0.2)
    assert old.body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert old.body["max_tokens"] == 2058
    assert "temperature" not in old.body
    assert noted(old) == [("config.temperature", "dropped")]
    new = messages("claude-opus-4-7", max_tokens=10, reasoning=lm15.Reasoning("high"))
    assert new.body["thinking"] == {"type": "adaptive"}
    assert new.body["output_config"] == {"effort": "high"}
    assert new.body["max_tokens"] == 10
    assert "thinking" not in messages(max_tokens=1, reasoning=lm15.Reasoning("off")).body


def test_the_end_of_what_stays_the_same_is_marked() -> None:
    marked = messages(max_tokens=1, cache=lm15.CacheConfig(retention="long", prefix="history")).body
    long = {"type": "ephemeral", "ttl": "1h"}
    assert marked["system"][-1]["cache_control"] == long
    assert marked["messages"][-1]["content"][-1]["cache_control"] == long
    stable = messages(max_tokens=1, cache=lm15.CacheConfig(prefix="stable")).body
    assert stable["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in stable["messages"][0]["content"][0]
    for off in (None, lm15.CacheConfig("off")):
        assert "cache_control" not in messages(max_tokens=1, cache=off).body["system"][0]


def test_thinking_goes_back_with_its_signature_and_hidden_thinking_as_it_came() -> None:
    def state(kind: str, data: dict[str, Any]) -> tuple[Any, ...]:
        return (lm15.ContinuationState("anthropic", kind, data),)

    parts = (
        lm15.ThinkingPart("hm", state("thinking_signature", {"signature": "s"})),
        lm15.ThinkingPart("", state("redacted_thinking", {"data": "x"})),
        lm15.TextPart("done"),
    )
    request = lm15.Request("m", (*HI, lm15.Message("assistant", parts), *HI))
    assert messages_body(request, stream=False).body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "done"},
    ]


def test_hidden_thinking_comes_back_with_what_replays_it() -> None:
    payload = {
        "content": [
            {"type": "redacted_thinking", "data": "x"},
            {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
            {"type": "text", "text": "done"},
        ],
        "stop_reason": "end_turn",
    }
    asked = Asked({})
    response = messages_answer(payload, asked, lm15.Request("m", HI))
    assert [part.type for part in response.message.parts] == ["thinking", "text"]
    assert response.message.parts[0].continuation[0].data == {"data": "x"}


def answered(**choice: Any) -> lm15.Response:
    payload = {"choices": [{"index": 0, "finish_reason": "stop", **choice}]}
    return chat_answer(payload, Asked({}), lm15.Request("m", HI))


def test_a_refusal_is_told_as_one_and_has_a_finish_no_cache_keeps() -> None:
    said = answered(message={"content": None, "refusal": "no"})
    assert (said.message.parts[0].type, said.finish_reason) == ("refusal", "content_filter")


def test_tool_input_that_is_not_json_is_kept_and_told() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": '}}
    said = answered(message={"content": None, "tool_calls": [call]}, finish_reason="tool_calls")
    assert said.tool_calls[0].input == {"partial_json": '{"a": '}
    assert said.finish_reason == "tool_call"


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ({"message": {"content": None}}, "malformed"),
        ({"message": {}}, "malformed"),
        ({"message": None}, "malformed"),
        ({"message": {"content": "x"}, "finish_reason": None}, "unfinished"),
        ({"message": {"content": "x"}, "finish_reason": "error"}, "event"),
        ({"message": {"content": None, "tool_calls": [{"function": {}}]}}, "malformed"),
    ],
)
def test_nothing_is_made_up_where_an_answer_is_missing(choice: dict[str, Any], kind: str) -> None:
    with pytest.raises(WireFailure) as caught:
        answered(**choice)
    assert caught.value.kind == kind


def test_an_answer_cut_at_its_limit_may_be_empty() -> None:
    said = answered(message={"content": None}, finish_reason="length")
    assert (said.text, said.finish_reason) == ("", "length")


def test_tool_calls_without_numbers_are_told_apart_by_their_names() -> None:
    reader = ChatReader(Asked({}), lm15.Request("m", HI))
    fragments = [("f", "{}"), (None, ""), ("g", '{"a"'), (None, ": 1}")]
    events: list[Any] = []
    for name, arguments in fragments:
        call = {"function": {"name": name, "arguments": arguments}}
        events += reader.feed({"choices": [{"delta": {"tool_calls": [call]}}]})
    events += reader.feed({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    events += reader.end()
    whole = lm15.materialize_response(iter(events), lm15.Request("m", HI))
    assert [(call.name, call.input) for call in whole.tool_calls] == [("f", {}), ("g", {"a": 1})]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {}, lm15.AuthError),
        (402, {}, lm15.BillingError),
        (403, {}, lm15.AuthError),
        (404, {"error": {"message": "The model `x` does not exist"}}, lm15.UnsupportedModelError),
        (404, {"error": {"code": "model_not_found"}}, lm15.UnsupportedModelError),
        (404, {"detail": "Not Found"}, lm15.InvalidRequestError),
        (400, {"error": {"code": "context_length_exceeded"}}, lm15.ContextLengthError),
        (400, {"error": {"message": "prompt is too long: 9 > 8"}}, lm15.ContextLengthError),
        (400, {"error": {"message": "Your credit balance is too low"}}, lm15.BillingError),
        (413, {}, lm15.InvalidRequestError),
        (422, None, lm15.InvalidRequestError),
        (429, {"error": {"code": "insufficient_quota"}}, lm15.BillingError),
        (408, {}, lm15.TimeoutError),
        (503, "<html>", lm15.ServerError),
        (504, {}, lm15.TimeoutError),
        (307, {}, lm15.ProviderError),
    ],
)
def test_a_status_and_what_is_said_with_it_give_the_class(
    status: int, body: Any, kind: type[Exception]
) -> None:
    failed = WireFailure("status", status=status, body=body)
    error = told(failed, "w", lm15.Request("m", HI))
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("overloaded_error", lm15.ServerError),
        ("rate_limit_error", lm15.RateLimitError),
        ("invalid_request_error", lm15.InvalidRequestError),
        (429, lm15.RateLimitError),
        (502, lm15.ServerError),
    ],
)
def test_an_error_inside_an_answer_is_told_by_its_code(code: Any, kind: type[Exception]) -> None:
    failed = WireFailure("event", body={"error": {"code": code, "message": "x"}})
    assert type(told(failed, "w", lm15.Request("m", HI))) is kind
