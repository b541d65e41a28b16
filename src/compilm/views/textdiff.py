"""What changed in a prompt: instructions word by word, demonstrations as a table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Literal

from .. import canonical
from .rows import Prompt

__all__ = ["demos_html", "html_diff", "prompt_html", "prompt_text", "text_diff", "words"]

Kind = Literal["same", "removed", "added"]
Run = tuple[Kind, str]
_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")
_LONG = 4_000_000  # pairs of words beyond which the texts are compared by lines
_CELL = 300


def words(before: str, after: str) -> tuple[Run, ...]:
    """Runs of text that both have, that only `before` has, and that only `after` has.

    Lone words that both happen to have in the middle of a change are told as changed too: a
    diff is read by people.

    >>> words("Answer now.", "Answer briefly now.")
    (('same', 'Answer'), ('added', ' briefly'), ('same', ' now.'))
    """
    old, new = _TOKENS.findall(before), _TOKENS.findall(after)
    if len(old) * len(new) > _LONG:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    steps = [
        (tag == "equal", "".join(old[a:b]), "".join(new[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
    ]
    return tuple(_runs(_calmed(steps)))


def _calmed(steps: Sequence[tuple[bool, str, str]]) -> list[tuple[bool, str, str]]:
    """The steps with what is short and the same between two changes made part of the change."""
    found: list[tuple[bool, str, str]] = []
    for place, (same, old, new) in enumerate(steps):
        between = 0 < place < len(steps) - 1
        if same and between and len(re.findall(r"\w+", old)) < 2 and "\n" not in old:
            same = False
        if not same and found and not found[-1][0]:
            found[-1] = (False, found[-1][1] + old, found[-1][2] + new)
        else:
            found.append((same, old, new))
    return found


def _runs(steps: Iterable[tuple[bool, str, str]]) -> Iterable[Run]:
    for same, old, new in steps:
        if same:
            yield "same", old
            continue
        if old:
            yield "removed", old
        if new:
            yield "added", new


def html_diff(before: str, after: str) -> str:
    """The difference as HTML with `<del>` and `<ins>`, escaped.

    >>> html_diff("a < b", "a > b")
    'a <del>&lt;</del><ins>&gt;</ins> b'
    """
    marks = {"same": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
    return "".join(marks[kind].format(escape(run)) for kind, run in words(before, after))


def text_diff(before: str, after: str, *, color: bool = False) -> str:
    """The difference for a terminal: `[-removed-]`, `{+added+}`, or in red and green.

    >>> text_diff("Answer now.", "Answer briefly now.")
    'Answer{+ briefly+} now.'
    """
    plain = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
    painted = {
        "same": ("", ""),
        "removed": ("\x1b[31;9m", "\x1b[0m"),
        "added": ("\x1b[32m", "\x1b[0m"),
    }
    marks = painted if color else plain
    return "".join(run.join(marks[kind]) for kind, run in words(before, after))


def demos_html(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str:
    """The demonstrations that were added or taken out as one table; empty if none was.

    >>> demos_html([{"q": 1}], [{"q": 1}])
    ''
    """
    rows = [("ins", "+", demo) for demo in _missing(after, before)]
    rows += [("del", "−", demo) for demo in _missing(before, after)]
    if not rows:
        return ""
    names = list(dict.fromkeys(name for _, _, demo in rows for name in demo))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f'<tr class="cm-{kind}"><td>{sign}</td>'
        + "".join(f"<td>{escape(_cell(demo.get(name)))}</td>" for name in names)
        + "</tr>"
        for kind, sign, demo in rows
    )
    return f'<table class="cm-demos"><thead><tr><th></th>{head}</tr></thead>{body}</table>'


def _missing(
    these: Sequence[Mapping[str, Any]], those: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    held = [canonical.dumps(dict(demo)) for demo in those]
    left = []
    for demo in these:
        key = canonical.dumps(dict(demo))
        if key in held:
            held.remove(key)
        else:
            left.append(demo)
    return left


def _cell(value: Any) -> str:
    shown = "" if value is None else value if isinstance(value, str) else canonical.dumps(value)
    return shown if len(shown) <= _CELL else shown[: _CELL - 1] + "…"


def prompt_html(before: Prompt, after: Prompt) -> str:
    """What changed in one predictor's prompt as HTML; empty if nothing did.

    >>> prompt_html(Prompt("Answer."), Prompt("Answer."))
    ''
    """
    parts = []
    if before.instructions != after.instructions:
        shown = html_diff(before.instructions, after.instructions)
        parts.append(f'<div class="cm-label">instructions</div><div class="cm-diff">{shown}</div>')
    table = demos_html(before.demos, after.demos)
    if table:
        told = f"demonstrations: {len(before.demos)} before, {len(after.demos)} after"
        parts.append(f'<div class="cm-label">{told}</div><div class="cm-wide">{table}</div>')
    elif before.demos != after.demos:
        parts.append('<div class="cm-label">the same demonstrations in another order</div>')
    chosen = _chosen(before, after)
    if chosen:
        parts.append(f'<div class="cm-label">{escape(chosen)}</div>')
    return "".join(parts)


def _chosen(before: Prompt, after: Prompt) -> str:
    """What changed about the demonstrations that are chosen for each call; empty if nothing did."""
    if (before.nearest, before.pool) == (after.nearest, after.pool):
        return ""
    pair = [each.nearest or "none" for each in (before, after)]
    if pair[0] == pair[1]:
        return f"demonstrations for each call: the {pair[1]}, which is another pool now"
    return f"demonstrations for each call: {pair[0]} before, {pair[1]} after"


def prompt_text(before: Prompt, after: Prompt, *, color: bool = False) -> str:
    """What changed in one predictor's prompt for a terminal; empty if nothing did.

    >>> prompt_text(Prompt(""), Prompt("", ({"q": 1},)))
    '+ {"q":1}'
    """
    lines = []
    if before.instructions != after.instructions:
        lines.append(text_diff(before.instructions, after.instructions, color=color))
    signs = (("+", after.demos, before.demos), ("-", before.demos, after.demos))
    for sign, these, those in signs:
        lines += [f"{sign} {canonical.dumps(dict(demo))}" for demo in _missing(these, those)]
    lines += filter(None, [_chosen(before, after)])
    return "\n".join(lines)
