"""Rows as a page: what was gained, against whom, what was told about it and what was true.

    python -m benchmarks.optimizers.table rows.jsonl [--attends 8] [--svg curve.svg] > page.md

`markdown` and `curve.curve` are functions of the rows alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from compilm.metrics import Estimate

from .cells import NOTHING, amount, average, section, spread, table
from .curve import curve
from .summary import (
    FIVE,
    NAMES,
    Entry,
    Runs,
    best_dspy,
    covered,
    difference,
    five_world_gain,
    gains,
    inflation,
    ratio,
    read,
    worse,
)

__all__ = ["main", "markdown"]

_VERDICTS = ("proven", "likely", "unproven", "no-headroom")


def markdown(runs: Runs) -> str:
    """The page: tables of true gains, comparisons, inflation, losses and verdicts."""
    parts = [
        *(_gained(runs, budget) for budget in runs.budgets),
        _compared(runs),
        _blind_spots(runs),
        _told(runs),
        _lost(runs),
        _verdicts(runs),
        _failed(runs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _gained(runs: Runs, budget: int) -> str:
    entries = [entry for entry in runs.entries if entry.budget == budget]
    by_mean = sorted(entries, key=lambda e: -average(five_world_gain(runs, e).values()))
    rows = [
        [
            NAMES[entry.contestant],
            *(spread(gains(runs, entry, world).values()) for world in FIVE),
            spread(five_world_gain(runs, entry).values()),
            spread(gains(runs, entry, "trap").values()),
            amount(runs.of(entry), "calls"),
            f"{max(row['calls'] for row in runs.of(entry)):,.0f}",
            amount(runs.of(entry), "proposer_calls"),
            amount(runs.of(entry), "tokens", 1000),
        ]
        for entry in by_mean
    ]
    counted = ["calls", "most calls", "proposer calls", "k tokens"]
    return section(
        f"True gain at {budget:,} program calls",
        "Points of the expected score on 2,000 unseen cases: mean ± standard error over seeds.",
        table(["optimizer", *FIVE, "mean of five", "trap", *counted], rows),
    )


def _compared(runs: Runs) -> str:
    measure = partial(five_world_gain, runs)
    rows = []
    for entry in _ours(runs):
        for budget in [budget for budget in runs.budgets if budget >= entry.budget]:
            rival = best_dspy(runs, budget, measure)
            if rival is not None:
                rows.append(_against(entry, rival, measure))
    return section(
        "Against the best of DSPy's optimizers",
        "By the mean true gain over the five worlds, paired by seed, with 95 % bootstrap intervals "
        "over seeds. The best is chosen after the runs, which favors it.",
        table(["optimizer", "calls", "best of DSPy's", "calls", "ratio", "points", "seeds"], rows),
    )


def _against(
    entry: Entry, rival: Entry, measure: Callable[[Entry], Mapping[int, float]]
) -> list[str]:
    mine, theirs = measure(entry), measure(rival)
    points = difference(mine, theirs)
    return [
        NAMES[entry.contestant],
        f"{entry.budget:,}",
        NAMES[rival.contestant],
        f"{rival.budget:,}",
        _interval(ratio(mine, theirs), "{:.2f}"),
        _interval(points, "{:+.1f}", 100),
        NOTHING if points is None else str(points.n),
    ]


def _blind_spots(runs: Runs) -> str:
    rows = []
    for entry in _ours(runs):
        cells = []
        for world in FIVE[:-1]:
            measure = partial(_gains_in, runs, world)
            rival = best_dspy(runs, entry.budget, measure)
            if rival is None:
                cells.append(NOTHING)
                continue
            points = difference(measure(entry), measure(rival))
            cells.append(f"{_interval(points, '{:+.1f}', 100)} {NAMES[rival.contestant]}")
        rows.append([NAMES[entry.contestant], f"{entry.budget:,}", *cells])
    return section(
        "World by world, against the best there",
        "Points of true gain more than the best of DSPy's optimizers has in that world; its name.",
        table(["optimizer", "calls", *FIVE[:-1]], rows),
    )


def _gains_in(runs: Runs, world: str, entry: Entry) -> dict[int, float]:
    return gains(runs, entry, world)


def _told(runs: Runs) -> str:
    rows = []
    for entry in runs.entries:
        every = inflation(runs.of(entry))
        cells = [spread(inflation(runs.of(entry, world)), sign="+") for world in FIVE]
        most = f"{100 * max(every):+.1f}" if every else NOTHING
        rows.append([NAMES[entry.contestant], f"{entry.budget:,}", *cells, most])
    return section(
        "The gain that is told, less the true gain",
        "Points, mean ± standard error. For DSPy's optimizers the told gain is the best score they "
        "report less the given program's score on the same examples; for compilm the gain "
        "that it reports, 0 if it ships the given program.",
        table(["optimizer", "calls", *FIVE, "largest"], rows),
    )


def _lost(runs: Runs) -> str:
    worlds = [world for world in (*FIVE, "trap") if world in runs.worlds]
    rows = []
    for entry in runs.entries:
        found = [runs.of(entry, world) for world in worlds]
        cells = [f"{worse(each)}/{len(each)}" if each else NOTHING for each in found]
        all_of = runs.of(entry)
        rows.append(
            [NAMES[entry.contestant], f"{entry.budget:,}", *cells, f"{worse(all_of)}/{len(all_of)}"]
        )
    return section(
        "Programs worse than the one given",
        "Runs that end more than half a point of true score below where they began.",
        table(["optimizer", "calls", *worlds, "all"], rows),
    )


def _verdicts(runs: Runs) -> str:
    rows = []
    for entry in _ours(runs):
        for world in (*FIVE, "trap"):
            found = runs.of(entry, world)
            if found:
                counts = [sum(row["verdict"] == verdict for row in found) for verdict in _VERDICTS]
                inside, shipped = covered(found)
                rows.append(
                    [
                        NAMES[entry.contestant],
                        f"{entry.budget:,}",
                        world,
                        *(f"{count}/{len(found)}" for count in counts),
                        f"{inside}/{shipped}" if shipped else NOTHING,
                    ]
                )
    return section(
        "What compilm says",
        "Verdicts, and in how many of the shipped runs the 95 % interval holds the true gain. In "
        "`null` nothing can be better, in `trap` hardly anything: there `proven` and `likely` are "
        "false.",
        table(["optimizer", "calls", "world", *_VERDICTS, "interval holds"], rows),
    )


def _failed(runs: Runs) -> str:
    if not runs.failed:
        return ""
    told = [
        f"* {row['world']}, {NAMES[row['contestant']]}, {row['budget']:,} calls, "
        f"seed {row['seed']}: {row['error']}"
        for row in runs.failed
    ]
    return section("Runs that failed", "They are in no table.", "\n".join(told))


def _ours(runs: Runs) -> list[Entry]:
    return [entry for entry in runs.entries if entry.is_ours]


def _interval(estimate: Estimate | None, form: str, unit: float = 1) -> str:
    if estimate is None:
        return NOTHING
    value, low, high = (
        form.format(unit * each) for each in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page of a file of rows, and write its chart."""
    parser = argparse.ArgumentParser(prog="benchmarks.optimizers.table")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--attends", type=int, help="8 for the worlds rules/8, demos/8, …")
    options = parser.parse_args(arguments)
    runs = read(options.rows, options.attends)
    sys.stdout.write(markdown(runs))
    if options.svg is not None:
        options.svg.write_text(curve(runs), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
