"""Graph runs that are killed at random instants end, and their effects happen once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.graph_kills import is_sound

ROOT = Path(__file__).parents[2]


def test_runs_that_are_killed_end_and_no_effect_happens_twice() -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.graph_kills", "--kills", "12", "--seed", "7"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.rsplit(maxsplit=1) for line in done.stdout.splitlines()]
    counts = {name.strip(): int(count.replace(",", "")) for name, count in rows}
    assert is_sound(counts)
    assert counts["kills"] == 12


def test_the_soak_can_fail() -> None:
    right = {
        "finished": 3,
        "runs": 3,
        "payments made": 6,
        "payments due": 6,
        "notices made": 3,
        "notices due": 3,
        "notices made twice": 0,
        "steps kept twice": 0,
    }
    assert is_sound(right)
    for name in right:
        assert not is_sound({**right, name: right[name] + 1}), name
