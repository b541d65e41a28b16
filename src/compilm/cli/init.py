"""Write compilm.toml for a program and its data, or a small starter that runs as it is."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .out import Out
from .starter import DATA_FILE, METRIC, PROGRAM, configuration_text, starter_rows

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm init                                         a starter: program, metric, data
  compilm init --from app.desk:Desk --data rows.jsonl --metric "exact(answer)\""""

_FILE = "compilm.toml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("--from", dest="program", metavar="REF", help="module:attr or file.py:Name")
    parser.add_argument("--data", metavar="FILE", help="the examples")
    parser.add_argument("--metric", metavar="SPEC", help='a function, or as "exact(answer)"')
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def run(args: argparse.Namespace, out: Out) -> int:
    """Write the files and tell what was seen."""
    if args.program is None and (args.data or args.metric):
        raise ConfigError("--data and --metric go with --from; alone, init writes a starter")
    files = _starter() if args.program is None else {}
    seen: dict[str, Any] = {}
    if args.program is not None:
        seen = _inspect(args.program, args.data, args.metric)
        files[_FILE] = configuration_text(
            program=args.program,
            metric=args.metric,
            data=args.data,
            inputs=tuple(seen["inputs"]),
            identifier=seen["id"],
        )
    _write(files, Path.cwd(), force=args.force)
    out.emit({"written": sorted(files), **seen})
    _tell(files, seen, out)
    return 0


def _starter() -> dict[str, str]:
    text = configuration_text(
        program="program.py:Desk",
        metric="metric.py:right_team",
        data=DATA_FILE,
        inputs=("message",),
        identifier="id",
    )
    return {"program.py": PROGRAM, "metric.py": METRIC, DATA_FILE: starter_rows(), _FILE: text}


def _write(files: Mapping[str, str], folder: Path, *, force: bool) -> None:
    there = [name for name in sorted(files) if (folder / name).exists()]
    if there and not force:
        raise ConfigError(f"{', '.join(there)} already there; --force writes over it")
    for name, text in files.items():
        # Written beside and renamed: a file is there whole, or as it was.
        draft = folder / f".{name}.draft"
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, folder / name)


def _inspect(reference: str, data: str | None, metric: str | None) -> dict[str, Any]:
    """What the program takes and the data has: checked before anything is written."""
    from .target import metric_from, predictors_of, program_from, rows_of

    folder = Path.cwd()
    program = program_from(reference, {}, folder)
    predictors = predictors_of(program)
    if metric is not None:
        metric_from(metric, folder)
    rows = rows_of(folder / data) if data is not None else []
    fields = list(rows[0]) if rows else []
    wanted = predictors[0]["inputs"] if predictors else []
    return {
        "program": reference,
        "predictors": predictors,
        "metric": metric,
        "rows": len(rows),
        "fields": fields,
        "inputs": [name for name in wanted if name in fields],
        "id": "id" if "id" in fields else None,
    }


def _tell(files: Mapping[str, str], seen: Mapping[str, Any], out: Out) -> None:
    out.say(f"wrote {', '.join(sorted(files))}")
    for one in seen.get("predictors", ()):
        gives = f"{', '.join(one['inputs'])} -> {', '.join(one['outputs'])}"
        out.say(f"  predictor {one['path']}: {gives}")
    if seen.get("fields"):
        out.say(f"  {seen['rows']} rows with {', '.join(seen['fields'])}")
        if not seen["inputs"]:
            out.say("  no field of the data is an input of the program: set data.inputs")
    out.say("next: compilm check, then compilm compile --plan")
