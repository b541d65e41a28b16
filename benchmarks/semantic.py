"""The semantic cache on real pairs of questions: how often it is right, and how often it is wrong.

    python benchmarks/semantic.py DATA [--embedder package.module:attribute] [--thresholds 0.8,0.95]

DATA is a folder with a folder for each set, and in it a `pairs.jsonl` of rows `a`, `b`, `same`
and `kind`. Of each pair, `a` was answered and `b` is asked. Printed is, for each set and threshold,
the share of pairs that mean the same and are answered (true hits), and of those that do not and
are answered all the same (false hits): by closeness alone, with the guards but for `words`, and
with all of them; then what the guards refuse by kind.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from compilm.programs.embedding import Embedder
from compilm.retrieval.rows import unit_rows
from compilm.runtime.near.embedding import BUILT_IN, embedder_of
from compilm.runtime.near.guards import refusing
from compilm.runtime.near.reading import read

SETS = ("edited-queries", "cache-pairs-sql", "lookalike-nli", "negation-pairs")
GUARDS = ("none", "all but words", "all")


class Judged(NamedTuple):
    """A pair: does it mean the same, of what kind, how near, and by which guards it is let go."""

    same: bool
    kind: str
    similarity: float
    passes: tuple[bool, bool, bool]


class Rates(NamedTuple):
    """Of the pairs that mean the same, and of those that do not, the share that is answered."""

    true: float
    false: float


def judged(rows: Sequence[dict[str, object]], embedder: Embedder) -> list[Judged]:
    """Each pair with its closeness and what the guards say of it."""
    found = []
    for row in rows:
        a, b = str(row["a"]), str(row["b"])
        one, other = unit_rows(embedder.embed([a, b]), 2)
        readings = read(a), read(b)
        passes = (
            True,
            refusing(*readings, same_words=False) is None,
            refusing(*readings) is None,
        )
        found.append(Judged(bool(row["same"]), str(row["kind"]), float(one @ other), passes))
    return found


def rates(pairs: Iterable[Judged], threshold: float, guards: int) -> Rates:
    """What is answered at a threshold, with `GUARDS[guards]`."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for pair in pairs:
        # A cosine of one is a little less than one in single precision.
        is_near = pair.similarity >= threshold - 1e-6
        hits[pair.same].append(is_near and pair.passes[guards])
    return Rates(*(sum(each) / len(each) if each else float("nan") for each in hits.values()))


def table(name: str, pairs: list[Judged], thresholds: Sequence[float]) -> str:
    """The rates of one set as lines of a table."""
    same = sum(pair.same for pair in pairs)
    lines = [f"\n{name}: {same} pairs mean the same, {len(pairs) - same} do not"]
    lines.append("threshold  " + "  ".join(f"{guards:>18}" for guards in GUARDS))
    for threshold in thresholds:
        found = [rates(pairs, threshold, place) for place in range(len(GUARDS))]
        cells = [f"{_share(each.true)} {_share(each.false)} " for each in found]
        lines.append(f"{threshold:9.2f}  " + "  ".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def _share(rate: float) -> str:
    return f"{rate:8.1%}" if rate == rate else f"{'–':>8}"


def kinds(pairs: list[Judged], threshold: float) -> str:
    """How many pairs of each kind are answered at a threshold, with each choice of guards."""
    by_kind: defaultdict[tuple[bool, str], list[Judged]] = defaultdict(list)
    for pair in pairs:
        by_kind[pair.same, pair.kind].append(pair)
    lines = []
    for (same, kind), each in sorted(by_kind.items(), reverse=True):
        near = [pair for pair in each if pair.similarity >= threshold - 1e-6]
        told = [sum(pair.passes[place] for pair in near) for place in range(len(GUARDS))]
        mark = "same " if same else "other"
        lines.append(f"  {mark} {kind:24} {len(each):4}: {told[0]:4} {told[1]:4} {told[2]:4}")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--embedder", default=BUILT_IN)
    parser.add_argument("--thresholds", default="0.7,0.8,0.9,0.95,0.98,1.0")
    asked = parser.parse_args()
    embedder = embedder_of(asked.embedder)
    thresholds = [float(each) for each in asked.thresholds.split(",")]
    print(f"by {embedder.name}; true hits and false hits, by guards")
    for name in SETS:
        lines = (asked.data / name / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
        pairs = judged([json.loads(line) for line in lines], embedder)
        print(table(name, pairs, thresholds))
        print(kinds(pairs, 0.9))


if __name__ == "__main__":
    main()
