"""What a docstring says of each argument: Google, NumPy and Sphinx style."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

__all__ = ["Told", "told_by"]

_SECTION = re.compile(
    r"(args|arguments|parameters|params|other parameters|returns?|yields?|raises|examples?|notes?"
    r"|see also|warnings?|references|attributes):?",
    re.I,
)
_ARGUMENTS = ("args", "arguments", "parameters", "params", "other parameters")
_GOOGLE = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY = re.compile(r"(\w+(?:\s*,\s*\w+)*)\s*(?::\s*.*)?")
_SPHINX = re.compile(r":param(?:eter)?\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)")


class Told(NamedTuple):
    """What a tool does, and what each of its arguments is."""

    summary: str
    arguments: dict[str, str]


def told_by(docstring: str | None) -> Told:
    """The text before the first section, and the arguments by name.

    >>> told_by('''Add.
    ...
    ...     Args:
    ...         a: the first
    ...             of two.
    ... ''')
    Told(summary='Add.', arguments={'a': 'the first of two.'})
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    summary: list[str] = []
    sections: dict[str, list[str]] = {}
    into = summary
    for place, line in enumerate(lines):
        if _heads(lines, place):
            into = sections.setdefault(line.strip().rstrip(":").lower(), [])
        elif not re.fullmatch(r"-{3,}", line.strip()):
            into.append(line)
    found, kept = _sphinx(summary)
    for name in _ARGUMENTS:
        found |= _section(sections.get(name, []))
    return Told("\n".join(kept).strip(), found)


def _heads(lines: list[str], place: int) -> bool:
    """Whether a section begins here: `Args:`, or a word that is underlined."""
    line = lines[place]
    if line != line.lstrip() or not _SECTION.fullmatch(line.strip()):
        return False
    below = lines[place + 1].strip() if place + 1 < len(lines) else ""
    return line.endswith(":") or bool(re.fullmatch(r"-{3,}", below))


def _section(lines: list[str]) -> dict[str, str]:
    """Entries begin at the least indent; what is further in goes on with them."""
    filled = [line for line in lines if line.strip()]
    least = min((_indent(line) for line in filled), default=0)
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in filled:
        if _indent(line) > least:
            for name in names:
                found[name].append(line.strip())
            continue
        google = _GOOGLE.fullmatch(line.strip()) if least else None
        numpy = None if least else _NUMPY.fullmatch(line.strip())
        if google:
            names = [google[1].lstrip("*")]
        else:
            names = re.split(r"\s*,\s*", numpy[1]) if numpy else []
        for name in names:
            found[name] = [google[2]] if google else []
    return {name: " ".join(filter(None, texts)) for name, texts in found.items()}


def _sphinx(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    kept: list[str] = []
    name = ""
    for line in lines:
        if match := _SPHINX.fullmatch(line.strip()):
            name = match[1]
            found[name] = match[2]
        elif re.match(r"\s*:(returns?|rtype|raises?|type)\b", line):
            name = "-"
        elif name and line.strip() and line != line.lstrip():
            found[name] = f"{found.get(name, '')} {line.strip()}".strip()
        else:
            name = ""
            kept.append(line)
    found.pop("-", None)
    return found, kept


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
