"""A stream that broke, gone on with by asking again with what it had said, as a state.

Only plain text is: a tool's input or a form is of one piece, and reasoning cannot be sent back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dspy import lm15

from .outcomes import kind_of

__all__ = ["Resumption", "blaming", "was_resumed"]

_NOTE = "resumed"  # the entry of `provider_data` that tells of it
_BROKEN = frozenset({"failed", "garbled", "limited"})
_ANCHOR = 48  # characters, at most, that a model is asked to repeat
_GO_ON = (
    "Your answer was cut off there. Go on from exactly that place. Begin by repeating its last "
    "characters, which are between the marks, and then write on; say nothing about this.\n"
    "<<<{}>>>"
)


def was_resumed(answer: Any) -> bool:
    """Whether an answer, or the end of its stream, is of pieces that several streams brought.

    >>> was_resumed(lm15.StreamEndEvent("stop", provider_data={"resumed": [{"after": 12}]}))
    True
    """
    return _NOTE in (getattr(answer, "provider_data", None) or {})


class Resumption:
    """One stream as its caller sees it, whichever streams bring its pieces.

    `most` is how often it may be gone on with. A model that goes on from the beginning of an
    answer (`prefills`) is given what was said as that; any other is given it as its own last
    message, and asked to repeat the end of it, by which the pieces are joined.

    >>> from compilm.testing.layer_kit import request
    >>> told = Resumption(request("Where?"), most=1)
    >>> list(told.shown(lm15.StreamDeltaEvent(lm15.TextDelta("In Be"))))[0].delta.text
    'In Be'
    >>> told.broke("openai/a", lm15.TransportError("cut"))
    True
    >>> told.asked(prefills=True).messages[-1].text
    'In Be'
    """

    def __init__(self, request: Any, most: int) -> None:
        self._request, self._most = request, most
        self._pieces: list[str] = []  # what the caller has
        self._part, self._shift = 0, 0  # the part it is in; how far those of this source are off
        config = request.config
        is_text = config.response_format is None and config.logprobs is None
        self._is_plain = is_text and not request.tools
        self._is_placed = False
        self._join = _Join("", "")
        self._breaks: list[dict[str, Any]] = []

    def broke(self, name: str, error: Exception) -> bool:
        """The source, by the model `name`, failed: whether it can be gone on with."""
        can = self._is_plain and any(self._pieces) and len(self._breaks) < self._most
        if not can or kind_of(error) not in _BROKEN or self._spare() == 0:
            return False
        self._close_piece()
        told = {"model": name, "after": len(self._text), "error": type(error).__name__}
        self._breaks.append(told)
        self._is_placed = False  # the next source numbers its parts in its own way
        return True

    def _close_piece(self) -> None:
        """Note of the piece that ends here whether it is known to follow on the one before."""
        if self._breaks:
            self._breaks[-1]["joined"] = self._join.is_sure

    def asked(self, *, prefills: bool) -> Any:
        """The request that brings what is still missing."""
        if not self._breaks:
            return self._request
        text = self._text
        said = text.rstrip()
        blank = text[len(said) :]  # a message that ends in one is refused as a beginning
        reasoning = self._request.config.reasoning
        goes_on = prefills and (reasoning is None or reasoning.is_off)
        anchor = "" if goes_on else _anchor(said)
        self._join = _Join(anchor, blank)
        if not said:
            return self._request
        more = [lm15.Message.user(_GO_ON.format(anchor))] if anchor else []
        messages = (*self._request.messages, lm15.Message.assistant(said), *more)
        config = replace(self._request.config, max_tokens=self._spare())
        return replace(self._request, messages=messages, config=config)

    @property
    def _text(self) -> str:
        return "".join(self._pieces)

    def _spare(self) -> int | None:
        """Tokens that the answer may still have, where they are limited: about four bytes each."""
        most = self._request.config.max_tokens
        size = len(self._text.encode("utf-8", "surrogatepass"))  # it may break off in a character
        return None if most is None else max(0, most - size // 4)

    def shown(self, event: Any) -> Iterator[Any]:
        """What the caller sees of an event: one start, one text, one end."""
        if not self._breaks:
            self._first(event)
            yield event
        elif event.type == "delta":
            yield from self._later(event.delta)
        elif event.type == "end":
            yield from self._end(event)
        elif event.type != "start":  # the caller has had the one of the first source
            yield event

    def _first(self, event: Any) -> None:
        """Note what the first source brings, as long as it could be gone on with."""
        if event.type != "delta" or not (self._most and self._is_plain):
            return
        delta = event.delta
        self._is_plain = delta.type == "text"
        if self._is_plain:
            self._pieces.append(delta.text)
            self._part = delta.part_index

    def _later(self, delta: Any) -> Iterator[Any]:
        if delta.type != "text":
            return  # what is thought in the middle of an answer is not part of it
        if not self._is_placed:
            self._is_placed, self._shift = True, self._part - delta.part_index
        if text := self._join.feed(delta.text):
            yield self._said(text, delta.part_index + self._shift, delta)

    def _said(self, text: str, part: int, delta: Any) -> Any:
        self._pieces.append(text)
        self._part = part
        return lm15.StreamDeltaEvent(replace(delta, text=text, part_index=part))

    def _end(self, event: Any) -> Iterator[Any]:
        if rest := self._join.rest():
            yield self._said(rest, self._part, lm15.TextDelta(rest))
        self._close_piece()
        yield replace(event, provider_data={**(event.provider_data or {}), _NOTE: self._breaks})


@contextmanager
def blaming(broken: Exception | None) -> Iterator[None]:
    """What fails inside is told as what broke the stream, if something did."""
    try:
        yield
    except Exception as error:  # border: the caller has the beginning of this very stream
        if broken is None:
            raise
        broken.add_note(f"to go on with it failed: {error}")
        raise broken from error


def _anchor(said: str) -> str:
    """The last words of a text; the end of it, where it has no words so short.

    >>> _anchor("The capital of Switzerland is, as everybody should know, Bern")
    'Switzerland is, as everybody should know, Bern'
    """
    tail = said[-_ANCHOR:]
    words = tail if len(said) <= _ANCHOR else tail.partition(" ")[2]
    return words.lstrip() if words.strip() else tail


class _Join:
    """Takes from the beginning of a text what was there already: the anchor, then the blank.

    >>> join = _Join("know, Bern", " ")
    >>> [join.feed(piece) for piece in ("know,", " Bern", " is", " it.")], join.is_sure
    (['', '', 'is', ' it.'], True)
    >>> astray = _Join("know, Bern", "")
    >>> astray.feed("knowing"), astray.is_sure
    ('knowing', False)
    """

    def __init__(self, anchor: str, blank: str) -> None:
        self._anchor, self._blank, self._held = anchor, blank, ""
        self._is_open = bool(anchor)
        self.is_sure = not anchor

    def feed(self, piece: str) -> str:
        """What of the text so far is new."""
        if self._is_open:
            self._held += piece
            lead = self._held.lstrip()
            if len(lead) < len(self._anchor) and self._anchor.startswith(lead):
                return ""
            self._is_open = False
            self.is_sure = lead.startswith(self._anchor)
            piece = lead[len(self._anchor) :] if self.is_sure else self._held
        return self._unblanked(piece)

    def _unblanked(self, piece: str) -> str:
        while self._blank and piece:
            if piece[0] != self._blank[0]:
                self._blank = ""
                break
            piece, self._blank = piece[1:], self._blank[1:]
        return piece

    def rest(self) -> str:
        """What was held back at the end: the beginning of an anchor that was not said in full."""
        return self._held if self._is_open else ""
