"""List the runs in the journal, newest last, or tell one of them; nothing is changed."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ..errors import UsageError
from ..journal import Record, SqliteJournal
from .options import configuration
from .out import Out
from .place import journal_path, shown

__all__ = ["Run", "arguments", "find_run", "read_runs", "run", "tell"]

EXAMPLES = """examples:
  compilm runs                 every run of the journal
  compilm runs 3f2a            the run whose id starts so
  compilm runs --journal run.db --json"""

_KINDS = (
    "run.started",
    "session.opened",
    "candidate",
    "decision",
    "measured",
    "note",
    "run.finished",
)


class Run:
    """One run as its records tell it."""

    def __init__(self, started: Record) -> None:
        self.id, self.at, self.started = started.run, started.at, started.body
        self.finished: dict[str, Any] | None = None
        self.sessions = self.candidates = 0
        self.last = started.at
        self.notes: list[str] = []
        self.decision: dict[str, Any] | None = None
        self.measured = False

    def take(self, record: Record) -> None:
        """One more record of this run."""
        self.last = record.at
        if record.kind == "session.opened":
            self.sessions += 1
        elif record.kind == "candidate":
            self.candidates += 1
        elif record.kind == "note":
            self.notes.append(str(record.body.get("text", "")))
        elif record.kind in ("decision", "measured"):
            self.decision = record.body
            self.measured = record.kind == "measured"
        elif record.kind == "run.finished":
            self.finished = record.body

    @property
    def spent(self) -> dict[str, Any]:
        """What it had used when it last said so."""
        return dict((self.finished or self.decision or {}).get("spent") or {})

    def to_json(self) -> dict[str, Any]:
        """The run as `--json` shows it."""
        ended = self.finished or {}
        return {
            "run": self.id,
            "name": self.started.get("name"),
            "started": self.at,
            "seconds": round(self.last - self.at, 3),
            "level": self.started.get("level"),
            "optimizer": self.started.get("optimizer"),
            "seed": self.started.get("seed"),
            "budget": self.started.get("budget"),
            "finished": self.finished is not None,
            "verdict": ended.get("verdict"),
            "gain": ended.get("gain"),
            "baseline": ended.get("baseline"),
            "compiled": ended.get("compiled"),
            "spent": self.spent,
            "stop": ended.get("stop"),
            "sessions": self.sessions,
            "candidates": self.candidates,
            "notes": self.notes,
        }


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or how it starts")
    parser.add_argument("--journal", metavar="FILE", help="the journal to read")


def run(args: argparse.Namespace, out: Out) -> int:
    """List the runs, or tell one."""
    config = configuration(args, {"compile.journal": args.journal})
    found = read_runs(journal_path(config))
    if args.run is not None:
        one = find_run(found, args.run)
        out.emit(one.to_json())
        tell(one, out)
        return 0
    out.emit({"journal": str(journal_path(config)), "runs": [each.to_json() for each in found]})
    if not found:
        out.say(f"no runs in {shown(journal_path(config))}; compilm compile makes one")
    for each in found:
        out.say(_line(each))
    return 0


def read_runs(path: Any) -> list[Run]:
    """The runs in the journal at `path`, by when they started; none where there is no file."""
    if not path.is_file():
        return []
    journal = SqliteJournal(path)
    try:
        runs: dict[str, Run] = {}
        for record in journal.read(kinds=_KINDS):
            if record.kind == "run.started" and record.run not in runs:
                runs[record.run] = Run(record)
            elif record.run in runs:
                runs[record.run].take(record)
    finally:
        journal.close()
    return list(runs.values())


def find_run(runs: list[Run], start: str) -> Run:
    """The one run whose id starts with `start`; `UsageError` where none or several do."""
    found = [each for each in runs if each.id.startswith(start)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(each.id for each in (found or runs)[-5:]) or "none"
    said = "several runs start with" if found else "there is no run"
    raise UsageError(f"{said} {start!r}; known: {known}")


def _line(one: Run) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.at))
    how = one.started.get("optimizer") or f"-O{one.started.get('level')}"
    how = "eval" if one.started.get("name") == "eval" else how
    gain = (one.finished or {}).get("gain")
    won = f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]" if gain else ""
    verdict = (one.finished or {}).get("verdict") or ("measured" if one.measured else "unfinished")
    calls = f"{one.spent.get('calls', 0):,} calls"
    return f"{one.id:26} {when}  {how:5} {verdict:12} {calls:>13}  {won}".rstrip()


def tell(one: Run, out: Out) -> None:
    """The run in a few lines, for people."""
    out.say(_line(one))
    body = one.to_json()
    for key in ("seed", "budget", "sessions", "candidates", "spent", "stop"):
        if body[key] not in (None, {}):
            shown = body[key]
            if isinstance(shown, dict):
                shown = ", ".join(f"{name} {v}" for name, v in shown.items() if v is not None)
            out.say(f"  {key:12}{shown}")
    for note in one.notes:
        out.say(f"  note        {note}")
    if one.finished is None:
        out.say("  next        the same compile command goes on where this run stopped")
