"""Run optimizers in simulated worlds or on real data; one JSON row a run, appended to a file.

    python -m benchmarks.optimizers.run --worlds rules,demos --seeds 0-4 --budgets 300,1000 \\
        --contestants mipro,gepa,ours-2 --out rows.jsonl --processes 2
    python -m benchmarks.optimizers.run --tasks b77-10,claims --data path/to/data --seeds 0-4 \\
        --contestants knn,infer-rules,ours-2 --out rows.jsonl

A contestant may bring its own budget (`mipro@2500`); runs go in the order of the contestants, then
budgets, seeds and worlds. Rows that are in the file already are not run again, failed ones are: the
same command goes on after a stop. Each run has a process of its own, forked clean; the same world,
seed, contestant and budget give the same row but for `seconds`. Budgets are program calls. MIPROv2
needs `optuna`, which DSPy does not bring. Tune on seeds below 500, claim on those from 1750.
`rules/8` is the world `rules` with proposers that attend to 8 of the cases in a request.
What takes no program calls (`zero-shot`, `labeled`, `knn`, `knn-4`, `knn-all`) runs once, with a
budget of 0.
Tasks whose data are not there are skipped, and said. `python -m benchmarks.optimizers.table
rows.jsonl` reads the rows of worlds, `python -m benchmarks.optimizers.scores rows.jsonl` those of
tasks.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import logging
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dspy

from compilm.errors import UsageError

from .arena import Arena, arena, lacking
from .contestants import CONTESTANTS, FREE, Outcome, Setting
from .tasks import DATA

__all__ = ["Job", "main", "rows_of", "run_job"]

_WORLDS = "rules,demos,credit,harm,null,trap"
_ASKED_TWICE = ("optuna", "gepa", "dspy.teleprompt", "compilm.optimizers.compile")


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a contestant in a world or task as a seed draws it, and how many program calls."""

    world: str
    contestant: str
    seed: int
    budget: int


def run_job(job: Job) -> dict[str, Any]:
    """The row of one run; a failure is a row with `error`.

    base, true, gain: scores before, after, and the difference: expected over unseen cases in a
    world, on the test examples of a task. reported: the score that the optimizer tells;
    reported_gain: that, less what the given program scores on the same examples, or the gain it
    tells itself. calls: program calls, by the engine's count.
    """
    began = time.perf_counter()
    row: dict[str, Any] = asdict(job)
    try:
        row |= _measured(job)
    except Exception as error:  # border: somebody's optimizer; a failed run is a row as well
        where = traceback.format_exc()[-800:]
        row |= {"error": f"{type(error).__name__}: {error}"[:300], "traceback": where}
    return row | {"seconds": round(time.perf_counter() - began, 2)}


def _measured(job: Job) -> dict[str, Any]:
    here = arena(job.world, job.seed)
    with dspy.context(lm=here.lm, num_threads=1, disable_history=True):
        outcome = CONTESTANTS[job.contestant](Setting(here.place, here.lm, job.budget, job.seed))
    counted = {
        "calls": here.calls(),
        "proposer_calls": here.counts.proposer_calls,
        "tokens": here.counts.task_tokens,
        "proposer_tokens": here.counts.proposer_tokens,
    }
    base, true = here.true_scores(here.place.program(), outcome.program)
    predictors = [predictor for _, predictor in outcome.program.named_predictors()]
    return {
        **counted,
        "base": base,
        "true": true,
        "gain": true - base,
        "reported": outcome.reported,
        "reported_gain": _reported_gain(here, outcome),
        "demos": list(map(_demos_shown, predictors)),
        "words": [len(predictor.signature.instructions.split()) for predictor in predictors],
        **outcome.told,
    }


def _demos_shown(predictor: Any) -> int:
    """Demos in the prompt of a call: those that stay, and those chosen for it."""
    nearest = getattr(predictor, "nearest", None)
    return len(predictor.demos) + (nearest.k if nearest else 0)


def _reported_gain(here: Arena, outcome: Outcome) -> float | None:
    """What the optimizer says was gained, the luck of its examples' draw taken out."""
    if outcome.told_gain is not None or outcome.reported is None:
        return outcome.told_gain
    given, scores = here.place.program(), []
    with dspy.context(lm=here.uncounted()):
        for example in outcome.selection:
            scores.append(here.place.metric(example, given(**example.inputs())))
    return outcome.reported - sum(scores) / len(scores)


def _child(job: Job, sender: Connection) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    sender.send(run_job(job))


def rows_of(jobs: Iterable[Job], processes: int) -> Iterator[dict[str, Any]]:
    """The rows of `jobs` as they are ready, each from a fresh process, `processes` at a time.

    With 0 processes all run in this one, with their noise: for a debugger.
    """
    if processes == 0:
        yield from map(run_job, jobs)
        return
    context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    left, running = deque(jobs), dict[Connection, tuple[Job, BaseProcess]]()
    while left or running:
        while left and len(running) < processes:
            job = left.popleft()
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(job, sender))
            child.start()
            sender.close()
            running[receiver] = (job, child)
        for ready in wait(list(running)):
            assert isinstance(ready, Connection)
            job, child = running.pop(ready)
            try:
                row = ready.recv()
            except EOFError:
                child.join()
                row = {**asdict(job), "error": f"the process ended with {child.exitcode}"}
            child.join()
            ready.close()
            yield row


def _jobs(options: argparse.Namespace) -> Iterator[Job]:
    places = _places(options)
    for asked in options.contestants.split(","):
        name, _, own = asked.partition("@")
        if name not in CONTESTANTS:
            raise UsageError(f"{name!r} is no contestant: give some of {', '.join(CONTESTANTS)}")
        budgets = ["0"] if name in FREE else [own] if own else options.budgets.split(",")
        for budget in budgets:
            for seed in _numbers(options.seeds):
                yield from (Job(place, name, seed, int(budget)) for place in places)


def _places(options: argparse.Namespace) -> list[str]:
    """The worlds and tasks that are asked for and can run."""
    found = []
    worlds = options.worlds or ("" if options.tasks else _WORLDS)
    for name in filter(None, [*worlds.split(","), *options.tasks.split(",")]):
        lacks = lacking(name)
        if lacks:
            print(f"{name} is skipped: {lacks}", file=sys.stderr)
        else:
            found.append(name)
    return found


def _numbers(spec: str) -> list[int]:
    found: list[int] = []
    for part in spec.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _known(path: Path) -> set[Job]:
    if not path.exists():
        return set()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return {
        Job(row["world"], row["contestant"], row["seed"], row["budget"])
        for row in rows
        if "error" not in row
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; 1 if a run failed."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.optimizers.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--worlds", default="", help=f"without tasks: {_WORLDS}")
    parser.add_argument("--tasks", default="", help="on real data, as b77-10,claims")
    parser.add_argument("--data", help=f"the folder of the tasks' data; else what {DATA} names")
    parser.add_argument("--seeds", default="0-4", help="as 0-4 or 1,3,7-9")
    parser.add_argument("--budgets", default="1000")
    parser.add_argument("--contestants", default="mipro,gepa,ours-2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1, help="0: in this one")
    options = parser.parse_args(arguments)
    if options.data:
        os.environ[DATA] = options.data
    known, failed = _known(options.out), 0
    for name in _ASKED_TWICE:  # here once rather than in every process
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with options.out.open("a", encoding="utf-8") as out:
        for row in rows_of([job for job in _jobs(options) if job not in known], options.processes):
            out.write(json.dumps(row) + "\n")
            out.flush()
            failed += "error" in row
            print(_told(row), file=sys.stderr, flush=True)
    return 1 if failed else 0


def _told(row: dict[str, Any]) -> str:
    name = f"{row['world']} {row['contestant']}@{row['budget']} seed {row['seed']}"
    if "error" in row:
        return f"{name}: {row['error']}"
    gain = f"{100 * row['gain']:+.1f} points, {row['calls']:.0f} calls"
    return f"{name}: {gain}, {row['seconds']:.0f} s"


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of words are iterated over in there
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    try:
        raise SystemExit(main())
    except UsageError as error:
        raise SystemExit(str(error)) from None
