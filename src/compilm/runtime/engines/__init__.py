"""Provider engines: one attempt at one request each, strict about what counts as an answer."""

from .build import anthropic_messages, lean, openai_chat, openai_responses
from .recording import Recorder, recorded

__all__ = [
    "Recorder",
    "anthropic_messages",
    "lean",
    "openai_chat",
    "openai_responses",
    "recorded",
]
