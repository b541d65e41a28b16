"""Kill graph runs again and again at random instants; no effect may happen twice or be lost.

    python -m benchmarks.graph_kills --kills 200

Each worker process works through durable runs whose graph books a payment in a ledger of its own
(another SQLite file, as a payment provider would have), has two branches, a map and a question.
It is killed with SIGKILL after a random time, and another one takes over, until all runs ended.
The ledger holds every attempt at an effect; it knows the idempotency key, as providers do.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from compilm.graphs import END, Choice, Graph, Map, Node, Pause, Paused, Runs
from compilm.journal import open_journal


def ledger(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE IF NOT EXISTS attempts (key TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS payments (key TEXT PRIMARY KEY, run TEXT, place TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS notices (run TEXT)")
    return db


def desk(db: sqlite3.Connection, seconds: float) -> Graph:
    """A graph with two kinds of effects: one with a key, one that may not be begun twice."""

    def work(n: int) -> dict[str, Any]:
        time.sleep(seconds)
        return {"n": n + 1}

    def pay(who: str, place: int, idempotency_key: str) -> dict[str, Any]:
        db.execute("INSERT INTO attempts VALUES (?)", (idempotency_key,))
        time.sleep(seconds)
        values = (idempotency_key, who, str(place))
        db.execute("INSERT OR IGNORE INTO payments VALUES (?, ?, ?)", values)
        time.sleep(seconds)
        return {"place": place + 1}

    def notice(who: str) -> dict[str, Any]:
        time.sleep(seconds)
        db.execute("INSERT INTO notices VALUES (?)", (who,))
        time.sleep(seconds)
        return {"noticed": True}

    def approve(n: int, is_fine: bool | None = None) -> dict[str, Any]:
        if is_fine is None:
            raise Pause("Is it fine?", n=n)
        return {"is_fine": is_fine}

    def item(number: int) -> int:
        time.sleep(seconds / 4)
        return number * 2

    return Graph(
        nodes={
            "work": work,
            "each": Node(Map(item, over="numbers", into="doubled", concurrency=2)),
            "left": Node(work, writes=()),
            "pay": Node(pay, effect=True, retries=1, writes=("place",)),
            "approve": approve,
            "notice": Node(notice, effect=True),
            "again": lambda place: {"is_over": place >= 2},
        },
        edges={
            "work": "each",
            "each": ("left", "pay"),
            "left": "again",
            "pay": "again",
            "again": Choice("is_over", {True: "approve", False: "work"}),
            "approve": "notice",
            "notice": END,
        },
        start="work",
        inputs=["who", "n", "place", "numbers"],
        outputs=["place", "noticed", "doubled"],
    )


def worker(folder: Path, runs: int, seconds: float) -> None:
    """Take up what is unfinished, answer what is asked, begin what is new; then end."""
    db = ledger(folder / "ledger.db")
    journal = open_journal(folder / "runs.db")
    of = Runs(desk(db, seconds), journal)
    finished = len(list(journal.read(kinds=["graph.finished"])))  # they end in their order
    for number in range(finished, runs):
        run = f"run-{number}"
        found = of.start(run, who=run, n=0, place=0, numbers=[1, 2, 3])
        while isinstance(found, Paused):
            if "Did it happen" in found.question:  # what a person would look up
                asked = "SELECT count(*) FROM notices WHERE run = ?"
                happened = bool(db.execute(asked, (run,)).fetchone()[0])
                wrote = {"noticed": True} if happened else {}
                found = of.resume(run, happened=happened, wrote=wrote)
            else:
                found = of.resume(run, is_fine=True)


def soak(kills: int, *, seed: int, seconds: float = 0.002, runs: int = 0) -> dict[str, int]:
    """Kill workers `kills` times, let one end; the counts of what happened."""
    rng = random.Random(seed)
    runs = runs or max(kills, 10)
    with tempfile.TemporaryDirectory() as folder:
        killed = inside = 0
        while killed < kills:
            process = _begun(folder, runs, seconds)
            process.join(timeout=rng.uniform(0.0, 0.15))
            if process.is_alive():
                process.kill()
                process.join()
                killed += 1
                inside += _was_inside(Path(folder))
            else:
                runs += max(kills // 4, 1)  # all were finished: there is more to do
        last = _begun(folder, runs, seconds)
        last.join()
        if last.exitcode:
            raise SystemExit("the last worker failed")
        return {"kills": killed, "in the middle of a run": inside, **_counts(Path(folder), runs)}


def _was_inside(folder: Path) -> bool:
    """Whether the last thing that was kept is not the end of a run."""
    journal = open_journal(folder / "runs.db")
    last = list(journal.read(last=1))
    journal.close()
    return bool(last) and last[0].kind != "graph.finished"


def _counts(folder: Path, runs: int) -> dict[str, int]:
    db = ledger(folder / "ledger.db")
    journal = open_journal(folder / "runs.db")
    of = Runs(desk(db, 0.0), journal)
    paid = collections.Counter(row[0] for row in db.execute("SELECT run FROM payments"))
    noticed = collections.Counter(row[0] for row in db.execute("SELECT run FROM notices"))
    (attempts,) = db.execute("SELECT count(*) FROM attempts").fetchone()
    steps = list(journal.read(kinds=["graph.step"]))
    asked = [r for r in journal.read(kinds=["graph.paused"]) if r.body.get("in_flight")]
    names = [f"run-{number}" for number in range(runs)]
    return {
        "runs": runs,
        "finished": sum(of.look(name).status == "finished" for name in names),
        "payments due": 2 * runs,
        "payments made": sum(paid.values()),
        "payments tried again with their key": attempts - sum(paid.values()),
        "notices due": runs,
        "notices made": sum(noticed.values()),
        "notices made twice": sum(count > 1 for count in noticed.values()),
        "asked whether it happened": len(asked),
        "steps": len(steps),
        "steps kept twice": len(steps) - len({(r.run, r.body["step"]) for r in steps}),
    }


def _begun(folder: str, runs: int, seconds: float) -> Any:
    """A process of its own that works; forked, so that it need not import everything again."""
    forking: Any = multiprocessing.get_context("fork")
    process = forking.Process(target=worker, args=(Path(folder), runs, seconds))
    process.start()
    return process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = soak(given.kills, seed=given.seed)
    for name, count in counts.items():
        print(f"{name:>36} {count:7,}")
    if not is_sound(counts):
        raise SystemExit("an effect was lost or happened twice, or a run did not end")


def is_sound(counts: dict[str, int]) -> bool:
    """Whether every run ended and every effect happened once."""
    return (
        counts["finished"] == counts["runs"]
        and counts["payments made"] == counts["payments due"]
        and counts["notices made"] == counts["notices due"]
        and not counts["notices made twice"]
        and not counts["steps kept twice"]
    )


if __name__ == "__main__":
    main()
