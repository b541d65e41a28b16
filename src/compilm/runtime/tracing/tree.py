"""A trace as text: one line for people, and the tree of what happened in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from .span import Event, Span, Trace

__all__ = ["line_of", "tree_of"]

_WIDTH = 88
_Node: TypeAlias = "Span | Event | str"


def line_of(trace: Trace) -> str:
    """The trace in one line: id, when, program, time, calls, tokens, dollars, outcome.

    >>> root = Span(0, None, "program", "Desk", 0.0, 0.25)
    >>> line_of(Trace("3f2a" * 8, "Desk", "sha256:ab", "numbers", (root,))).split()[3:]
    ['Desk', '0.250', 's', '0', 'calls', 'ok']
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trace.root.start))
    calls = len(trace.calls)
    parts = [
        f"{trace.id[:12]}  {when}  {trace.program:16} {trace.root.seconds:7.3f} s",
        f"{calls} call" if calls == 1 else f"{calls} calls",
        _tokens(trace.total("input_tokens"), trace.total("output_tokens")),
        _usd(trace.total("usd")),
        trace.root.error or "ok",
    ]
    return "  ".join(part for part in parts if part)


def tree_of(trace: Trace, *, whole: bool = False) -> list[str]:
    """The trace as lines: spans under those they are part of, with what happened to each.

    `whole` shows the texts as they are, prompts and answers too, where they were kept.

    >>> root = Span(0, None, "program", "Desk", 0.0, 0.5)
    >>> call = Span(1, 0, "call", "openai/m", 0.1, 0.25, values={"input_tokens": 9})
    >>> print("\\n".join(tree_of(Trace("3f2a", "Desk", "sha256:ab", "numbers", (root, call)))))
    Desk  0.500 s
    └─ call openai/m  0.250 s  9 in
    """
    lines = [_told(trace.root), *_below(trace, trace.root, whole)]
    if trace.left_out:
        lines.append(f"({trace.left_out} more spans were not kept)")
    return lines


def _below(trace: Trace, span: Span, whole: bool) -> Iterator[str]:
    """The lines under a span: its texts, then its parts and events by time."""
    parts: list[_Node] = sorted([*trace.under(span.number), *span.events], key=_at)
    nodes: list[_Node] = [*_texts(span, whole), *parts]
    for place, node in enumerate(nodes, start=1):
        mark, below = ("└─ ", "   ") if place == len(nodes) else ("├─ ", "│  ")
        first, *rest = (node if isinstance(node, str) else _told(node)).split("\n")
        yield mark + first
        yield from (below + line for line in rest)
        if isinstance(node, Span):
            yield from (below + line for line in _below(trace, node, whole))


def _at(node: Any) -> float:
    return float(node.start if isinstance(node, Span) else node.at)


def _told(node: Span | Event) -> str:
    if isinstance(node, Event):
        said = ", ".join(f"{name} {_number(value)}" for name, value in node.values.items())
        return f"{node.name}  {said}".rstrip()
    values = node.values
    by = values.get("by")
    named = node.name if node.kind in ("program", "predictor") else f"{node.kind} {node.name}"
    parts = [
        f"{named} → {by}" if by else named,
        f"{node.seconds:.3f} s",
        _tokens(values.get("input_tokens"), values.get("output_tokens")),
        f"{values['cache_read_tokens']} cached" if values.get("cache_read_tokens") else "",
        _usd(values.get("usd")),
        f"first after {values['first_s']:.3f} s" if "first_s" in values else "",
        "" if values.get("finish") in (None, "stop") else str(values["finish"]),
        f"sample {values['rollout']}.{values['index']}" if "rollout" in values else "",
        "unfinished" if values.get("unfinished") else "",
        _error(node),
    ]
    return "  ".join(part for part in parts if part)


def _error(span: Span) -> str:
    status = span.values.get("status")
    return "" if span.error is None else f"{span.error} {status or ''}".strip()


def _texts(span: Span, whole: bool) -> Iterator[str]:
    """What was said, by name."""
    for name, said in span.texts.items():
        if span.kind != "call":
            yield _shown(name, said, whole)
        elif whole:
            yield f"{name}\n{_said(said)}"


def _shown(name: str, said: Any, whole: bool) -> str:
    if not isinstance(said, Mapping):
        said = {"": said}
    texts = (f"{key}: {_text(value)}".removeprefix(": ") for key, value in said.items())
    if whole:
        return "\n".join((name, *texts))
    line = f"{name}  {', '.join(texts)}".replace("\n", "⏎")
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _said(said: Mapping[str, Any]) -> str:
    """A request or response as its messages."""
    messages = said.get("messages") or [said.get("message", {})]
    system = said.get("system")
    told = [f"[system]\n{system if isinstance(system, str) else _text(system)}"] if system else []
    for message in messages:
        parts = (part.get("text") or _text(part) for part in message.get("parts", ()))
        told.append(f"[{message.get('role')}]\n" + "\n".join(parts))
    return "\n".join(told)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> str:
    return f"{value:.3f} s" if isinstance(value, float) else str(value)


def _tokens(given: float | None, got: float | None) -> str:
    told = [f"{n:,} {way}" for n, way in ((given, "in"), (got, "out")) if n is not None]
    return ", ".join(told)


def _usd(amount: float | None) -> str:
    return "" if amount is None else f"${amount:.6f}".rstrip("0").rstrip(".") if amount else "$0"
