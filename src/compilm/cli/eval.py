"""Score an artifact, or the configured program, on held-out examples; gate a build with it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import ConfigError
from .gate import gate_of
from .loading import add_program, loaded
from .options import configuration
from .out import Out
from .place import journal_path
from .target import Parts, metric_of, parts_of, program_of, roles_of

if TYPE_CHECKING:
    from ..api import Evaluation
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
    parser.add_argument(
        "--split", choices=("test", "val", "train"), help="(test, else half of val)"
    )
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
    split, data = _examples(args, parts_of(config, program_of(config)), config)
    found = _evaluation(args, config, data, out)
    gate = gate_of(config.gate if args.against else _alone(config), found.score, found.gain)
    if found.stop:
        gate = gate.incomplete(found.stop)
    out.emit({
        "split": split,
        "n": len(data),
        "score": found.score,
        "gain": found.gain,
        "missing": found.missing,
        "spent": found.spent,
        "stop": found.stop,
        "gate": gate,
    })  # fmt: skip
    out.say(f"{split}  {found.score:.3f}")
    if found.gain is not None:
        out.say(f"gain  {found.gain:+.3f} against {args.against}")
    if found.missing:
        out.say(f"note  {found.missing} of {len(data)} examples have no score")
    for line in gate.lines():
        out.say(f"gate  {line}")
    return gate.exit_code(found.stop)


def _evaluation(args: argparse.Namespace, config: Config, data: DataSet, out: Out) -> Evaluation:
    from ..api import evaluate
    from ..journal import open_journal
    from ..optimizers.budget import Budget
    from ..prices import Prices

    program, roles = _subject(args.artifact, config, out)
    journal = open_journal(journal_path(config))
    try:
        return evaluate(
            program,
            metric_of(config),
            data,
            roles=roles,
            budget=Budget.parse(args.budget) if args.budget else None,
            concurrency=config.compile.concurrency,
            journal=journal,
            seed=config.compile.seed,
            against=_reference(args.against, config),
            attempts=config.runtime.attempts,
            prices=Prices(config.prices),
        )
    finally:
        journal.close()


def _seed(text: str | None, config: Config) -> int:
    """The seed that val was halved by: that of the artifact's own compile, where there is one."""
    if text is None:
        return config.compile.seed
    search = loaded(text, config, Out(quiet=True)).artifact.content.get("search") or {}
    return config.compile.seed if search.get("seed") is None else int(search["seed"])


def _alone(config: Config) -> Any:
    """The gate without a comparison: a configured `max_regression` then asks for nothing."""
    from dataclasses import replace

    return replace(config.gate, max_regression=None)


def _subject(text: str | None, config: Config, out: Out) -> tuple[Any, Any]:
    """What is scored, and the models it is scored with."""
    if text is None:
        return program_of(config), roles_of(config)
    runtime = loaded(text, config, out)
    return runtime.program, dict(runtime.roles)


def _reference(text: str | None, config: Config) -> Any:
    if text is None:
        return None
    if text == "baseline":
        return program_of(config)
    return loaded(text, config, Out(quiet=True)).program


def _examples(args: argparse.Namespace, parts: Parts, config: Config) -> tuple[str, DataSet]:
    """The split that is asked for; test where none is, else the half of val that proves a compile.

    The other half may stand in a compiled program's prompts.
    """
    there = parts.named()
    split = args.split or ("test" if "test" in there or "val" not in there else "held-out")
    if split == "held-out":
        from ..api import halves

        there[split] = halves(there["val"], _seed(args.artifact, config)).test
    if split not in there:
        raise ConfigError(f"there is no {split} split; there is {', '.join(there)}")
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: expected a number of examples from 1")
    return split, there[split][: args.limit]
