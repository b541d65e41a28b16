"""List the calls that were run or served, newest last, show one as a tree, or send them on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..journal import Journal, MemoryJournal, SqliteJournal
from .options import configuration
from .out import Out
from .place import shown, trace_path

if TYPE_CHECKING:
    from ..runtime.tracing import Trace

__all__ = ["arguments", "kept_traces", "run"]

EXAMPLES = """examples:
  compilm traces                        the last 20
  compilm traces --failed --limit 1000  those of the last 1000 that failed
  compilm traces 3f2a                   the one whose id starts so, as a tree
  compilm traces last --texts           the newest, with prompts and answers, where they were kept
  compilm traces --export http://127.0.0.1:5000/v1/traces --header x-mlflow-experiment-id=1

What is kept is set by runtime.trace: none, numbers (no text of any call), or texts. Headers that
hold a key belong in the environment: OTEL_EXPORTER_OTLP_HEADERS="Authorization=..."."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("trace", nargs="?", metavar="TRACE", help="how its id starts, or last")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="look at the last N")
    parser.add_argument("--failed", action="store_true", help="only those that ended in an error")
    parser.add_argument("--texts", action="store_true", help="show prompts and answers in full")
    parser.add_argument("--traces", metavar="FILE", help="the file to read")
    parser.add_argument("--export", metavar="URL", help="send them by OTLP over HTTP")
    parser.add_argument(
        "--header", action="append", default=[], metavar="NAME=VALUE", help="a header to send"
    )


def run(args: argparse.Namespace, out: Out) -> int:
    """List, show or send."""
    config = configuration(args, {"runtime.trace_path": args.traces})
    with kept_traces(config) as journal:
        found = list(_chosen(args, journal))
        if args.export is not None:
            return _send(args, found, out)
        if args.trace is not None:
            return _show(found[0], args.texts, out)
        return _list(found, config, out)


@contextmanager
def kept_traces(config: Config) -> Iterator[Journal]:
    """The journal of traces; an empty one where there is no file."""
    path = trace_path(config)
    with closing(SqliteJournal(path) if path.is_file() else MemoryJournal()) as journal:
        yield journal


def _chosen(args: argparse.Namespace, journal: Journal) -> Iterator[Trace]:
    from ..runtime.tracing.reading import find_trace, last_traces

    if args.trace is not None:
        yield find_trace(journal, args.trace)
        return
    for trace in last_traces(journal, max(args.limit, 0)):
        if trace.root.error or not args.failed:
            yield trace


def _list(found: list[Trace], config: Config, out: Out) -> int:
    from ..runtime.tracing.tree import line_of

    path = trace_path(config)
    out.emit({"file": str(path), "traces": [_row(trace) for trace in found]})
    for trace in found:
        out.say(line_of(trace))
    if not found:
        off = config.runtime.trace == "none"
        why = "runtime.trace is none" if off else "compilm run and serve make some"
        out.say(f"no traces in {shown(Path(path))}; {why}")
    return 0


def _show(trace: Trace, whole: bool, out: Out) -> int:
    from ..runtime.tracing.tree import line_of, tree_of

    out.emit(trace)
    out.say(line_of(trace))
    out.say(f"{trace.id}  {trace.digest}")
    for line in tree_of(trace, whole=whole):
        out.say(line)
    return 0


def _row(trace: Trace) -> dict[str, Any]:
    """A trace as `--json` lists it."""
    return {
        "id": trace.id,
        "program": trace.program,
        "digest": trace.digest,
        "at": trace.root.start,
        "seconds": trace.root.seconds,
        "calls": len(trace.calls),
        "input_tokens": trace.total("input_tokens"),
        "output_tokens": trace.total("output_tokens"),
        "usd": trace.total("usd"),
        "error": trace.root.error,
        "keeps": trace.keeps,
    }


def _send(args: argparse.Namespace, found: list[Trace], out: Out) -> int:
    from ..runtime.tracing.otlp import headers_of, send

    sent = send(found, args.export, headers_of(args.header))
    out.emit({"sent": sent, "to": args.export})
    out.say(f"{sent} traces sent to {args.export}")
    return 0
