"""Numbers out of rows: gains by seed, means, paired ratios and differences, what was claimed.

Everything is paired by seed: two contestants are compared on the seeds that both have run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final, TypeAlias

from compilm.metrics import Estimate
from compilm.randomness import rng

__all__ = [
    "FIVE",
    "NAMES",
    "Entry",
    "Runs",
    "best_dspy",
    "covered",
    "difference",
    "five_world_gain",
    "gains",
    "inflation",
    "mean_and_error",
    "ratio",
    "read",
    "rivals",
    "worse",
]

Row: TypeAlias = Mapping[str, Any]
FIVE: Final = ("rules", "demos", "credit", "harm", "null")
NAMES: Final = {
    "bootstrap-rs": "BootstrapRS",
    "mipro": "MIPROv2",
    "mipro-medium": "MIPROv2, 18",
    "simba": "SIMBA",
    "gepa": "GEPA",
    "infer-rules": "InferRules",
    "knn": "KNNFewShot",
    "knn-4": "KNNFewShot, 4",
    "knn-all": "KNNFewShot, 4, val too",
    "labeled": "LabeledFewShot",
    "zero-shot": "as given",
    "ours-1": "compilm -O1",
    "ours-2": "compilm -O2",
    "ours-3": "compilm -O3",
}
SLACK: Final = 0.005  # half a point: less is not called worse
_DRAWS = 4000


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A contestant with a number of program calls."""

    contestant: str
    budget: int

    @property
    def is_ours(self) -> bool:
        return self.contestant.startswith("ours")


class Runs:
    """Rows, by entry, world and seed; of two rows of one run the later counts."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.failed = [row for row in rows if "error" in row]
        self._rows = {
            (Entry(row["contestant"], row["budget"]), row["world"], row["seed"]): row
            for row in rows
            if "error" not in row
        }
        self.entries = sorted({entry for entry, _, _ in self._rows})
        self.worlds = sorted({world for _, world, _ in self._rows})
        self.seeds = sorted({seed for _, _, seed in self._rows})
        self.budgets = sorted({entry.budget for entry in self.entries})

    def of(self, entry: Entry, world: str | None = None) -> list[Row]:
        """Rows of an entry, in one world or in all."""
        return [
            row
            for (other, there, _), row in self._rows.items()
            if other == entry and world in {None, there}
        ]


def read(path: Path, attends: int | None = None) -> Runs:
    """The runs of a file that `run.py` wrote, in the worlds where proposers attend to so much."""
    kept = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        world, _, limit = row["world"].partition("/")
        if limit == ("" if attends is None else str(attends)):
            kept.append({**row, "world": world})
    return Runs(kept)


def gains(runs: Runs, entry: Entry, world: str) -> dict[int, float]:
    """True gain by seed."""
    return {row["seed"]: row["gain"] for row in runs.of(entry, world)}


def five_world_gain(runs: Runs, entry: Entry) -> dict[int, float]:
    """Mean true gain over the five worlds, by seed, where all are there.

    Nothing changes a score in `null`: a run that is missing there has gained 0 as well.
    """
    found = [gains(runs, entry, world) for world in FIVE if world != "null"]
    seeds = set.intersection(*(set(each) for each in found))
    return {seed: sum(each[seed] for each in found) / len(FIVE) for seed in sorted(seeds)}


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error; nan for what there are too few for.

    >>> mean_and_error([1.0, 3.0])
    (2.0, 1.0)
    """
    if not values:
        return math.nan, math.nan
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return mean(values), error


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """Mean of ours over mean of theirs on shared seeds, with a bootstrap interval over seeds.

    >>> ratio({0: 2.0, 1: 4.0}, {0: 1.0, 1: 2.0, 7: 9.0})
    Estimate(value=2.0, low=2.0, high=2.0, n=2, level=0.95)
    """
    return _paired(ours, theirs, lambda a, b: mean(a) / mean(b) if mean(b) > 0 else math.inf)


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """Mean of ours less mean of theirs on shared seeds, with a bootstrap interval over seeds.

    >>> difference({0: 2.0}, {0: 0.5}).value
    1.5
    """
    return _paired(ours, theirs, lambda a, b: mean(a) - mean(b))


def _paired(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    compare: Callable[[Sequence[float], Sequence[float]], float],
) -> Estimate | None:
    """A percentile bootstrap (Efron 1979) that draws seeds."""
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    draw = rng(0, "seeds", len(seeds))
    found = []
    for _ in range(_DRAWS):
        drawn = draw.choices(seeds, k=len(seeds))
        found.append(compare([ours[s] for s in drawn], [theirs[s] for s in drawn]))
    found.sort()
    edge = _DRAWS // 40
    value = compare([ours[s] for s in seeds], [theirs[s] for s in seeds])
    return Estimate(value, found[edge], found[-edge - 1], len(seeds))


def rivals(runs: Runs, budget: int) -> list[Entry]:
    """DSPy's optimizers with this number of calls."""
    return [e for e in runs.entries if e.budget == budget and not e.is_ours]


def best_dspy(
    runs: Runs, budget: int, measure: Callable[[Entry], Mapping[int, float]]
) -> Entry | None:
    """DSPy's optimizer with the greatest mean by `measure`; looked for among all that have run."""
    measured = {entry: measure(entry) for entry in rivals(runs, budget)}
    known = {entry: mean(by_seed.values()) for entry, by_seed in measured.items() if by_seed}
    return max(known, key=lambda entry: known[entry]) if known else None


def inflation(rows: Sequence[Row]) -> list[float]:
    """The gain that was told less the true one, run by run, where one was told."""
    told = [row for row in rows if row.get("reported_gain") is not None]
    return [row["reported_gain"] - row["gain"] for row in told]


def worse(rows: Sequence[Row]) -> int:
    """How many programs are worse than the one given, by more than half a point."""
    return sum(row["gain"] < -SLACK for row in rows)


def covered(rows: Sequence[Row]) -> tuple[int, int]:
    """In how many of the shipped runs the interval holds the true gain, and how many those are.

    What is not shipped has no true gain to hold.
    """
    shipped = [row for row in rows if row.get("shipped")]
    return sum(row["low"] <= row["gain"] <= row["high"] for row in shipped), len(shipped)
