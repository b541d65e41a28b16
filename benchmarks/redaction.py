"""Redaction on two axes: identifiers that are hidden, and clean texts that are left alone.

    python -m benchmarks.redaction DATA [--half test|dev] [--plot docs/guardrails-redaction.svg]

DATA is a folder with `asq-phi/queries.jsonl`, `presidio-synth/texts.jsonl` and, for clean texts
of another domain, `banking77/*.jsonl`. The rules were written looking at one half of the rows
alone, the *dev* half; what is printed is the other. The halves are by the first byte of the SHA-256
of a row's id, or, where a set has templates, of its template's id: no sentence pattern is in both.

A value is *hidden* where none of its words is left (words that identify nobody, as `Dr.` or `the`,
may stay); it is *touched* where some of it is gone. A clean text holds no identifier by the set's
labels; it is *flagged* where anything in it is hidden.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.redaction_plot import drawn

from compilm.guardrails.redaction.finding import Finding
from compilm.guardrails.redaction.rules import Rules

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NO_IDENTIFIERS = frozenset({"TITLE", "NRP", "AGE"})  # of presidio-synth: told, and not counted
_IDLE = frozenset(
    {"dr", "mr", "mrs", "ms", "miss", "the", "of", "in", "at", "and", "corner"}
    | {"id", "no", "patient", "case", "st", "pt"}
)
Detect = Callable[[str], Iterable[Finding]]


class Row(NamedTuple):
    """A text and what stands in it: type, start and end of each value."""

    text: str
    values: tuple[tuple[str, int, int], ...]


class Rates(NamedTuple):
    """Shares of values hidden and touched, of clean texts flagged, of words hidden for nothing."""

    hidden: float
    touched: float
    flagged: float
    words: float
    values: int
    clean: int
    by_type: dict[str, tuple[int, int]]


def half_of(key: object) -> str:
    """`dev` or `test`, for good."""
    return "dev" if hashlib.sha256(str(key).encode()).digest()[0] % 2 == 0 else "test"


def rows_of(data: Path, name: str, half: str) -> list[Row]:
    """The rows of one half of a set; values whose place is not known are left out."""
    found = []
    for file in sorted((data / name).glob("*.jsonl")):
        for line in file.read_text("utf-8").rstrip("\n").split("\n"):
            row = json.loads(line)
            if half_of(row.get("template_id", row["id"])) == half:
                places = [each for each in row.get("entities", []) if each["start"] is not None]
                values = tuple((each["type"], each["start"], each["end"]) for each in places)
                found.append(Row(row["text"], values))
    return found


def rates(rows: Sequence[Row], detect: Detect) -> Rates:
    """What a detector hides of these rows."""
    hidden, touched, types = Counter[str](), Counter[str](), Counter[str]()
    flagged = clean = over = words = 0
    for row in rows:
        found = list(detect(row.text))
        for kind, start, end in row.values:
            rest = list(_left(row.text, start, end, found))
            types[kind] += 1
            hidden[kind] += not rest
            touched[kind] += any(each.start < end and each.end > start for each in found)
        if not row.values:
            clean, flagged = clean + 1, flagged + bool(found)
        for match in re.finditer(r"\w+", row.text):
            inside = (start < match.end() and end > match.start() for _, start, end in row.values)
            if not any(inside):
                words += 1
                over += any(e.start < match.end() and e.end > match.start() for e in found)
    counted = [kind for kind in types if kind not in NO_IDENTIFIERS]
    total = sum(types[kind] for kind in counted) or 1
    return Rates(
        sum(hidden[kind] for kind in counted) / total,
        sum(touched[kind] for kind in counted) / total,
        flagged / (clean or 1),
        over / (words or 1),
        total,
        clean,
        {kind: (hidden[kind], types[kind]) for kind in sorted(types)},
    )


def _left(text: str, start: int, end: int, found: Iterable[Finding]) -> Iterator[str]:
    """The words of a value that are still there."""
    shown = list(text[start:end])
    for each in found:
        for place in range(max(start, each.start), min(end, each.end)):
            shown[place - start] = " "
    for word in re.findall(r"\w+", "".join(shown)):
        if word.casefold() not in _IDLE:
            yield word


# What anybody would write first, to see what the rules are worth.
_SIX = re.compile(
    r"[\w.+-]+@[\w-]+\.\w+|\b\d{3}-\d{2}-\d{4}\b|\(?\d{3}\)?[ -]\d{3}-\d{4}"
    r"|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\bMRN\W*#?[\w-]+"
    r"|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w*\.? \d{1,2}\w*,? \d{4}",
    re.IGNORECASE,
)
_CAPITALS = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z]\w+|\d+")


def six_patterns(text: str) -> Iterator[Finding]:
    """Six patterns: e-mail, SSN, phone, two forms of dates, MRN."""
    yield from (Finding(*match.span(), "X", 1.0) for match in _SIX.finditer(text))


def capitals(text: str) -> Iterator[Finding]:
    """Every number, and every word with a capital that begins no sentence."""
    yield from (Finding(*match.span(), "X", 1.0) for match in _CAPITALS.finditer(text))


def everything(text: str) -> Iterator[Finding]:
    """All of it."""
    yield Finding(0, len(text), "X", 1.0)


BASELINES = {"six patterns": six_patterns, "capitals and numbers": capitals, "all": everything}


def line(name: str, of: Rates) -> str:
    """A row of the table."""
    shares = " | ".join(f"{each:.3f}" for each in of[:3])
    return f"| {name} | {shares} | {of.words:.4f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", choices=("test", "dev"), default="test")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    curves: dict[str, list[tuple[float, float]]] = {}
    for name in ("asq-phi", "presidio-synth", "banking77"):
        rows = rows_of(asked.data, name, asked.half)
        found = [rates(rows, Rules(level=least)) for least in THRESHOLDS]
        print(
            f"\n{name}, {asked.half} half: {found[0].values} values, {found[0].clean} clean texts"
        )
        print("\n| detector | hidden | touched | flagged | words |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for least, each in zip(THRESHOLDS, found, strict=True):
            print(line(f"rules at {least}", each))
        for title, detect in BASELINES.items():
            print(line(title, rates(rows, detect)))
        usual: dict[str, Any] = found[THRESHOLDS.index(0.5)].by_type
        told = ", ".join(f"{kind} {a}/{b}" for kind, (a, b) in usual.items())
        print(f"\nat 0.5, by type: {told}")
        if any(row.values for row in rows):
            curves[name] = [(each.flagged, each.hidden) for each in found]
    if asked.plot:
        asked.plot.write_text(drawn(curves), "utf-8")


if __name__ == "__main__":
    main()
