"""A text that matches a regular expression, for the plain expressions that schemas hold."""

from __future__ import annotations

import re

__all__ = ["matching"]

_QUANTIFIER = re.compile(r"[*+?]|\{(\d+)(?:,\d*)?\}|\{,\d+\}")
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t"}
_EDGES = "bBAZz"


def matching(pattern: str) -> str | None:
    """A short text in which `pattern` is found; None where it is not one of the plain ones.

    Literals, classes, groups, alternatives and counts are understood, look-around and
    back-references are not.

    >>> matching(r"^[A-Z]{2}-\\d+(?:x|y)?$")
    'AA-0'
    """
    try:
        text, _ = _alternatives(pattern, 0)
        return text if re.search(pattern, text) else None
    except (IndexError, re.error):
        return None


def _alternatives(pattern: str, at: int) -> tuple[str, int]:
    """The text of the first alternative, and where the group (or the pattern) ends."""
    first, at = _sequence(pattern, at)
    while at < len(pattern) and pattern[at] == "|":
        _, at = _sequence(pattern, at + 1)
    return first, at


def _sequence(pattern: str, at: int) -> tuple[str, int]:
    text = ""
    while at < len(pattern) and pattern[at] not in "|)":
        piece, at = _piece(pattern, at)
        times = _QUANTIFIER.match(pattern, at)
        if times:
            at = times.end() + (pattern[times.end() : times.end() + 1] == "?")
            piece *= int(times[1]) if times[1] else int(times[0] == "+")
        text += piece
    return text, at


def _piece(pattern: str, at: int) -> tuple[str, int]:
    match pattern[at]:
        case "^" | "$":
            return "", at + 1
        case ".":
            return "a", at + 1
        case "\\":
            sign = pattern[at + 1]
            return "" if sign in _EDGES else _CLASSES.get(sign, sign), at + 2
        case "[":
            return _class(pattern, at)
        case "(":
            opened = re.compile(r"\((?:\?:|\?P?<\w+>)?").match(pattern, at)
            text, end = _alternatives(pattern, opened.end() if opened else at + 1)
            return text, end + 1
        case sign:
            return sign, at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A letter of the class that opens at `at`, tried out against the class itself."""
    end = at + 1 + (pattern[at + 1] == "^")
    end += pattern[end] == "]"
    while pattern[end] != "]":
        end += 1 + (pattern[end] == "\\")
    one = re.compile(pattern[at : end + 1])
    letters = (chr(code) for code in (65, 97, 48, 95, 45, *range(32, 127)))
    return next((letter for letter in letters if one.fullmatch(letter)), ""), end + 1
