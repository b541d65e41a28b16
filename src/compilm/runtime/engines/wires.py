"""The wires by name: Chat Completions, OpenAI Responses, Anthropic Messages."""

from __future__ import annotations

from typing import Any, ClassVar

from dspy import lm15

from .chat_answer import ChatReader, chat_answer
from .chat_body import chat_body
from .messages_answer import MessagesReader, messages_answer
from .messages_body import messages_body
from .responses_answer import responses_answer
from .responses_body import responses_body
from .responses_stream import ResponsesReader
from .wire import Asked, Reader, Wire

__all__ = ["WIRES", "ChatWire", "MessagesWire", "ResponsesWire", "wire_for"]


class _OpenAIWire:
    key_env: ClassVar[str] = "OPENAI_API_KEY"
    home: ClassVar[str] = "https://api.openai.com/v1"

    def __init__(self, *, native: bool) -> None:
        self._native = native

    def headers(self, key: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}


class ChatWire(_OpenAIWire):
    """Chat Completions: OpenAI, and every server that speaks as it does."""

    name: ClassVar[str] = "openai-chat"
    path: ClassVar[str] = "/chat/completions"

    def ask(self, request: lm15.Request, *, stream: bool) -> Asked:
        return chat_body(request, stream=stream, native=self._native)

    def answer(self, payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
        return chat_answer(payload, asked, request)

    def reader(self, asked: Asked, request: lm15.Request) -> Reader:
        return ChatReader(asked, request)


class ResponsesWire(_OpenAIWire):
    """Responses: OpenAI's other wire, on which models that reason do all they can."""

    name: ClassVar[str] = "openai-responses"
    path: ClassVar[str] = "/responses"

    def ask(self, request: lm15.Request, *, stream: bool) -> Asked:
        return responses_body(request, stream=stream, native=self._native)

    def answer(self, payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
        return responses_answer(payload, asked, request)

    def reader(self, asked: Asked, request: lm15.Request) -> Reader:
        return ResponsesReader(asked, request)


class MessagesWire:
    """Anthropic Messages."""

    name: ClassVar[str] = "anthropic-messages"
    path: ClassVar[str] = "/v1/messages"
    key_env: ClassVar[str] = "ANTHROPIC_API_KEY"
    home: ClassVar[str] = "https://api.anthropic.com"

    def headers(self, key: str | None) -> dict[str, str]:
        version = {"anthropic-version": "2023-06-01"}
        return {"x-api-key": key, **version} if key else version

    def ask(self, request: lm15.Request, *, stream: bool) -> Asked:
        return messages_body(request, stream=stream)

    def answer(self, payload: Any, asked: Asked, request: lm15.Request) -> lm15.Response:
        return messages_answer(payload, asked, request)

    def reader(self, asked: Asked, request: lm15.Request) -> Reader:
        return MessagesReader(asked, request)


WIRES: dict[str, type[Any]] = {wire.name: wire for wire in (ChatWire, ResponsesWire, MessagesWire)}


def wire_for(name: str, base_url: str | None) -> tuple[Wire, str]:
    """The wire of that name and the address it goes to: the given one, else the provider's own.

    >>> wire_for("anthropic-messages", "http://localhost:8000/v1/")[1]
    'http://localhost:8000'
    """
    cls = WIRES[name]
    address = (base_url or cls.home).rstrip("/")
    if cls is MessagesWire:
        return cls(), address.removesuffix("/v1")  # its paths begin with the version
    return cls(native=address == cls.home), address
