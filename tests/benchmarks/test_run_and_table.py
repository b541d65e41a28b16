"""The harness goes on where it stopped; the page and the chart are functions of the rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.optimizers.curve import curve
from benchmarks.optimizers.run import main
from benchmarks.optimizers.summary import (
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
from benchmarks.optimizers.table import markdown

from compilm.errors import UsageError

ASKED = ["--worlds", "null", "--seeds", "0-1", "--contestants", "gepa@30", "--processes", "0"]


def row(contestant: str, world: str, seed: int, gain: float, **more: Any) -> dict[str, Any]:
    counted = dict.fromkeys(["proposer_calls", "tokens"], 1000)
    made = {"contestant": contestant, "world": world, "seed": seed, "budget": 1000, "gain": gain}
    return {**made, "calls": 990.0, **counted, "reported_gain": gain + 0.05, **more}


def some_runs() -> Runs:
    """Ours gains 0.2 in each world but `null`, GEPA 0.1, by seed a little more."""
    rows = []
    for seed in range(4):
        for world in ("rules", "demos", "credit", "harm"):
            said = {"verdict": "proven", "shipped": True, "low": 0.15, "high": 0.215}
            rows.append(row("ours-2", world, seed, 0.2 + 0.01 * seed, **said))
            rows.append(row("gepa", world, seed, 0.1 + 0.01 * seed))
            rows.append(row("simba", world, seed, -0.01))
    return Runs(rows)


def test_a_second_command_runs_what_is_left_and_what_failed(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert main([*ASKED, "--out", str(out)]) == 0
    first, second = out.read_text().splitlines()
    failed = {**json.loads(second), "error": "LMError: gone"}
    out.write_text(f"{first}\n{json.dumps(failed)}\n")
    assert main([*ASKED, "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(found["seed"], "error" in found) for found in rows] == [
        (0, False),
        (1, True),
        (1, False),
    ]


def test_an_unknown_contestant_or_world_is_named(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "rows.jsonl")]
    with pytest.raises(UsageError, match="'nobody' is no contestant"):
        main(["--contestants", "nobody", *out])
    with pytest.raises(UsageError, match="'mars' is no world"):
        main(["--worlds", "mars", *out])


def test_worlds_with_and_without_limits_are_read_apart(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    rows = [row("gepa", "rules", 0, 0.1), row("gepa", "rules/8", 0, 0.2)]
    out.write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = [gains(read(out, attends), Entry("gepa", 1000), "rules") for attends in (None, 8, 2)]
    assert found == [{0: 0.1}, {0: 0.2}, {}]


def test_the_mean_is_over_five_worlds_null_counted_as_nothing() -> None:
    assert five_world_gain(some_runs(), Entry("ours-2", 1000))[0] == pytest.approx(0.16)


def test_a_seed_that_lacks_a_world_has_no_mean() -> None:
    rows = [row("gepa", world, 0, 0.1) for world in ("rules", "demos", "credit")]
    assert five_world_gain(Runs(rows), Entry("gepa", 1000)) == {}


def test_the_best_of_dspys_has_the_greatest_mean() -> None:
    runs = some_runs()
    assert best_dspy(runs, 1000, lambda entry: five_world_gain(runs, entry)) == Entry("gepa", 1000)


def test_comparisons_are_paired_by_seed() -> None:
    ours, theirs = {0: 0.3, 1: 0.5, 2: 0.7}, {0: 0.1, 1: 0.3, 2: 0.5, 9: 5.0}
    points = difference(ours, theirs)
    assert points is not None
    assert (points.low, points.high, points.n) == (pytest.approx(0.2), pytest.approx(0.2), 3)
    times = ratio(ours, theirs)
    assert times is not None
    assert times.value == pytest.approx(1.5 / 0.9)
    assert times.low < times.value < times.high


def test_intervals_losses_and_inflation_are_counted() -> None:
    runs = some_runs()
    assert covered(runs.of(Entry("ours-2", 1000), "rules")) == (2, 4)
    assert worse(runs.of(Entry("simba", 1000))) == 16
    assert inflation(runs.of(Entry("gepa", 1000), "demos")) == pytest.approx([0.05] * 4)


def test_the_page_says_who_gained_what() -> None:
    page = markdown(some_runs())
    assert "| GEPA | 11.5 ± 0.6 | 11.5 ± 0.6 | 11.5 ± 0.6 | 11.5 ± 0.6 | – | 9.2 ± 0.5 |" in page
    assert re.search(r"\| compilm -O2 \| 1,000 \| GEPA \| 1,000 \| 1\.87 \[1\.\d\d, 1\.9\d\]", page)
    assert "| SIMBA | 1,000 | 4/4 | 4/4 | 4/4 | 4/4 | 16/16 |" in page
    assert "failed" not in page


def test_the_page_names_what_failed() -> None:
    page = markdown(Runs([{**row("gepa", "rules", 7, 0.1), "error": "LMError: gone"}]))
    assert "rules, GEPA, 1,000 calls, seed 7: LMError: gone" in page


def test_the_chart_has_a_line_for_each_and_the_same_bytes_each_time() -> None:
    drawn = curve(some_runs())
    assert drawn == curve(some_runs())
    assert [name in drawn for name in ("compilm -O2", "GEPA", "SIMBA", "MIPROv2")] == [
        True,
        True,
        True,
        False,
    ]
    assert "no runs yet" in curve(Runs([]))
