"""The Responses wire, going out: what a request becomes."""

from __future__ import annotations

from typing import Any

import pytest
from dspy import lm15

from compilm.runtime.engines.responses_body import responses_body
from compilm.runtime.engines.wire import Asked

HI = (lm15.Message.user("hi"),)
STATE = lm15.ContinuationState("openai", "reasoning_item", {"id": "rs_1", "encrypted_content": "e"})


def asked(*messages: Any, native: bool = False, tools: Any = (), **config: Any) -> Asked:
    request = lm15.Request("m", messages or HI, tools=tools, config=lm15.Config(**config))
    return responses_body(request, stream=False, native=native)


def noted(found: Asked) -> list[tuple[str, str]]:
    return [(note.field, note.action) for note in found.notes]


def test_nothing_is_stored_unless_the_request_says_so() -> None:
    assert asked().body["store"] is False
    assert asked(store=True).body["store"] is True


def test_reasoning_is_an_effort_and_comes_back_in_a_form_that_can_be_sent_again() -> None:
    body = asked(reasoning=lm15.Reasoning("high", summary="auto")).body
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert body["include"] == ["reasoning.encrypted_content"]
    off = asked(reasoning=lm15.Reasoning("off")).body
    assert off["reasoning"] == {"effort": "none"}
    assert "include" not in off  # a model that does not reason refuses to be asked for it
    assert "include" not in asked(reasoning=lm15.Reasoning("low"), store=True).body
    assert noted(asked(reasoning=lm15.Reasoning("low", thinking_budget=2000))) == [
        ("config.reasoning.thinking_budget", "dropped")
    ]


def test_what_the_model_said_goes_back_in_its_order() -> None:
    parts = (
        lm15.ThinkingPart("hm", (STATE,)),
        lm15.TextPart("I look."),
        lm15.CitationPart(url="http://a"),
        lm15.ToolCallPart("c1", "f", {"city": "Zürich"}),
        lm15.RefusalPart("no more"),
    )
    found = asked(*HI, lm15.Message("assistant", parts), lm15.Message.tool("c1", "sunny"))
    assert found.body["input"][1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "encrypted_content": "e",
            "summary": [{"type": "summary_text", "text": "hm"}],
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"city":"Zürich"}'},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no more"}]},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]
    assert found.body["include"] == ["reasoning.encrypted_content"]


def test_a_thought_that_nobody_kept_goes_back_as_text_and_by_its_name_where_it_was_stored() -> None:
    named = lm15.ContinuationState("openai", "reasoning_item", {"id": "rs_1"})
    said = lm15.Message("assistant", (lm15.ThinkingPart("hm", (named,)), lm15.TextPart("Yes.")))
    assert asked(*HI, said).body["input"][1]["content"] == [
        {"type": "output_text", "text": "hm"},
        {"type": "output_text", "text": "Yes."},
    ]
    kept = asked(*HI, said, store=True).body["input"][1]
    assert (kept["type"], kept["id"]) == ("reasoning", "rs_1")


def test_images_and_files_are_named_or_carried() -> None:
    parts = [
        lm15.ImagePart(url="http://a/i.png", detail="low"),
        lm15.ImagePart("image/png", data="aGk="),
        lm15.ImagePart(file_id="file-1"),
        lm15.DocumentPart(url="http://a/d.pdf"),
        lm15.DocumentPart("application/pdf", data="aGk="),
    ]
    assert asked(lm15.Message.user(parts)).body["input"][0]["content"] == [
        {"type": "input_image", "detail": "low", "image_url": "http://a/i.png"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        {"type": "input_file", "file_url": "http://a/d.pdf"},
        {
            "type": "input_file",
            "filename": "document.pdf",
            "file_data": "data:application/pdf;base64,aGk=",
        },
    ]


def test_a_tool_gives_text_or_media_and_says_when_it_failed() -> None:
    image = lm15.ImagePart("image/png", data="aGk=")
    results = (
        lm15.ToolResultPart("c1", (lm15.TextPart("no such city"),), is_error=True),
        lm15.ToolResultPart("c2", (image,), is_error=True),
    )
    said, seen = asked(*HI, lm15.Message("tool", results)).body["input"][1:]
    assert said["output"] == "[error] no such city"
    assert [block["type"] for block in seen["output"]] == ["input_text", "input_image"]


def test_tools_are_not_strict_unless_they_say_so_and_can_be_chosen_among() -> None:
    tools = (lm15.FunctionTool("f", "does", {"type": "object"}), lm15.BuiltinTool("web_search"))
    body = asked(tools=tools, tool_choice=lm15.ToolChoice("auto", ("f", "web_search"))).body
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
    assert body["tools"] == [{**function, "description": "does"}, {"type": "web_search_preview"}]
    few = [{"type": "function", "name": "f"}, {"type": "web_search_preview"}]
    assert body["tool_choice"] == {"type": "allowed_tools", "mode": "auto", "tools": few}
    one = asked(tools=tools, tool_choice=lm15.ToolChoice("required", ("f",), parallel=False)).body
    assert (one["tool_choice"], one["parallel_tool_calls"]) == (few[0], False)


def test_openai_s_own_address_is_spelled_its_way_and_others_theirs() -> None:
    settings: dict[str, Any] = {"user_id": "u", "cache": lm15.CacheConfig(key="k")}
    own, other = asked(native=True, **settings), asked(**settings)
    assert (own.body["safety_identifier"], own.body["prompt_cache_key"]) == ("u", "k")
    assert other.body["user"] == "u"
    assert noted(other) == [("config.cache.key", "dropped")]


def test_what_has_no_place_is_recorded_or_refused() -> None:
    found = asked(top_k=5, seed=1, stop=("END",))
    assert noted(found) == [
        ("config.top_k", "dropped"),
        ("config.seed", "dropped"),
        ("config.stop", "client_side"),
    ]
    for part in (lm15.VideoPart(data="aGk="), lm15.AudioPart("audio/wav", data="aGk=")):
        with pytest.raises(lm15.UnsupportedFeatureError, match=f"a {part.type} part"):
            asked(lm15.Message.user(part))
    with pytest.raises(lm15.UnsupportedFeatureError, match="stop sequences with log-prob"):
        asked(stop=("END",), logprobs=1)


def test_an_extension_joins_a_table_and_replaces_a_value() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    more = {"text": {"verbosity": "low"}, "truncation": "auto", "max_output_tokens": 9}
    body = asked(response_format=wanted, max_tokens=5, extensions=more).body
    assert body["text"]["verbosity"] == "low"
    assert body["text"]["format"]["name"] == "response"
    assert (body["truncation"], body["max_output_tokens"]) == ("auto", 9)
