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

from compilm.guardrails.redaction.finding import Finding
from compilm.guardrails.redaction.rules import Rules

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NO_IDENTIFIERS = frozenset({"TITLE", "NRP", "AGE"})  # of presidio-synth: told, and not counted
_IDLE = frozenset("dr mr mrs ms miss the of in at and id no patient case st pt corner".split())
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
            if not any(start < match.end() and end > match.start() for _, start, end in row.values):
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


def plot(curves: dict[str, list[Rates]], path: Path) -> None:
    """Recall over clean texts flagged, a line for each set, as SVG."""
    from compilm.views.axis import Axis

    x, y = Axis(0.0, 1.0, 60, 460), Axis(0.4, 1.0, 260, 20)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 310" font-family="sans-serif"'
             ' font-size="12"><rect width="560" height="310" fill="#fff"/>']  # fmt: skip
    for at, label in x.ticks():
        parts.append(f'<path d="M{at:.0f} 20V260" stroke="#eee"/><text x="{at:.0f}" y="276" '
                     f'text-anchor="middle">{label}</text>')  # fmt: skip
    for at, label in y.ticks():
        parts.append(f'<path d="M60 {at:.0f}H460" stroke="#eee"/><text x="52" y="{at + 4:.0f}" '
                     f'text-anchor="end">{label}</text>')  # fmt: skip
    left, top = x.at(0.1), y.at(0.9)
    parts.append(f'<rect x="60" y="20" width="{left - 60:.0f}" height="{top - 20:.0f}" fill="#e6f4ea"/>')
    for (name, found), color in zip(curves.items(), ("#1a5fb4", "#c64600"), strict=False):
        points = [(x.at(each.flagged), y.at(each.hidden)) for each in found]
        path_of = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
        parts.append(f'<path d="{path_of}" fill="none" stroke="{color}" stroke-width="2"/>')
        for (px, py), least in zip(points, THRESHOLDS, strict=True):
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{color}"><title>{name} at '
                         f"{least}</title></circle>")  # fmt: skip
        row = 200 + 18 * list(curves).index(name)
        parts.append(f'<text x="330" y="{row}" fill="{color}">{name}</text>')
    parts.append('<text x="260" y="300" text-anchor="middle">share of clean texts flagged</text>'
                 '<text x="16" y="140" transform="rotate(-90 16 140)" text-anchor="middle">'
                 "share of values hidden</text></svg>")  # fmt: skip
    path.write_text("\n".join(parts) + "\n", "utf-8")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", choices=("test", "dev"), default="test")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    curves: dict[str, list[Rates]] = {}
    for name in ("asq-phi", "presidio-synth", "banking77"):
        rows = rows_of(asked.data, name, asked.half)
        found = [rates(rows, Rules(level=least)) for least in THRESHOLDS]
        print(f"\n{name}, {asked.half} half: {found[0].values} values, {found[0].clean} clean texts")
        print("\n| detector | hidden | touched | flagged | words |\n| --- | ---: | ---: | ---: | ---: |")
        for least, each in zip(THRESHOLDS, found, strict=True):
            print(line(f"rules at {least}", each))
        for title, detect in BASELINES.items():
            print(line(title, rates(rows, detect)))
        usual: dict[str, Any] = found[THRESHOLDS.index(0.5)].by_type
        print("\nat 0.5, by type:", ", ".join(f"{kind} {a}/{b}" for kind, (a, b) in usual.items()))
        if any(row.values for row in rows):
            curves[name] = found
    if asked.plot:
        plot(curves, asked.plot)


if __name__ == "__main__":
    main()
