"""A request with everything in it, and what a body of each wire says of it."""

from __future__ import annotations

import json
from typing import Any

from dspy import lm15

__all__ = ["ESSENCE", "STATES", "essence", "full_request", "shape_of"]

STATES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "anthropic-messages": ("anthropic", "thinking_signature", {"signature": "s+/="}),
    "openai-responses": ("openai", "reasoning_item", {"id": "rs_1", "encrypted_content": "e+/="}),
}
"""What a wire gives with a thought, so that it can be sent back."""


def full_request() -> lm15.Request:
    """A request with a system text, an image, a tool call with its result, a tool and settings."""
    call = lm15.ToolCallPart("c1", "weather", {"city": "Bern"})
    messages = (
        lm15.Message.user([lm15.TextPart("see"), lm15.ImagePart("image/png", data="aGk=")]),
        lm15.Message.assistant([lm15.TextPart("I look"), call]),
        lm15.Message.tool("c1", "sunny"),
        lm15.Message.user("and now?"),
    )
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = lm15.FunctionTool("weather", "tells the weather", parameters)
    config = lm15.Config(max_tokens=99, temperature=0.5, stop=("END",))
    return lm15.Request("m-1", messages, system="Be kind.", tools=(tool,), config=config)


ESSENCE = {
    "model": "m-1",
    "system": "Be kind.",
    "roles": ["user", "assistant", "tool", "user"],
    "image": "aGk=",
    "call": ("c1", "weather", "Bern"),
    "result": ("c1", "sunny"),
    "tool": ("weather", "tells the weather", ["city"]),
    "settings": (99, 0.5),
    "stop": ["END"],
}


def essence(body: dict[str, Any], wire: str) -> dict[str, Any]:
    """What a body says, whichever wire it is on."""
    own = {"anthropic-messages": _messages_essence, "openai-responses": _responses_essence}
    return own.get(wire, _chat_essence)(body)


def _chat_essence(body: dict[str, Any]) -> dict[str, Any]:
    system, user, assistant, result, _ = rows = body["messages"]
    call, tool = assistant["tool_calls"][0], body["tools"][0]["function"]
    city = json.loads(call["function"]["arguments"])["city"]
    return {
        "model": body["model"],
        "system": system["content"],
        "roles": [row["role"] for row in rows[1:]],
        "image": user["content"][1]["image_url"]["url"].removeprefix("data:image/png;base64,"),
        "call": (call["id"], call["function"]["name"], city),
        "result": (result["tool_call_id"], result["content"]),
        "tool": (tool["name"], tool["description"], list(tool["parameters"]["properties"])),
        "settings": (body["max_tokens"], body["temperature"]),
        "stop": body["stop"],
    }


def _messages_essence(body: dict[str, Any]) -> dict[str, Any]:
    user, assistant, result, _ = rows = body["messages"]
    call, tool, got = assistant["content"][1], body["tools"][0], result["content"][0]
    kinds = {"tool_result": "tool"}
    return {
        "model": body["model"],
        "system": body["system"][0]["text"],
        "roles": [kinds.get(row["content"][0]["type"], row["role"]) for row in rows],
        "image": user["content"][1]["source"]["data"],
        "call": (call["id"], call["name"], call["input"]["city"]),
        "result": (got["tool_use_id"], got["content"][0]["text"]),
        "tool": (tool["name"], tool["description"], list(tool["input_schema"]["properties"])),
        "settings": (body["max_tokens"], body["temperature"]),
        "stop": body["stop_sequences"],
    }


def _responses_essence(body: dict[str, Any]) -> dict[str, Any]:
    """This wire has no stop sequences: the engine cuts the text, which its answers show."""
    user, said, call, result, last = body["input"]
    tool = body["tools"][0]
    assert not {"stop", "stop_sequences"} & body.keys()
    return {
        "model": body["model"],
        "system": body["instructions"],
        "roles": [user["role"], said["role"], "tool", last["role"]],
        "image": user["content"][1]["image_url"].removeprefix("data:image/png;base64,"),
        "call": (call["call_id"], call["name"], json.loads(call["arguments"])["city"]),
        "result": (result["call_id"], result["output"]),
        "tool": (tool["name"], tool["description"], list(tool["parameters"]["properties"])),
        "settings": (body["max_output_tokens"], body["temperature"]),
        "stop": ESSENCE["stop"],
    }


def shape_of(body: dict[str, Any], wire: str) -> dict[str, Any]:
    """The form of the answer that a body asks for, as a request says it."""
    if wire == "openai-responses":
        return dict(body["text"]["format"])
    if wire == "anthropic-messages":  # it takes the schema alone, and always as strict
        return {**body["output_config"]["format"], "name": "thing", "strict": True}
    asked = body["response_format"]
    return {"type": asked["type"], **asked["json_schema"]}
