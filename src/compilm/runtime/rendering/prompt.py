"""The prompt of a signature: what stays is written once, what comes with a call is filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import is_
from typing import Any

import dspy
from dspy import lm15

# The step that makes parts of the texts of DSPy's own types (images, files), in every format.
from dspy.adapters._legacy_type_markers import (
    _expand_legacy_custom_type_markers_in_chat_message as expanded,
)

from ...engine import Prefix
from .demos import Snapshot, Snapshots
from .fields import Fields
from .values import formatted

__all__ = ["Prompt", "Row", "Shown", "as_messages", "expanded", "is_sendable"]

Row = dict[str, Any]
_MOST = 4096  # demonstrations that are remembered: pools are smaller


class _Demo:
    """A rendered demonstration: the object, what it was, and its rows; none if it is not shown."""

    def __init__(self, demo: Any, was: Snapshot, is_complete: bool, rows: list[Row]) -> None:
        self.demo, self.was, self.is_complete, self.rows = demo, was, is_complete, rows

    @cached_property
    def messages(self) -> tuple[Any, ...] | None:
        """The rows as messages of a request; `None` where DSPy has to make those itself."""
        return as_messages(self.rows) if self.rows else ()


class Shown:
    """The demonstrations of a call after the system text, as rows and as messages."""

    def __init__(self, system: str, demos: list[_Demo]) -> None:
        self.demos = demos
        # DSPy's order: those that lack a field come first.
        ordered = sorted(demos, key=lambda one: one.is_complete)
        self.rows: list[Row] = [row for one in ordered for row in one.rows]
        self.prefix = _prefix(system, [one.messages for one in ordered])
        were = Snapshots.of([one.demo for one in demos])
        # Taken after they were rendered: it counts if nothing was changed meanwhile.
        self._were = were if all(one.was.holds(one.demo) for one in demos) else None

    def is_of(self, demos: list[_Demo]) -> bool:
        """Whether it shows just these."""
        return len(demos) == len(self.demos) and all(map(is_, demos, self.demos))

    def is_still(self, demos: Sequence[Any]) -> bool:
        """Whether these demonstrations are plain, the same, and as they were."""
        return self._were is not None and self._were.hold(demos)


class Prompt:
    """Everything of a signature's prompt that does not depend on the call.

    >>> adapter, signature = dspy.ChatAdapter(), dspy.Signature("question -> answer")
    >>> prompt = Prompt.of(adapter, signature)
    >>> inputs = {"question": "Why?"}
    >>> prompt.rows(adapter, signature, [], inputs) == adapter.format(signature, [], inputs)
    True
    """

    def __init__(self, fields: Fields, system: str, pieces: dict[tuple[str, ...], list[str]]):
        self.fields, self.system = fields, system
        self.templates: dict[Any, Any] = {}
        self._pieces = pieces
        self._demos: dict[int, _Demo] = {}
        self._last = Shown(system, [])

    @classmethod
    def of(cls, adapter: Any, signature: type[dspy.Signature]) -> Prompt | None:
        """The prompt, or `None` for a signature that DSPy has to render for each call."""
        fields = Fields(signature)
        if fields.converses or fields.describe_themselves:
            return None
        names = tuple(fields.input_fields)
        pieces = _pieces(adapter, signature, names)
        if pieces is None:
            return None
        return cls(fields, adapter.format_system_message(signature), {names: pieces})

    def content(self, adapter: Any, signature: Any, inputs: Mapping[str, Any]) -> str | None:
        """The text of the message that asks; `None` where its form cannot be told."""
        fields = self.fields.input_fields
        names = tuple(name for name in fields if name in inputs)
        pieces = self._pieces.get(names)
        if pieces is None:
            pieces = _pieces(adapter, signature, names)
            if pieces is None:
                return None
            self._pieces[names] = pieces
        text = [pieces[0]]
        for name, piece in zip(names, pieces[1:], strict=True):
            text += (formatted(fields[name], inputs[name]), piece)
        return "".join(text)

    def shown(self, adapter: Any, signature: Any, demos: Sequence[Any]) -> Shown | None:
        """These demonstrations; `None` where one of them could change unseen."""
        last = self._last
        if last.is_still(demos):
            return last
        found = []
        for demo in demos:
            one = self._demos.get(id(demo))
            if one is None or one.demo is not demo or not one.was.holds(demo):
                one = self._rendered(adapter, signature, demo)
                if one is None:
                    return None
            found.append(one)
        if not last.is_of(found):
            last = self._last = Shown(self.system, found)
        return last

    def rows(
        self, adapter: Any, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]
    ) -> list[Row] | None:
        """What the adapter's own `format` gives; `None` where only it can."""
        shown = self.shown(adapter, signature, demos)
        content = None if shown is None else self.content(adapter, signature, inputs)
        if shown is None or content is None:
            return None
        if any(type(row["content"]) is not str for row in shown.rows):
            return None  # lists that a caller could change
        last: Row = expanded({"role": "user", "content": content})
        return [{"role": "system", "content": self.system}, *map(dict, shown.rows), last]

    def _rendered(self, adapter: Any, signature: Any, demo: Any) -> _Demo | None:
        was = Snapshot.of(demo)  # before it is rendered: a change meanwhile is seen at the next
        if was is None:
            return None
        is_complete = all(name in demo and demo[name] is not None for name in self.fields.fields)
        rows = [expanded(row) for row in adapter.format_demos(signature, [demo])]
        if len(self._demos) >= _MOST:
            self._demos.clear()
        one = self._demos[id(demo)] = _Demo(demo, was, is_complete, rows)
        return one


def _prefix(system: str, messages: list[tuple[Any, ...] | None]) -> Prefix | None:
    """What a request with these begins with; `None` where DSPy has to make the messages itself."""
    known = [each for each in messages if each is not None]
    if len(known) < len(messages):
        return None
    return Prefix(system, tuple(message for each in known for message in each))


def as_messages(rows: list[Row]) -> tuple[Any, ...] | None:
    """DSPy's messages of a request for these rows; `None` where it refuses one.

    >>> as_messages([{"role": "user", "content": "hi"}])[0].text
    'hi'
    """
    if not is_sendable(json.dumps(rows, ensure_ascii=False)):
        return None
    try:
        request = lm15.request_from_openai_chat({"model": "any", "messages": rows})
    except Exception:  # border: what DSPy refuses here it refuses again, in its own place
        return None
    is_whole = len(request.messages) == len(rows) and request.system is None
    return tuple(request.messages) if is_whole and request.config.cache is None else None


def is_sendable(text: str) -> bool:
    r"""Whether the text has no half of a character, which no provider can be sent.

    >>> is_sendable("caf\u00e9"), is_sendable("caf\ud800")
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pieces(adapter: Any, signature: Any, names: tuple[str, ...]) -> list[str] | None:
    """The adapter's own text around the values of these inputs; `None` if it is not just around.

    Found by having it render marks: a text stands in a prompt as it is.
    """
    marks = {name: f"\x02{place}\x03" for place, name in enumerate(names)}
    rest = adapter.format_user_message_content(signature, marks, main_request=True)
    pieces = []
    for mark in marks.values():
        before, found, rest = rest.partition(mark)
        if not found:
            return None
        pieces.append(before)
    pieces.append(rest)
    is_clean = all(not any(mark in piece for mark in marks.values()) for piece in pieces)
    # The adapter strips the whole: nothing of a value may stand at an end.
    return pieces if pieces[0] and pieces[-1] and is_clean else None
