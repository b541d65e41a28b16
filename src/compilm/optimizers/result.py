"""What a compile gives back."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy

from ..artifact import Artifact, write
from ..journal import Journal
from ..metrics.stats import Estimate
from .budget import Spent
from .front import Point

__all__ = ["CompileResult"]

_SAID = {
    "proven": "better: the 95 % interval of the held-out gain lies above 0",
    "likely": "probably better: the held-out examples give a gain a chance of 90 % or more",
    "unproven": "not shown to be better: the given program is kept",
    "no-headroom": "nothing to gain: the given program is kept",
}
_CUT = "it ended before held-out examples were compared: the given program is kept"


@dataclass(frozen=True, slots=True)
class CompileResult:
    """The outcome of a compile: the verdict, the proof, the program and what it cost.

    verdict: `proven`, `likely`, `unproven` or `no-headroom`. gain: the gain over the given program
    with its 95 % interval, on held-out examples (n counts them), drawn to 0 by the chance, by all
    that was seen, that there is none. held_out: the plain paired difference on them, `None` where
    nothing was confirmed. baseline, compiled: scores by split, `None` where a split was not
    measured. program: the compiled `dspy.Module`, the given one where the verdict says so. spent:
    everything that was sent, failed calls included; calls lost with a killed process are told in
    `notes`. stop: why it ended. front: candidates that no other beats in both score and cost, the
    cheapest first.
    """

    verdict: str
    gain: Estimate
    baseline: Mapping[str, Estimate | None]
    compiled: Mapping[str, Estimate | None]
    program: dspy.Module = field(repr=False, compare=False)
    spent: Spent
    artifact: Artifact
    run: str
    stop: str
    candidate: str
    notes: tuple[str, ...] = ()
    held_out: Estimate | None = None
    front: tuple[Point, ...] = ()
    journal: Journal | None = field(default=None, repr=False, compare=False)
    render: Callable[[CompileResult, str], str] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def finished(self) -> bool:
        """False after an interrupt or a refusal by the provider: the same call goes on."""
        return not any(self.stop.startswith(word) for word in ("interrupted", "rejected"))

    @property
    def headline(self) -> str:
        """The verdict and what it means, in a line."""
        cut = self.verdict == "unproven" and self.baseline.get("test") is None
        return f"{self.verdict}: {_CUT if cut else _SAID[self.verdict]}"

    @property
    def gain_text(self) -> str:
        """The gain with its interval; in words where the given program is kept and there is none.

        A zero with an interval of zero would read as a measurement, and is none.
        """
        if self.verdict in ("proven", "likely"):
            return f"{self.gain:+.3f}"
        if self.held_out is not None:
            return f"none shipped; the best candidate's on test {self.held_out:+.3f}"
        return "not measured" if self.baseline.get("test") is None else "none found"

    def save(self, path: str | Path) -> Path:
        """Write `artifact.json` and `report.html` into the directory `path`; the directory.

        A `path` that ends in .json is the artifact's own file, with the report beside it.
        """
        file = write(self.artifact, path)
        if self.render is not None:
            page = self.render(self, "page")
            file.with_name("report.html").write_text(page, encoding="utf-8")
        return Path(path)

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON, under the names of its attributes."""
        return {
            "verdict": self.verdict,
            "gain": _json(self.gain),
            "baseline": {split: _json(found) for split, found in self.baseline.items()},
            "compiled": {split: _json(found) for split, found in self.compiled.items()},
            "spent": self.spent.to_json(),
            "run": self.run,
            "stop": self.stop,
            "candidate": self.candidate,
            "held_out": _json(self.held_out),
            "front": [point.to_json() for point in self.front],
            "digest": self.artifact.digest,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [self.headline]
        for split in ("val", "test"):
            before, after = self.baseline.get(split), self.compiled.get(split)
            if before is not None and after is not None:
                lines.append(f"  {split:5s} baseline {before:.3f}  compiled {after:.3f}")
        lines.append(f"  gain  {self.gain_text}")
        lines.append(
            f"  spent {self.spent.rollouts} rollouts, {self.spent.calls} calls, "
            f"{self.spent.tokens} tokens, {_money(self.spent.usd)}, {self.spent.seconds:.1f} s"
        )
        lines.append(f"  stop  {self.stop}")
        return "\n".join([*lines, *(f"  note  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        if self.render is not None:
            return self.render(self, "summary")
        return f"<pre>{html.escape(str(self))}</pre>"


def _json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _money(usd: float | None) -> str:
    return "price unknown" if usd is None else f"${usd:.4f}"
