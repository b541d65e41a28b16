"""Escalation on recorded outcomes: what is kept of the dear step's accuracy, and what it costs.

    python -m benchmarks.cascades.run DATA [--splits 10] [--chart docs/confidence.svg]

DATA is a folder with the sets `confidence-outcomes`, `gsm8k`, `bbh` and `llmrouter-outcomes`. No
model is asked: steps answer what was recorded. Each split fits on one half of the rows and tests on
the other. Printed are means over the splits, with the least and the greatest in brackets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from compilm.confidence import Confidence, Outcome, Stated

from .picture import draw
from .rules import Point, at_cost, curves, halves, recovered
from .sets import Checked, Ladder, bbh, confidences, gsm8k, llmrouter

__all__ = ["calibrated", "main", "measured"]

_TARGETS = {"ag_news": 0.9, "rotten_tomatoes": 0.95}


def measured(ladder: Ladder, splits: int) -> tuple[str, dict[str, list[Point]]]:
    """The table of one ladder, and the mean curves over the splits."""
    every = [curves(ladder, split) for split in range(splits)]
    lines = [
        f"\n{ladder.name}: {len(ladder.rows)} questions; {' -> '.join(ladder.steps)}",
        f"cost in {ladder.unit}, as a share of always asking the last step",
        f"{'rule':18} {'kept of the gain':>24} {'at 25 %':>8} {'at 50 %':>8} {'at 75 %':>8}",
    ]
    for name in every[0]:
        kept = [recovered(each[name], *_ends(each)) for each in every]
        at = [fmean(at_cost(each[name], cost) for each in every) for cost in (0.25, 0.5, 0.75)]
        shown = f"{fmean(kept):.2f} [{min(kept):.2f}, {max(kept):.2f}]"
        lines.append(f"{name:18} {shown:>24} " + " ".join(f"{each:8.1%}" for each in at))
    cheap, dear = ([fmean(each[n].score for each in map(_ends, every))] for n in (0, 1))
    cost = fmean(_ends(each)[0].cost for each in every)
    lines.append(
        f"always cheap {cheap[0]:.1%} at {cost:.1%} of the cost; always dear {dear[0]:.1%}"
    )
    return "\n".join(lines), {name: _mean([each[name] for each in every]) for name in every[0]}


def _ends(found: dict[str, list[Point]]) -> tuple[Point, Point]:
    """Always the cheapest step, and always the dearest."""
    return found["random"][0], found["random"][-1]


def _mean(every: Sequence[Sequence[Point]]) -> list[Point]:
    return [Point(*map(fmean, zip(*points))) for points in zip(*every)]


def calibrated(name: str, rows: Sequence[Checked], splits: int) -> list[str]:
    """Lines of the calibration table: raw, Platt, isotonic; then the threshold that was chosen."""
    target = _TARGETS[name.partition(",")[0]]
    errors: dict[str, list[float]] = {"raw": [], "platt": [], "isotonic": []}
    shares, met, gates = [], [], []
    for split in range(splits):
        fit, test = ([Outcome(r.signal, r.right) for r in part] for part in halves(rows, split))
        errors["raw"].append(Confidence(Stated("s"), at_least=0.5).quality(test)["error"])
        for curve in ("platt", "isotonic"):
            sure = Confidence.fitted(Stated("s"), fit, accuracy=target, curve=curve)  # type: ignore[arg-type]
            errors[curve].append(sure.quality(test)["error"])
        least = sure.at_least.signal  # type: ignore[union-attr]
        kept = [o.right for o in test if least is not None and (o.signal or -1) >= least]
        shares.append(len(kept) / len(test))
        met += [fmean(kept)] if kept else []
        gates.append(fmean(o.right for o in test if (o.signal or -1) >= 0.9))
    all_right = fmean(row.right for row in rows)
    known = Confidence(Stated("s"), at_least=0.5).quality(
        [Outcome(row.signal, row.right) for row in rows]
    )
    below = sum(each < target for each in met)
    told = f"{fmean(met):.1%}, below in {below} of {splits}" if met else "nothing is accepted"
    cells = [f"{all_right:.1%}", f"{known['ranking']:.2f}"]
    cells += [f"{fmean(each):.3f}" for each in errors.values()]
    cells += [f"{fmean(gates):.1%}", f"{target:.0%}", f"{fmean(shares):.0%}", told]
    return [f"{name:28} " + "  ".join(cells)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; draw the chart where one is wanted."""
    parser = argparse.ArgumentParser(prog="benchmarks.cascades.run", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--chart", type=Path)
    asked = parser.parse_args(arguments)
    print("answers: accuracy  ranking  error raw, platt, isotonic  accuracy of raw >= 0.9")
    print("         target  accepted  accuracy of the accepted, and in how many splits it is below")
    for name, rows in confidences(asked.data).items():
        print(*calibrated(name, rows, asked.splits), sep="\n")
    drawn = {}
    for make in (gsm8k, bbh, llmrouter):
        ladder = make(asked.data)
        table, drawn[ladder.name] = measured(ladder, asked.splits)
        print(table, flush=True)
    if asked.chart is not None:
        asked.chart.write_text(draw(drawn), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
