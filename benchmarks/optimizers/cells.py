"""Cells and tables of a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .summary import Row, mean_and_error

__all__ = ["NOTHING", "amount", "average", "section", "spread", "table"]

NOTHING: Final = "–"


def average(values: Iterable[float]) -> float:
    """The mean; less than any number of none.

    >>> average([]) < average([1.0, 2.0])
    True
    """
    found = list(values)
    return mean_and_error(found)[0] if found else float("-inf")


def spread(values: Iterable[float], sign: str = "") -> str:
    """Mean ± standard error in points, of shares.

    >>> spread([0.1, 0.3]), spread([0.25], sign="+"), spread([])
    ('20.0 ± 10.0', '+25.0', '–')
    """
    found = list(values)
    if not found:
        return NOTHING
    center, error = mean_and_error(found)
    shown = f"{100 * center:{sign}.1f}".replace("-0.0", "0.0")
    return shown if error != error else f"{shown} ± {100 * error:.1f}"


def amount(rows: Sequence[Row], name: str, unit: int = 1) -> str:
    """The mean of a number of the rows.

    >>> amount([{"tokens": 3000}, {"tokens": 5000}], "tokens", 1000)
    '4'
    """
    return f"{average(row[name] / unit for row in rows):,.0f}"


def section(title: str, told: str, body: str) -> str:
    """A heading, what there is to know, and the body; nothing without a body.

    >>> section("Gains", "In points.", "")
    ''
    """
    return f"## {title}\n\n{told}\n\n{body}" if body else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without its title where it has no rows.

    >>> print(table(["a"], [["1"]]))
    | a |
    | --- |
    | 1 |
    """
    if not rows:
        return ""
    lines: Iterator[Sequence[str]] = iter([head, ["---"] * len(head), *rows])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
