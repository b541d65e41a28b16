"""Every provider engine passes the engine kit, over the true wire."""

from __future__ import annotations

from typing import Any

from compilm.engine import EnginePair
from compilm.runtime.engines import anthropic_messages, lean, openai_chat, openai_responses
from compilm.testing.engine_kit import KEY, EngineKit


class TestOpenAIChat(EngineKit):
    ends_heads = False
    most_connections = 8  # the SDK closes a stream at [DONE] without reading to its end

    def make(self, url: str, **settings: Any) -> EnginePair:
        return openai_chat(f"{url}/v1", api_key=KEY, **settings)


class TestAnthropicMessages(EngineKit):
    wire = "anthropic-messages"
    ends_heads = False

    def make(self, url: str, **settings: Any) -> EnginePair:
        return anthropic_messages(url, api_key=KEY, **settings)


class TestLeanChat(EngineKit):
    def make(self, url: str, **settings: Any) -> EnginePair:
        return lean("openai-chat", f"{url}/v1", api_key=KEY, **settings)


class TestLeanMessages(EngineKit):
    wire = "anthropic-messages"

    def make(self, url: str, **settings: Any) -> EnginePair:
        return lean("anthropic-messages", url, api_key=KEY, **settings)


class TestOpenAIResponses(EngineKit):
    wire = "openai-responses"
    ends_heads = False

    def make(self, url: str, **settings: Any) -> EnginePair:
        return openai_responses(f"{url}/v1", api_key=KEY, **settings)


class TestLeanResponses(EngineKit):
    wire = "openai-responses"

    def make(self, url: str, **settings: Any) -> EnginePair:
        return lean("openai-responses", f"{url}/v1", api_key=KEY, **settings)
