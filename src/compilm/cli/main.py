"""Parse, dispatch to one verb, and turn its errors into one message and an exit code."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import NoReturn

from ..errors import BudgetExceeded, CompilmError, ConfigError, ProgramError
from .options import Parser, common
from .out import Out

__all__ = ["VERBS", "entry", "main"]

VERBS = {
    "init": "write compilm.toml for a program and its data, or a small starter",
    "check": "check program, metric and data without spending anything",
    "compile": "search, prove on held-out examples, write the artifact",
    "eval": "score an artifact or the configured program; gate a build",
    "run": "answer one input, or JSON lines from stdin",
    "show": "show an artifact, a run or the configuration",
    "diff": "show what changed between two artifacts",
    "runs": "list the runs of the journal",
    "serve": "serve an artifact over HTTP",
    "reviews": "list, claim and answer what programs ask people",
    "traces": "list what was run or served, show one as a tree, send them on",
    "replay": "run a recorded call again, offline",
    "drill": "try an artifact against providers that fail on purpose",
    "doctor": "look at this installation for known trouble",
}
_EXITS = """exit codes:
  0 ok   1 gate failed   2 usage or configuration   3 program, metric, data or artifact
  4 provider or authentication   5 budget gone before the gate   70 a bug   130 interrupted"""
_BUG = 70


def entry() -> NoReturn:
    """Run the command line of this process and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command and give back its exit code; nothing but `--help` raises `SystemExit`.

    >>> main(["--version"]) == 0
    compilm ...
    True
    """
    if not argv:
        Out().note(_overview())
        return 2
    if argv[0] in ("-h", "--help", "-V", "--version"):
        Out().say(_overview() if "h" in argv[0] else f"compilm {_version()}")
        return 0
    out = Out(json="--json" in argv, quiet="--quiet" in argv or "-q" in argv)
    try:
        return _verb(argv[0], argv[1:], out)
    except BaseException as error:  # border: everything becomes one message and an exit code
        return _report(error, out, debug="--debug" in argv)


def _version() -> str:
    from .. import __version__

    return __version__


def _verb(verb: str, rest: Sequence[str], out: Out) -> int:
    if verb not in VERBS:
        raise ConfigError(_no_such(verb))
    module = importlib.import_module(f"compilm.cli.{verb}")
    parser = Parser(
        prog=f"compilm {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=getattr(module, "EXAMPLES", None),
        allow_abbrev=False,
    )
    module.arguments(parser)
    common(parser)
    args = parser.parse_intermixed_args(rest)  # inputs may stand before and after options
    out.verbose = args.verbose
    try:
        with redirect_stdout(out.stderr):  # what the user's program prints is no data of ours
            code: int = module.run(args, out)
    except SystemExit as stop:
        raise ProgramError(
            f"the program or the metric called sys.exit({stop.code!r}): let it raise an error, so "
            "that one example does not end the command"
        ) from stop
    return code


def _no_such(verb: str) -> str:
    if verb.startswith("-"):
        return f"options come after the verb: compilm VERB {verb}; see compilm --help"
    near = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the verbs are {', '.join(VERBS)}"
    return f"there is no verb {verb!r}; {hint}"


def _overview() -> str:
    verbs = "\n".join(f"  {verb:9}{text}" for verb, text in VERBS.items())
    return (
        "usage: compilm VERB [options]\n\n"
        "An optimizing compiler for LM programs: search, prove, ship and serve dspy.Modules.\n\n"
        f"verbs:\n{verbs}\n\ncompilm VERB --help tells more; compilm --version\n\n{_EXITS}"
    )


def _report(error: BaseException, out: Out, *, debug: bool) -> int:
    """Tell what went wrong in one message; the border where every error ends."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, BrokenPipeError):
        # The reader of our stdout went away (`| head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if debug:
        traceback.print_exception(error, file=out.stderr)
    code, message = _verdict(error)
    out.emit({"error": {"kind": type(error).__name__, "message": message, "exit_code": code}})
    out.error(message)
    return code


def _verdict(error: BaseException) -> tuple[int, str]:
    if isinstance(error, CompilmError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted; what was paid for is in the journal, the same command goes on"
    if isinstance(spent := error.__cause__, BudgetExceeded):  # DSPy tells it in words of its own
        return spent.exit_code, str(spent)
    kind = type(error)
    if kind.__module__.startswith("dspy.") and (
        kind.__name__.startswith("LM") or kind.__name__ == "ContextWindowExceededError"
    ):
        return 4, f"the model did not answer: {kind.__name__}: {error}"
    if isinstance(error, OSError):
        return 2, f"{kind.__name__}: {error}"
    return _BUG, f"unexpected {kind.__name__}: {error} (--debug shows where)"
