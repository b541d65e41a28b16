"""Score an artifact, or the configured program, on held-out examples; gate a build with it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import ConfigError
from .gate import estimate_text, gate_of
from .loading import add_program, loaded, models_for
from .options import configuration
from .out import Out
from .place import artifact_path, journal_path
from .target import Parts, metric_of, parts_of, program_of, roles_of

if TYPE_CHECKING:
    from ..datasets import DataSet

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm eval                                             the configured program as it is
  compilm eval build/desk --against baseline               the gain, with its interval
  compilm eval build/desk --against build/desk-old --max-regression 0.02 --json"""

_KEYS = {
    "concurrency": "compile.concurrency",
    "fail_under": "gate.fail_under",
    "max_regression": "gate.max_regression",
    "program": "program",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("artifact", nargs="?", metavar="ARTIFACT")
    parser.add_argument("--split", choices=("test", "val", "train"), help="(test, else val)")
    parser.add_argument("--against", metavar="baseline|ARTIFACT", help="compare, pair by pair")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N examples")
    parser.add_argument("--budget", metavar="TEXT", help="a ceiling: 200calls, 1usd, 5m, ...")
    parser.add_argument("--concurrency", type=int, metavar="N")
    parser.add_argument("--fail-under", type=float, metavar="X", help="exit 1 below this score")
    parser.add_argument("--max-regression", type=float, metavar="X", help="exit 1 if lower by more")
    add_program(parser)


def run(args: argparse.Namespace, out: Out) -> int:
    """Score, compare, and tell."""
    config = configuration(args, {key: getattr(args, name) for name, key in _KEYS.items()})
    if args.max_regression is not None and args.against is None:
        raise ConfigError("--max-regression needs --against: baseline, or another artifact")
    program, roles = _subject(args.artifact, config, out)
    split, data = _examples(args, parts_of(config, program_of(config)))
    from ..api import evaluate
    from ..optimizers.budget import Budget

    found = evaluate(
        program,
        metric_of(config),
        data,
        roles=roles,
        budget=Budget.parse(args.budget) if args.budget else None,
        concurrency=config.compile.concurrency,
        journal=journal_path(config),
        seed=config.compile.seed,
        against=_reference(args.against, config, out),
    )
    settings = config.gate if args.against else _alone(config)
    gate = gate_of(settings, found.score, found.gain)
    names = ("score", "gain", "spent")
    told = {name: getattr(found, name) for name in names}
    out.emit({"split": split, "n": len(data), **told, "gate": gate})
    out.say(f"{split}  {estimate_text(found.score)}")
    if found.gain is not None:
        out.say(f"gain  {estimate_text(found.gain, signed=True)} against {args.against}")
    for line in gate.lines():
        out.say(f"gate  {line}")
    return gate.exit_code()


def _alone(config: Config) -> Any:
    """The gate without a comparison: a configured `max_regression` then asks for nothing."""
    from dataclasses import replace

    return replace(config.gate, max_regression=None)


def _subject(text: str | None, config: Config, out: Out) -> tuple[Any, Any]:
    if text is None:
        return program_of(config), roles_of(config)
    from .. import artifact as artifacts

    models = models_for(artifacts.read(artifact_path(text)), config, out)
    return loaded(text, config, Out(quiet=True)).program, models


def _reference(text: str | None, config: Config, out: Out) -> Any:
    if text is None:
        return None
    if text == "baseline":
        return program_of(config)
    return loaded(text, config, out).program


def _examples(args: argparse.Namespace, parts: Parts) -> tuple[str, DataSet]:
    """The split that is asked for; test where none is, and val where there is no test."""
    there = parts.named()
    split = args.split or ("test" if "test" in there else "val")
    if split not in there:
        raise ConfigError(f"there is no {split} split; there is {', '.join(there)}")
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: expected a number of examples from 1")
    return split, there[split][: args.limit]
