"""Rows of a run as figures: medians over the rounds, and ratios within the same round."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["Figures"]

Row = dict[str, Any]


class Figures:
    """What the rows of a run say; a figure that was not measured is `None`.

    >>> rows = [{"part": "load", "peer": p, "round": r, "cpu_us": (r + 1) * c}
    ...         for p, c in (("a", 10.0), ("b", 40.0)) for r in range(3)]
    >>> found = Figures(rows)
    >>> found.median("cpu_us", part="load", peer="a"), found.ratio("cpu_us", "a", "b", part="load")
    (20.0, 0.25)
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)

    @classmethod
    def read(cls, path: Path) -> Figures:
        """Those of a file of JSON lines."""
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls(json.loads(line) for line in lines)

    def where(self, **columns: Any) -> list[Row]:
        """The rows with these values."""
        return [row for row in self.rows if all(row.get(k) == v for k, v in columns.items())]

    def one(self, **columns: Any) -> Row | None:
        """The last of them."""
        found = self.where(**columns)
        return found[-1] if found else None

    def median(self, name: str, **columns: Any) -> float | None:
        """Of a column over the rounds."""
        found = [row[name] for row in self.where(**columns) if name in row]
        return median(found) if found else None

    def total(self, name: str, **columns: Any) -> float:
        """Of a column over all rounds."""
        return sum(row.get(name, 0) for row in self.where(**columns))

    def ratio(self, name: str, peer: str, other: str, **columns: Any) -> float | None:
        """The median of the ratios of two peers, each within one round."""
        others = {
            row["round"]: row[name] for row in self.where(peer=other, **columns) if name in row
        }
        found = [
            row[name] / others[row["round"]]
            for row in self.where(peer=peer, **columns)
            if name in row and others.get(row["round"])
        ]
        return median(found) if found else None

    def about(self, part: str) -> Row | None:
        """How a part was run."""
        return self.one(part="about", of=part)
