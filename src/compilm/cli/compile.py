"""Search for better instructions and demos, prove the gain on held-out examples, save the result.

The same command again goes on where the last one stopped and pays for nothing twice.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import BudgetExceeded, CallFailed, ConfigError, ProviderRejected
from ..journal import Journal, open_journal
from .gate import Gate, gate_of
from .labels import odd_labels_of
from .options import configuration
from .out import Out
from .place import check_out, journal_path, out_path, shown, target_name
from .target import metric_of, parts_of, program_of, roles_of

if TYPE_CHECKING:
    from ..optimizers.result import CompileResult

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm compile --plan                        what it would cost; spends nothing
  compilm compile -O2 --budget 1000rollouts --seed 0 --out build/desk --json
  compilm compile --optimizer dspy.MIPROv2 --budget 5usd,2000calls --yes
  compilm compile --optimizer dspy.COPRO --optimizer-options '{ breadth = 5, depth = 2 }'"""

_KEYS = {
    "budget": "compile.budget",
    "seed": "compile.seed",
    "out": "compile.out",
    "journal": "compile.journal",
    "concurrency": "compile.concurrency",
    "optimizer": "compile.optimizer",
    "optimizer_options": "compile.optimizer_options",
    "level": "compile.level",
    "fail_under": "gate.fail_under",
    "max_regression": "gate.max_regression",
    "track": "track.mlflow",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "-O",
        dest="level",
        type=int,
        choices=range(4),
        help="0 measures, 1 demonstrations, 2 instructions too, 3 reflection and savings",
    )
    how.add_argument("--optimizer", metavar="NAME", help="one of DSPy's, as dspy.MIPROv2")
    parser.add_argument(
        "--optimizer-options", metavar="TABLE", help="its options, as '{ num_candidates = 6 }'"
    )
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
    asked = _asked(config)
    _tell_labels(asked, out)
    if args.plan:
        return _plan(asked, out)
    check_out(out_path(config))
    _confirm(args, asked, out)
    journal = open_journal(journal_path(config))
    try:
        result = _compiled(asked, config, journal, _progress(args.progress, out))
        _check_scored(result, journal)
        path = (result if args.report else replace(result, render=None)).save(out_path(config))
    finally:
        journal.close()
    # Only held-out examples decide: the search has seen the others.
    gain = result.gain if result.gain.n else None
    gate = gate_of(config.gate, result.compiled.get("test"), gain)
    kept = {"path": str(path), "digest": result.artifact.digest}
    out.emit({**result.to_json(), "artifact": kept, "gate": gate})
    _tell(result, path, gate, out)
    return gate.exit_code(result.stop)


def _compiled(
    asked: dict[str, Any], config: Config, journal: Journal, progress: Any
) -> CompileResult:
    from ..api import compile

    return compile(
        **asked,
        journal=journal,
        reference=config.program or "",
        progress=progress,
        track=config.track.mlflow,
        attempts=config.runtime.attempts,
    )


def _check_scored(result: CompileResult, journal: Journal) -> None:
    """An error where no example was scored: there is nothing that an artifact could tell."""
    if any(found is not None for found in result.baseline.values()):
        return
    if result.stop.startswith("interrupted"):
        raise KeyboardInterrupt
    failed = [record.body["error"] for record in journal.read(result.run, kinds=["call.failed"])]
    told = f"no example was scored, and no artifact is written: {result.stop}"
    if result.stop.startswith("rejected"):
        raise ProviderRejected(told)
    if failed:
        raise CallFailed(f"{told}; {len(failed)} calls failed, the last with {failed[-1]}")
    if result.stop.startswith("budget"):
        raise BudgetExceeded(told)


def _asked(config: Config) -> dict[str, Any]:
    """The arguments that `compilm.compile` and `compilm.plan` share."""
    from ..optimizers.budget import Budget
    from ..optimizers.front import Constraints
    from ..prices import Prices

    program, metric = program_of(config), metric_of(config)
    parts, settings = parts_of(config, program), config.compile
    named: dict[str, Any] = dict(settings.budget)
    return {
        "program": program,
        "metric": metric,
        "trainset": parts.train,
        "valset": parts.val,
        "testset": parts.test,
        "budget": Budget(**named) if named else None,
        "roles": roles_of(config),
        "seed": settings.seed,
        "prices": Prices(config.prices),
        "concurrency": settings.concurrency,
        "freeze": settings.freeze,
        "constraints": Constraints(**settings.constraints),
        "name": target_name(config),
        "optimizer": settings.optimizer,
        "optimizer_options": settings.optimizer_options,
        **({} if settings.level is None else {"level": settings.level}),
    }


def _tell_labels(asked: dict[str, Any], out: Out) -> None:
    """A label that no answer can equal makes its example a loss for every candidate: say so."""
    sets = [asked[name] for name in ("trainset", "valset", "testset") if asked[name] is not None]
    told = odd_labels_of(asked["program"], sets)
    if told:
        out.note(f"!!    labels  {told}; compilm check tells the rest")


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
    _plan(asked, Out(stdout=out.stderr))
    if not out.agreed("go on?"):
        raise ConfigError("not started; --yes does not ask")


def _plan(asked: dict[str, Any], out: Out) -> int:
    from ..api import plan

    found = plan(**asked)
    out.emit(found.to_json())
    out.say("plan, nothing is spent yet")
    for line in str(found).splitlines():
        out.say(f"  {line}")
    return 0


def _tell(result: CompileResult, path: Path, gate: Gate, out: Out) -> None:
    out.say(result.headline)
    out.say(f"  gain      {result.gain_text}")
    if result.verdict in ("proven", "likely") and result.held_out is not None:
        out.say(f"  on test   {result.held_out:+.3f}")  # what `compilm eval --against` measures
    for split in ("val", "test"):
        before, after = result.baseline.get(split), result.compiled.get(split)
        if before is not None and after is not None:
            out.say(f"  {split:9} {before:.3f} -> {after:.3f}")
    spent = result.spent
    money = "price unknown" if spent.usd is None else f"${spent.usd:,.4f}"
    out.say(
        f"  spent     {spent.rollouts:,} rollouts, {spent.calls:,} calls, {spent.tokens:,} tokens, "
        f"{money}, {spent.seconds:.1f} s"
    )
    out.say(f"  stopped   {result.stop}")
    for note in result.notes:
        out.say(f"  note      {note}")
    for line in gate.lines():
        out.say(f"  gate      {line}")
    out.say(f"  artifact  {shown(path)}  {result.artifact.digest}")
    if (path / "report.html").is_file():
        out.say(f"  report    {shown(path / 'report.html')}")
    first = f"compilm show {shown(path)}" if result.finished else "the same command goes on"
    out.say(f"next: {first}; compilm eval {shown(path)} --against baseline")
