"""Decisions as records: what was held against what, how it ended, and how things stand then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..metrics.stats import Estimate
from .candidate import Candidate
from .evidence import Evidence
from .meter import Meter
from .race import Comparison
from .records import Writer

__all__ = ["Decisions", "estimate_json"]


class Decisions:
    """Writes a `decision` record for each comparison."""

    def __init__(self, writer: Writer, evidence: Evidence, meter: Meter) -> None:
        self._writer, self._evidence, self._meter = writer, evidence, meter

    def measured(self, candidate: Candidate, phase: str) -> None:
        """A candidate was run on examples for its own sake."""
        n = len(self._evidence.rollouts(candidate))
        self._write(Comparison(candidate, candidate, outcome="measured"), phase, n, candidate)

    def compared(self, found: Sequence[Comparison], phase: str, best: Candidate) -> None:
        """Candidates were held against an incumbent; `best` is the one from now on."""
        for comparison in found:
            self._write(comparison, phase, comparison.n, best)

    def _write(self, comparison: Comparison, phase: str, n: int, best: Candidate) -> None:
        self._writer.append(
            "decision",
            {
                "candidate": comparison.candidate.id,
                "incumbent": comparison.incumbent.id,
                "phase": phase,
                "outcome": comparison.outcome,
                "n": n,
                "wins": comparison.wins,
                "losses": comparison.losses,
                "difference": comparison.difference,
                "p_better": comparison.p_better,
                "score": estimate_json(self._evidence.estimate(comparison.candidate)),
                "best": best.id,
                "best_score": estimate_json(self._evidence.estimate(best)),
                "spent": self._meter.spent().to_json(),
            },
        )


def estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate as it stands in records and artifacts.

    >>> estimate_json(Estimate(0.5, 0.4, 0.6, 9))
    {'value': 0.5, 'low': 0.4, 'high': 0.6, 'n': 9}
    """
    if estimate is None:
        return None
    return {name: getattr(estimate, name) for name in ("value", "low", "high", "n")}
