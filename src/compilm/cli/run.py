"""Answer one input with a compiled program, or JSON lines from stdin in their order."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CompilmError, UsageError
from .loading import add_program, loaded
from .options import configuration
from .out import Out

if TYPE_CHECKING:
    from ..runtime.load import Runtime

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
    lines = args.inputs == ["-"]
    given = {} if lines else _given(args.inputs)
    flags = {"program": args.program, "runtime.concurrency": args.concurrency}
    config = configuration(args, flags)
    caller = _Caller(loaded(args.artifact, config, out))
    if lines:
        return _stream(caller, sys.stdin, config.runtime.concurrency, out)
    answer = caller.answer(given)
    out.emit(answer)
    for name, value in answer.items():
        out.say(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return 0


def _given(items: Iterable[str]) -> dict[str, Any]:
    """The inputs in `key=text`, `key=@file` and `key:=json`."""
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.rstrip(":"):
            raise UsageError(f"{item!r}: expected key=text, key=@file or key:=json, or - alone")
        found[key.rstrip(":")] = _value(item, text, is_json=key.endswith(":"))
    return found


def _value(item: str, text: str, *, is_json: bool) -> Any:
    if is_json:
        try:
            return json.loads(text)
        except ValueError as error:
            raise UsageError(f"{item!r}: not JSON after := ({error})") from None
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{item!r}: {error}") from None
    return text


class _Caller:
    """A runtime with its inputs checked and typed as its HTTP endpoint does it."""

    def __init__(self, runtime: Runtime) -> None:
        from ..runtime.http.schema import request_model

        self._runtime = runtime
        self.inputs = runtime.inputs
        self._model = request_model("Input", runtime.program, runtime.inputs, runtime.optional)

    def answer(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs for these inputs; `UsageError` names a wrong or missing one."""
        from pydantic import ValidationError

        from ..runtime.http.schema import answer_of

        try:
            body = self._model.model_validate(dict(given))
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
            )
            wanted = ", ".join(self.inputs)
            raise UsageError(f"{told}. The program takes {wanted}") from None
        return answer_of(
            self._runtime(**{name: getattr(body, name) for name in body.model_fields_set})
        )


def _stream(caller: _Caller, lines: Iterable[str], concurrency: int, out: Out) -> int:
    """Answers to lines in their order, at most `concurrency` ahead of the one written next."""
    code = 0
    for answer, failed in _answers(caller, lines, concurrency):
        out.line(answer)
        code = code or failed
    return code


def _answers(
    caller: _Caller, lines: Iterable[str], concurrency: int
) -> Iterator[tuple[dict[str, Any], int]]:
    waiting: deque[Future[tuple[dict[str, Any], int]]] = deque()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="compilm-run") as pool:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                waiting.append(pool.submit(_line, caller, line, number))
            while len(waiting) >= concurrency or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _line(caller: _Caller, line: str, number: int) -> tuple[dict[str, Any], int]:
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
