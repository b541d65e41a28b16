"""How large a call may become, before it is sent: tokens of its prompt and of its answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from .price import Tokens

__all__ = ["Size", "prompt_tokens"]

_ANSWER = 1024  # tokens expected of an answer without `max_tokens`, until a longer one was seen
_PICTURE = 2000  # tokens of a picture, a document or a sound, of which nobody tells the size
_SPOKEN = frozenset({"thinking", "refusal", "citation", "tool_call", "tool_result"})
_MARKS = 8  # tokens around a message
_DENSEST = 8.0  # times as many tokens as expected: more is no text but a count that is wrong


def prompt_tokens(request: Any) -> int:
    """Tokens that the prompt may have: a third of its ASCII characters, half of other bytes.

    English has a token in four characters, Chinese in three bytes, so that both are safe.

    >>> from compilm.testing.layer_kit import request
    >>> prompt_tokens(request("a" * 300)), prompt_tokens(request("\u4f60" * 100))
    (125, 175)
    """
    total = 2 * _MARKS
    if request.system:
        system = request.system
        total += _text(system) if isinstance(system, str) else sum(map(_part, system))
    for message in request.messages:
        total += _MARKS
        for part in message.parts:
            total += _part(part)
    if request.tools:
        total += _text(str(request.tools))
    if request.config.response_format is not None:
        total += _text(str(request.config.response_format))
    return total


def _part(part: Any) -> int:
    if part.type == "text":
        text: str = part.text
        return len(text) // 3 + 1 if text.isascii() else _text(text)
    if part.type in _SPOKEN:
        return _text(str(part))
    return _PICTURE


def _text(text: str) -> int:
    return len(text) // 3 + 1 if text.isascii() else len(text.encode("utf-8", "replace")) // 2 + 1


class Expected(NamedTuple):
    """Tokens of a call: of its prompt by its characters alone, by experience, and of its answer."""

    plain: int
    prompt: int
    answer: int


class Size:
    """What calls of one model are expected to take; it learns from what they took.

    An answer has at most `max_tokens`, and what is thought beyond that if a budget for it is set.
    Without a `max_tokens` it is expected to be as long as the longest yet, 1,024 at first. Where a
    prompt took more tokens than expected, later ones are expected to in proportion.

    >>> from compilm.testing.layer_kit import request
    >>> Size().expected(request("a" * 300, max_tokens=50))
    Expected(plain=125, prompt=126, answer=50)
    """

    def __init__(self) -> None:
        self.longest = 0  # tokens of the longest answer yet
        self._density = 1.0

    def expected(self, request: Any) -> Expected:
        """What a call may take, by what was seen until now."""
        config = request.config
        answer = config.max_tokens or max(_ANSWER, self.longest)
        if config.reasoning is not None and config.reasoning.thinking_budget is not None:
            answer += config.reasoning.thinking_budget
        plain = prompt_tokens(request)
        return Expected(plain, int(plain * self._density) + 1, answer)

    def answered(self, tokens: int) -> None:
        """How long an answer was."""
        self.longest = max(self.longest, tokens)

    def saw(self, plain: int, tokens: Tokens) -> None:
        """What a call took whose prompt has `plain` tokens by its characters."""
        self.answered(tokens.output)
        if tokens.prompt > plain * self._density:
            self._density = min(_DENSEST, tokens.prompt / plain)
