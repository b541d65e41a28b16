"""Run a recorded call again, offline: the trace's own answers take the place of the models."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import ProgramError
from .inputs import Caller
from .loading import add_program, opened
from .options import configuration
from .out import Out
from .place import out_path
from .traces import kept_traces

if TYPE_CHECKING:
    from ..runtime.tracing.replay import Replay

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm replay last                   the newest, in build/NAME
  compilm replay 3f2a build/desk-next   in another artifact

Nothing is sent and nothing is spent. It takes a trace that keeps texts (runtime.trace = "texts").
Exit code 0: the same outputs; 1: other outputs; 3: the program asks what is not in the trace."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("trace", metavar="TRACE", help="how its id starts, or last")
    parser.add_argument("artifact", nargs="?", metavar="ARTIFACT", help="(else: build/NAME)")
    parser.add_argument("--traces", metavar="FILE", help="the file to read")
    add_program(parser)


def run(args: argparse.Namespace, out: Out) -> int:
    """Run it again, and compare."""
    from ..runtime.tracing.reading import find_trace
    from ..runtime.tracing.replay import Replay

    flags = {"program": args.program, "runtime.trace_path": args.traces}
    config = configuration(args, flags)
    with kept_traces(config) as journal:
        replay = Replay(find_trace(journal, args.trace))
    outputs, error = _outcome(replay, args.artifact or str(out_path(config)), config, out)
    same = outputs == replay.outputs and error == replay.trace.root.error
    out.emit(
        {
            "trace": replay.trace.id,
            "same": same,
            "outputs": outputs,
            "recorded": replay.outputs,
            "error": error,
        }
    )
    _tell(outputs, error, same, replay, out)
    return 0 if same else 1


def _outcome(
    replay: Replay, artifact: str, config: Config, out: Out
) -> tuple[dict[str, Any] | None, str | None]:
    """What the program gives now, or the name of the error that it ends in."""
    from ..runtime.load import load

    found, program = opened(artifact, config)
    if found.digest != replay.trace.digest:
        out.note(f"{artifact} is another artifact than the one that ran: its prompts may differ")
    caller = Caller(load(found, program, roles=replay.roles))
    try:
        with replay.offline():
            outputs, error = caller.answer(replay.inputs), None
    except Exception as raised:  # border: how the recorded call ended is compared with it
        outputs, error = None, type(raised).__name__
        if not replay.missing and error != replay.trace.root.error:
            raise
    if replay.missing:
        times = "once" if replay.missing == 1 else f"{replay.missing} times"
        raise ProgramError(
            f"the program asked {times} what trace {replay.trace.id[:12]} holds no answer to: the "
            "program, its artifact or what it looks up has changed since"
        )
    return outputs, error


def _tell(
    outputs: dict[str, Any] | None, error: str | None, same: bool, replay: Replay, out: Out
) -> None:
    for name, value in (outputs or {}).items():
        out.say(f"{name}: {_text(value)}")
    if error is not None:
        out.say(f"failed: {error}")
    if same:
        out.note("the same as when it was recorded")
        return
    recorded = replay.outputs or {"error": replay.trace.root.error}
    for name, value in recorded.items():
        if (outputs or {}).get(name) != value:
            out.note(f"recorded was {name}: {_text(value)}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
