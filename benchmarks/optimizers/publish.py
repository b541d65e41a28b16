"""The page of the optimizer benchmarks, written anew from rows.

    python -m benchmarks.optimizers.publish --worlds worlds.jsonl --real real.jsonl \\
        --wall wall.txt --out docs

Writes `docs/benchmarks.md` and its pictures. A part whose rows are not given is left out, and the
page says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .curve import curve
from .summary import Runs, read
from .table import markdown

__all__ = ["main", "page"]

_HEAD = """# Benchmarks

What compilm's search gains beside DSPy's optimizers, at the same number of program calls. Run it \
yourself; it takes hours on two cores, and goes on where it was stopped:

```console no-run
$ make bench-optimizers
```

Optimizers run as shipped, in one process, with the same model, data and seeds, and a schedule \
that fits the calls; what goes past them is in the column of calls. Our own seeds for tuning are \
below 500; the tables are over seeds that were not looked at before. MIPROv2 has 12 candidates, \
which DSPy calls `medium`; MIPROv2, 18, is its `heavy`.
"""

_WORLDS = """## Simulated worlds

No language model answers here. A world decides by a formula how likely a prompt is to make the \
right answer to a case: rules in the instruction help, so do right demonstrations; wrong ones, \
made-up rules and length hurt. The model that writes instructions knows what the request shows it, \
and no more. So the true score of a program can be computed, without sampling noise, and what an \
optimizer tells can be held against it. `rules`: feedback names causes. `demos`: demonstrations \
pay. `credit`: two steps. `harm`: near the best already. `null`: nothing matters. `trap`: edits \
hurt a little. Code and parameters: `benchmarks/optimizers/`.

Read it with care: worlds reward what they were built to have, and their proposer attends to every \
row it is shown, which favors requests with many rows, ours among them. The second set of tables \
takes that away: there a proposer attends to 8 rows. Demonstrations are free in tokens here; the \
column of tokens says what they cost.

![Score over calls](benchmarks-worlds.svg)
"""

_ATTENDS = "# The same worlds with a proposer that attends to 8 rows\n"
_REAL = """## Real data, embedded engine

The embedded engine answers: an in-context learner without weights, **not a language model**. What \
it scores says nothing about one; the order of optimizers on it is what can be read here.

What had been seen while building: draws 0 to 4 of all tasks, and all of `nlupp`, where three in \
four messages hold no detail: candidates that show such a step its commonest answer alone were \
added after runs had lost there.
"""
_WALL = """## Wall time

A model that takes 0.2 s an answer, 32 threads, 1,000 program calls; medians of runs. Ideal: all \
calls spread over the threads without a gap.
"""


def page(worlds: Runs | None, attending: Runs | None, real: str, wall: str) -> str:
    """The page in Markdown; a part without rows is named as not run."""
    parts = [_HEAD]
    if worlds is not None:
        parts += [_WORLDS, _deeper(markdown(worlds))]
    if attending is not None and attending.entries:
        parts += ["#" + _ATTENDS, _deeper(markdown(attending))]
    parts += [_REAL, real] if real else ["## Real data\n\nNot run for this page.\n"]
    parts += [_WALL, wall] if wall else []
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _deeper(text: str) -> str:
    """Headings one level down."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in text.splitlines())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(prog="benchmarks.optimizers.publish")
    parser.add_argument("--worlds", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--wall", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args(arguments)
    worlds = read(asked.worlds) if asked.worlds else None
    attending = read(asked.worlds, 8) if asked.worlds else None
    real = asked.real.read_text(encoding="utf-8") if asked.real else ""
    wall = asked.wall.read_text(encoding="utf-8") if asked.wall else ""
    text = page(worlds, attending, real, wall)
    (asked.out / "benchmarks.md").write_text(text, encoding="utf-8")
    if worlds is not None:
        (asked.out / "benchmarks-worlds.svg").write_text(curve(worlds), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
