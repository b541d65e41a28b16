"""Answer one input with a compiled program, or JSON lines from stdin in their order."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ..errors import CompilmError, UsageError
from .inputs import Caller, given_inputs
from .loading import add_program, loaded
from .options import configuration
from .out import Out
from .tracing import tracing

if TYPE_CHECKING:
    from ..runtime.layers.book import Entry

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm run build/desk message="My chain broke"
  compilm run build/desk message=@letter.txt k:=3      text of a file; a JSON value
  compilm run build/desk - < rows.jsonl > answers.jsonl

With `-` every line is a JSON object of inputs (other fields are ignored) and every answer a line;
a line that fails gives {"error": ...} in its place and the exit code of the first such error."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("artifact", metavar="ARTIFACT")
    parser.add_argument("inputs", nargs="+", metavar="KEY=VALUE|-")
    parser.add_argument("--concurrency", type=int, metavar="N", help="lines answered side by side")
    add_program(parser)


def run(args: argparse.Namespace, out: Out) -> int:
    """Answer what was asked."""
    from ..runtime.layers.ledger import billed

    lines = args.inputs == ["-"]
    given = {} if lines else given_inputs(args.inputs)
    flags = {"program": args.program, "runtime.concurrency": args.concurrency}
    config = configuration(args, flags)
    with (
        tracing(config, out) as tracer,
        billed() as bill,
        closing(loaded(args.artifact, config, out, tracer)) as runtime,
    ):
        caller = Caller(runtime)
        if lines:
            code = _stream(caller, sys.stdin, config.runtime.concurrency, out)
            _tell(bill.total, out)
            return code
        answer = caller.answer(given)
    out.emit({**answer, **_spent(bill.total)})
    _tell(bill.total, out)
    for name, value in answer.items():
        out.say(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0


def _spent(total: Entry) -> dict[str, Any]:
    """What an answer used, under a name that no output can have; empty where nobody was asked."""
    return {"_spent": total.to_json()} if total.calls else {}


def _tell(total: Entry, out: Out) -> None:
    if total.calls:
        calls = "1 call" if total.calls == 1 else f"{total.calls:,} calls"
        told = f"{calls} ({total.hits:,} from the cache), {total.tokens:,} tokens"
        out.note(f"{told}, {total.money}")


def _stream(caller: Caller, lines: Iterable[str], concurrency: int, out: Out) -> int:
    """Answers to lines in their order, at most `concurrency` ahead of the one written next."""
    code = 0
    for answer, failed in _answers(caller, lines, concurrency):
        out.line(answer)
        code = code or failed
    return code


def _answers(
    caller: Caller, lines: Iterable[str], concurrency: int
) -> Iterator[tuple[dict[str, Any], int]]:
    waiting: deque[Future[tuple[dict[str, Any], int]]] = deque()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="compilm-run") as pool:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                inside = copy_context()  # the bill of all lines is in it
                waiting.append(pool.submit(inside.run, _line, caller, line, number))
            while len(waiting) >= concurrency or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _line(caller: Caller, line: str, number: int) -> tuple[dict[str, Any], int]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise UsageError(f"expected a JSON object, not {line.strip()[:40]!r}")
        given = {name: value for name, value in row.items() if name in caller.inputs}
        return caller.answer(given), 0
    except Exception as error:  # border: one line's failure is that line's answer
        code = error.exit_code if isinstance(error, CompilmError) else 3
        code = 2 if isinstance(error, ValueError) and code == 3 else code
        told = {"kind": type(error).__name__, "message": str(error), "line": number}
        return {"error": told}, code
