"""Rows of tasks as a page: test scores, ranks, and what ours has over the best of DSPy's.

    python -m benchmarks.optimizers.scores rows.jsonl [more.jsonl ...] > page.md

`markdown` is a function of the rows alone. Contestants that take no program calls stand beside
those of each number of calls.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from .cells import NOTHING, amount, section, spread, table
from .summary import NAMES, Entry, Row, Runs, inflation, worse
from .tasks import TASKS

__all__ = ["UNSAVED", "best_of_dspy", "differences", "main", "markdown", "ranks", "scores"]

UNSAVED = frozenset({"knn", "knn-4", "knn-all"})  # what KNNFewShot makes cannot be saved
_VERDICTS = ("proven", "likely", "unproven", "no-headroom")


def markdown(runs: Runs) -> str:
    """The page: for each number of calls the scores and the comparison; what was told; failures."""
    tasks = [name for name in TASKS if name in runs.worlds]
    budgets = [budget for budget in runs.budgets if budget]
    parts = [
        *(part for budget in budgets for part in _at(runs, budget, tasks)),
        _told(runs, tasks),
        _verdicts(runs, tasks),
        _failed(runs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def scores(runs: Runs, entry: Entry, task: str) -> dict[int, float]:
    """Test scores by seed."""
    return {row["seed"]: row["true"] for row in runs.of(entry, task)}


def ranks(runs: Runs, entries: Sequence[Entry], tasks: Sequence[str]) -> dict[Entry, float]:
    """The mean rank by mean test score, over tasks and draws that all have; equals share one."""
    found: dict[Entry, list[float]] = {entry: [] for entry in entries}
    for task in tasks:
        every = {entry: scores(runs, entry, task) for entry in entries}
        seeds = set.intersection(*map(set, every.values())) if every else set()
        means = {one: mean(mine[seed] for seed in seeds) for one, mine in every.items() if seeds}
        for entry, value in means.items():
            above = sum(other > value for other in means.values())
            equal = sum(other == value for other in means.values())
            found[entry].append(1 + above + (equal - 1) / 2)
    return {entry: mean(places) for entry, places in found.items() if places}


def best_of_dspy(runs: Runs, entry: Entry, task: str, *, saved: bool = False) -> Entry | None:
    """DSPy's with the greatest mean test score on the seeds that `entry` has, within its calls.

    saved: among those whose programs can be saved.
    """
    mine = scores(runs, entry, task)
    known = {}
    for other in runs.entries:
        theirs = scores(runs, other, task)
        if not other.is_ours and other.budget in (0, entry.budget) and mine.keys() <= theirs.keys():
            known[other] = mean(theirs[seed] for seed in mine) if mine else 0.0
    if saved:
        known = {other: value for other, value in known.items() if other.contestant not in UNSAVED}
    return max(known, key=lambda other: known[other]) if known and mine else None


def differences(runs: Runs, entry: Entry, rival: Entry, task: str) -> dict[int, float]:
    """What `entry` scores more than `rival`, by the seeds of both."""
    mine, theirs = scores(runs, entry, task), scores(runs, rival, task)
    return {seed: mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())}


def _at(runs: Runs, budget: int, tasks: Sequence[str]) -> Iterable[str]:
    entries = [entry for entry in runs.entries if entry.budget in (0, budget)]
    yield section(
        f"Test score at {budget:,} program calls",
        "Per cent: mean ± standard error over draws of the training and validation examples. Mean "
        "rank over the tasks and draws that all have run.",
        table(
            ["optimizer", *tasks, "mean", "mean rank", "draws", "calls", "most", "k tokens", "s"],
            _scored(runs, entries, tasks),
        ),
    )
    ours = [entry for entry in entries if entry.is_ours]
    yield section(
        f"Against the best of DSPy's optimizers at {budget:,} program calls",
        "Points of test score more than the best there, paired by draw: mean ± standard error. The "
        "best is chosen for each task after the runs, which favors it.",
        table(
            ["optimizer", "against", *tasks, "mean"],
            [_compared(runs, entry, tasks, saved=saved) for entry in ours for saved in (0, 1)],
        ),
    )


def _scored(runs: Runs, entries: Sequence[Entry], tasks: Sequence[str]) -> list[list[str]]:
    places = ranks(runs, entries, tasks)
    rows = []
    for entry in sorted(entries, key=lambda one: places.get(one, 99.0)):
        every = runs.of(entry)
        by_task = [scores(runs, entry, task) for task in tasks]
        rows.append(
            [
                NAMES[entry.contestant],
                *(spread(found.values()) for found in by_task),
                spread(_means(by_task)),
                f"{places[entry]:.1f}" if entry in places else NOTHING,
                f"{max(map(len, by_task))}",
                amount(every, "calls"),
                f"{max(row['calls'] for row in every):,.0f}",
                amount(every, "tokens", 1000),
                amount(every, "seconds"),
            ]
        )
    return rows


def _compared(runs: Runs, entry: Entry, tasks: Sequence[str], *, saved: int) -> list[str]:
    cells, found = [], []
    for task in tasks:
        rival = best_of_dspy(runs, entry, task, saved=bool(saved))
        if rival is None:
            cells.append(NOTHING)
            continue
        found.append(differences(runs, entry, rival, task))
        cells.append(f"{spread(found[-1].values(), sign='+')} {NAMES[rival.contestant]}")
    against = "best that can be saved" if saved else "best"
    return [NAMES[entry.contestant], against, *cells, spread(_means(found), sign="+")]


def _means(by_task: Sequence[Mapping[int, float]]) -> list[float]:
    """Means over the tasks, by seed, where all are there."""
    if not by_task:
        return []
    seeds = set.intersection(*(set(found) for found in by_task))
    return [mean(found[seed] for found in by_task) for seed in sorted(seeds)]


def _told(runs: Runs, tasks: Sequence[str]) -> str:
    rows = []
    for entry in runs.entries:
        told = [inflation(runs.of(entry, task)) for task in tasks]
        if any(told):
            every = runs.of(entry)
            cells = [spread(found, sign="+") for found in told]
            name, lost = NAMES[entry.contestant], f"{worse(every)}/{len(every)}"
            rows.append([name, f"{entry.budget:,}", *cells, lost])
    return section(
        "The gain that is told, less the gain on test",
        "Points, mean ± standard error; for DSPy's the best score they report less the given "
        "program's on the same examples, for compilm the gain that it reports. Last: "
        "programs that end more than half a point below the given one. All draws have one test "
        "set: what luck there is in it, some 3 points, stands in every row of a column.",
        table(["optimizer", "calls", *tasks, "worse"], rows),
    )


def _verdicts(runs: Runs, tasks: Sequence[str]) -> str:
    rows = []
    for entry in (entry for entry in runs.entries if entry.is_ours):
        cells = []
        for task in tasks:
            found = [row["verdict"] for row in runs.of(entry, task)]
            counts = [f"{found.count(one)} {one}" for one in _VERDICTS if one in found]
            cells.append(", ".join(counts) or NOTHING)
        rows.append([NAMES[entry.contestant], f"{entry.budget:,}", *cells])
    return section("Verdicts", "Of compilm.", table(["optimizer", "calls", *tasks], rows))


def _failed(runs: Runs) -> str:
    told = [
        f"* {row['world']}, {NAMES[row['contestant']]}, {row['budget']:,} calls, "
        f"seed {row['seed']}: {row['error']}"
        for row in runs.failed
    ]
    return section("Runs that failed", "They are in no table.", "\n".join(told))


def _rows(path: Path) -> list[Row]:
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return [row for row in rows if row["world"] in TASKS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page of files of rows."""
    parser = argparse.ArgumentParser(prog="benchmarks.optimizers.scores")
    parser.add_argument("rows", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    sys.stdout.write(markdown(Runs([row for path in options.rows for row in _rows(path)])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
