"""Where a verb's words go: data to stdout, progress to stderr, one JSON object where asked for."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

__all__ = ["Out", "as_json"]

_MARKS = {"ok": "32", "!!": "33", "xx": "31"}


@dataclass(slots=True)
class Out:
    """The two streams of one command.

    `json` turns everything for people off on stdout; `quiet` turns progress off on stderr.
    """

    json: bool = False
    quiet: bool = False
    verbose: int = 0
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    def say(self, text: str = "") -> None:
        """A line of the result, for people; nothing with `--json`."""
        if not self.json:
            print(text, file=self.stdout)

    def emit(self, value: Any) -> None:
        """The result as one JSON object on one line; nothing without `--json`."""
        if self.json:
            self.line(value)

    def note(self, text: str) -> None:
        """A line about the work, on stderr; nothing with `--quiet`."""
        if not self.quiet:
            print(text, file=self.stderr, flush=True)

    def error(self, text: str) -> None:
        """A line that says what went wrong, on stderr, quiet or not."""
        print(f"error: {text}", file=self.stderr, flush=True)

    def agreed(self, question: str) -> bool:
        """Whether the person at the terminal says yes."""
        print(f"{question} [y/N] ", end="", file=self.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def line(self, value: Any) -> None:
        """One JSON value on a line of its own, with `--json` or without."""
        print(json.dumps(as_json(value), ensure_ascii=False), file=self.stdout, flush=True)

    def mark(self, sign: str, text: str) -> None:
        """A line that starts with `ok`, `!!` or `xx`, in color where a person looks on."""
        shown = f"\x1b[{_MARKS[sign]}m{sign}\x1b[0m" if self.colored else sign
        self.say(f"{shown}  {text}")

    @property
    def colored(self) -> bool:
        """Whether stdout is a terminal that wants color (`NO_COLOR` and `CI` say no)."""
        refused = os.environ.get("NO_COLOR") or os.environ.get("CI")
        return self.stdout.isatty() and not refused

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal that a person looks at."""
        return self.stderr.isatty() and not os.environ.get("CI")


def as_json(value: Any) -> Any:
    """`value` as plain JSON data: dataclasses by their field names, tuples as lists, paths as text.

    >>> as_json({"pair": (1, None), 2: float("nan")})
    {'pair': [1, None], '2': None}
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item) for item in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "toDict"):
        return as_json(value.toDict())
    return str(value)
