"""Search for better instructions and demos, prove the gain on held-out examples, save the result.

The same command again goes on where the last one stopped and pays for nothing twice.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..config import Config
from ..errors import ConfigError
from .gate import Gate, estimate_text, gate_of
from .options import configuration
from .out import Out
from .place import journal_path, out_path, target_name
from .target import metric_of, parts_of, program_of, roles_of

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm compile --plan                        what it would cost; spends nothing
  compilm compile -O2 --budget 1000rollouts --seed 0 --out build/desk --json
  compilm compile --optimizer dspy.MIPROv2 --budget 5usd,2000calls --yes"""

_KEYS = {
    "budget": "compile.budget",
    "seed": "compile.seed",
    "out": "compile.out",
    "journal": "compile.journal",
    "concurrency": "compile.concurrency",
    "optimizer": "compile.optimizer",
    "level": "compile.level",
    "fail_under": "gate.fail_under",
    "max_regression": "gate.max_regression",
    "track": "track.mlflow",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "-O", dest="level", type=int, choices=range(4), help="0 measures .. 3 tries everything (2)"
    )
    how.add_argument("--optimizer", metavar="NAME", help="one by name, as dspy.MIPROv2")
    parser.add_argument("--budget", metavar="TEXT", help="a ceiling: 1000rollouts, 2usd, 20m, ...")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--out", metavar="DIR", help="where the artifact goes (build/NAME)")
    parser.add_argument("--journal", metavar="FILE", help="(.compilm/journal.db)")
    parser.add_argument("--concurrency", type=int, metavar="N")
    parser.add_argument("--plan", action="store_true", help="estimate only; nothing is spent")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before spending")
    parser.add_argument("--progress", choices=("auto", "plain", "live", "none"), default="auto")
    parser.add_argument("--fail-under", type=float, metavar="X", help="exit 1 below this score")
    parser.add_argument("--max-regression", type=float, metavar="X", help="exit 1 if lower by more")
    parser.add_argument("--report", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--track", metavar="URI", help="mirror the run to this MLflow")


def run(args: argparse.Namespace, out: Out) -> int:
    """Plan or compile, write the artifact, and tell."""
    config = configuration(args, {key: getattr(args, name) for name, key in _KEYS.items()})
    asked = _asked(config, out)
    if args.plan:
        return _plan(asked, out)
    _confirm(args, asked, out)
    from ..api import compile

    result = compile(**asked, progress=_progress(args.progress, out), track=config.track.mlflow)
    path = result.save(out_path(config), report=args.report)
    gate = gate_of(config.gate, result.compiled["test"] or result.compiled["val"], result.gain)
    out.emit(_as_json(result, path, gate))
    _tell(result, path, gate, out)
    return 130 if result.stop == "interrupted" else gate.exit_code(result.stop)


def _asked(config: Config, out: Out) -> dict[str, Any]:
    """The arguments of `compilm.compile` that the configuration comes to."""
    from ..optimizers.budget import Budget

    program, metric = program_of(config), metric_of(config)
    parts = parts_of(config, program)
    if parts.note:
        out.note(parts.note)
    settings = config.compile
    return {
        "program": program,
        "metric": metric,
        "trainset": parts.train,
        "valset": parts.val,
        "testset": parts.test,
        "level": settings.level,
        "optimizer": settings.optimizer,
        "budget": Budget(**settings.budget) if settings.budget else None,  # type: ignore[arg-type]
        "roles": roles_of(config),
        "seed": settings.seed,
        "concurrency": settings.concurrency,
        "journal": journal_path(config),
        "freeze": settings.freeze,
        "name": target_name(config),
        "reference": config.program,
    }


def _progress(asked: str, out: Out) -> str:
    if out.quiet:
        return "none"
    return "plain" if asked == "auto" and not out.live else asked


def _confirm(args: argparse.Namespace, asked: dict[str, Any], out: Out) -> None:
    """Ask a person before money is spent; a script has said yes by setting a budget."""
    from ..programs.models import is_embedded

    if args.yes or all(is_embedded(lm) for lm in asked["roles"].values()):
        return
    if not (sys.stdin.isatty() and out.live):
        if asked["budget"] is None:
            raise ConfigError("models cost money and no budget is set: give --budget, or --yes")
        return
    _plan(asked, Out(stdout=out.stderr, stderr=out.stderr))
    print("go on? [y/N] ", end="", file=out.stderr, flush=True)
    if input().strip().lower() not in ("y", "yes"):
        raise ConfigError("not started; --yes does not ask")


def _plan(asked: dict[str, Any], out: Out) -> int:
    from ..api import plan

    found = plan(**asked)
    out.emit(found)
    out.say("plan (nothing is spent)")
    for name in ("rollouts", "calls", "tokens", "usd", "seconds"):
        span = getattr(found, name)
        shown = f"{span.low:,.6g} - {span.high:,.6g}" if span is not None else "unknown price"
        out.say(f"  {name:10}{shown}")
    out.say(f"  a gain of {found.minimum_detectable:.3f} would be seen on the held-out examples")
    if found.note:
        out.say(f"  {found.note}")
    return 0


def _as_json(result: Any, path: Any, gate: Gate) -> dict[str, Any]:
    names = ("verdict", "gain", "baseline", "compiled", "spent", "run", "stop", "notes")
    found = {name: getattr(result, name) for name in names}
    kept = {"path": path, "digest": result.artifact.digest}
    return {**found, "artifact": kept, "gate": gate}


def _tell(result: Any, path: Any, gate: Gate, out: Out) -> None:
    gain = f"  gain {estimate_text(result.gain, signed=True)}" if result.gain else ""
    out.say(f"{result.verdict}{gain}")
    for split in ("val", "test"):
        was, now = result.baseline.get(split), result.compiled.get(split)
        if was and now:
            out.say(f"  {split:9}{estimate_text(was)} -> {estimate_text(now)}")
    spent = result.spent
    money = "price unknown" if spent.usd is None else f"${spent.usd:,.2f}"
    out.say(
        f"  spent    {spent.rollouts:,} rollouts, {spent.calls:,} calls, {spent.tokens:,} tokens, "
        f"{money}, {spent.seconds:.0f} s"
    )
    out.say(f"  stopped  {result.stop}")
    for note in result.notes:
        out.say(f"  note     {note}")
    out.say(f"  artifact {path}")
    for line in gate.lines():
        out.say(f"  gate     {line}")
    out.say(f"next: compilm show {path}; compilm eval {path} --against baseline")
