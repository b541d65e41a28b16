"""Show an artifact, a run of the journal, or the configuration with where each value is from."""

from __future__ import annotations

import argparse
from typing import Any

from .. import artifact as artifacts
from ..artifact import Artifact, Predictor
from ..config import Config
from ..errors import UsageError
from .options import configuration
from .out import Out, as_json
from .place import artifact_path, is_artifact, journal_path, shown
from .runs import find_run, read_runs, tell

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm show build/desk               what it is, scored, cost and says to the models
  compilm show build/desk route         one predictor: its instructions and demos in full
  compilm show config                   every key, its value and its origin"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("what", metavar="ARTIFACT|RUN|config")
    parser.add_argument("predictor", nargs="?", help="one predictor of the artifact, by its path")
    parser.add_argument("--journal", metavar="FILE", help="the journal that holds the run")


def run(args: argparse.Namespace, out: Out) -> int:
    """Show what is asked for."""
    config = configuration(args, {"compile.journal": args.journal})
    if args.what == "config":
        return _config(config, out)
    if is_artifact(args.what):
        return _artifact(artifacts.read(artifact_path(args.what)), args.predictor, out)
    journal = journal_path(config)
    runs = read_runs(journal)
    if not any(one.id.startswith(args.what) for one in runs):
        raise UsageError(
            f"{args.what!r} is no artifact, and no run of {shown(journal)} starts so; "
            "compilm runs lists the runs"
        )
    found = find_run(runs, args.what)
    kept = (found.finished or {}).get("artifact")
    if kept:
        return _artifact(Artifact.from_json(kept), args.predictor, out)
    out.emit(found.to_json())
    tell(found, out)
    return 0


def _config(config: Config, out: Out) -> int:
    rows = config.describe()
    out.emit({"file": config.file, "target": config.target, "values": rows})
    width = max(len(row.key) for row in rows)
    for row in rows:
        out.say(f"{row.key:{width}}  {_plainly(row.value):40}  {row.origin}")
    return 0


def _plainly(value: Any) -> str:
    """A value of the configuration on one line, a dash where there is none."""
    plain = as_json(value)
    if isinstance(plain, list):
        return ", ".join(map(str, plain)) or "-"
    if isinstance(plain, dict):
        return ", ".join(f"{key} {item}" for key, item in plain.items()) or "-"
    return "-" if plain is None else str(plain)


def _artifact(found: Artifact, predictor: str | None, out: Out) -> int:
    if predictor is None:
        out.emit(found.to_json())
        out.say(artifacts.describe(found))
        return 0
    one = _named(found, predictor)
    out.emit(one.to_json())
    _tell(one, out)
    return 0


def _named(found: Artifact, path: str) -> Predictor:
    for one in found.predictors:
        if one.path == path:
            return one
    known = ", ".join(one.path for one in found.predictors)
    raise UsageError(f"there is no predictor {path!r} in this artifact; it has {known}")


def _tell(one: Predictor, out: Out) -> None:
    out.say(f"{one.path} (role {one.role})")
    for side, fields in (("inputs", one.inputs), ("outputs", one.outputs)):
        out.say(f"  {side:9}{', '.join(f'{field.name}: {field.type}' for field in fields)}")
    out.say()
    out.say(one.instructions)
    for number, demo in enumerate(one.demos, start=1):
        out.say()
        out.say(f"demo {number}")
        for name, value in demo.items():
            out.say(f"  {name}: {_text(value)}")
    if one.nearest is not None:
        out.say()
        out.say(f"for each call the {one.nearest}; --json lists the pool")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
