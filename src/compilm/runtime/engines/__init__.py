"""Provider engines: one attempt at one request each, strict about what counts as an answer."""

from .build import anthropic_messages, lean, openai_chat

__all__ = ["anthropic_messages", "lean", "openai_chat"]
