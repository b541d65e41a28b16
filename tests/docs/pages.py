"""The pages of the documentation as blocks of code, and a shell small enough to run them."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from compilm.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"#\s*exit (\d+)\s*$")
_NUMBER = re.compile(r"(?<!\w)[-+−]?\$?\d[\d.,:]*")
_SERVED = "http://127.0.0.1:8000"


class Block(NamedTuple):
    """One fenced block: its language, the words after it, its text, the line its text starts on."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def lacking(block: Block) -> list[str]:
    """The libraries that a block says it needs (`needs-NAME`) and that are not installed."""
    wanted = [word.removeprefix("needs-") for word in block.words if word.startswith("needs-")]
    return [name for name in wanted if find_spec(name) is None]


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start(3)) + 1
        yield Block(match[1], tuple(match[2].split()), match[3], line)


class Command(NamedTuple):
    """A line that starts with `$ `: what is typed, what is shown below it, how it ends."""

    typed: str
    shown: tuple[str, ...]
    code: int


def commands_of(text: str) -> Iterator[Command]:
    """The commands of a console block; one ends with 0 unless `# exit N` stands behind it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed, *shown = part.splitlines()
        code = _CODE.search(typed)
        yield Command(_CODE.sub("", typed).strip(), tuple(shown), int(code[1]) if code else 0)


@dataclass(slots=True)
class Shell:
    """Runs `compilm` in this process, and the few other commands that the pages use.

    `compilm serve` goes on in a process of its own until the page ends; `curl` then asks it.
    """

    capture: Callable[[], tuple[str, str]]
    monkeypatch: pytest.MonkeyPatch
    servers: list[tuple[subprocess.Popen[str], str]] = field(default_factory=list)

    def run(self, command: Command) -> str:
        """What the command wrote; a wrong exit code or another output than shown is a failure."""
        words = shlex.split(command.typed, comments=True)
        if words[:2] == ["compilm", "serve"]:
            return self._serve(words[2:])
        if words[0] == "curl":
            return self._ask(words)
        assert words[0] == "compilm", f"{command.typed!r} is not run: mark its block no-run"
        code, written = self._compilm(words[1:])
        assert code == command.code, f"$ {command.typed}\nexit {code}\n{written}"
        return written

    def _compilm(self, words: list[str]) -> tuple[int, str]:
        words, source = _without(words, "<")
        words, target = _without(words, ">")
        with self.monkeypatch.context() as patch:
            if source:
                patch.setattr(sys, "stdin", io.StringIO(Path(source).read_text("utf-8")))
            self.capture()
            code = main(words)
            out, err = self.capture()
        if target:
            Path(target).write_text(out, "utf-8")
            return code, err
        return code, out + err

    def _serve(self, words: list[str]) -> str:
        asked = [sys.executable, "-m", "compilm", "serve", *words, "--port", "0", "--json"]
        process = subprocess.Popen(
            asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        self.servers.append((process, told.get("address", "")))
        assert told, f"compilm serve {words} ended with {process.wait()}"
        return str(told)

    def _ask(self, words: list[str]) -> str:
        url = next(word for word in words if word.startswith(_SERVED))
        flag = next((word for word in words if word in ("-d", "--json")), None)
        body = None if flag is None else words[words.index(flag) + 1]
        address = self.servers[-1][1] + url.removeprefix(_SERVED)
        form = "application/x-www-form-urlencoded"  # what curl says of `-d`
        headers = {"content-type": "application/json" if flag == "--json" else form}
        with httpx.Client(trust_env=False, timeout=60) as client:
            verb = "GET" if body is None else "POST"
            answer = client.request(verb, address, content=body, headers=headers)
        assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text}"
        return answer.text

    def close(self) -> None:
        """Stop what still serves; a server that is told to stop ends with 0."""
        for process, _ in self.servers:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 0


def _without(words: list[str], sign: str) -> tuple[list[str], str]:
    if sign not in words:
        return words, ""
    at = words.index(sign)
    return words[:at] + words[at + 2 :], words[at + 1]


@contextmanager
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell for one page."""

    def capture() -> tuple[str, str]:
        found = capsys.readouterr()
        return found.out, found.err

    one = Shell(capture, monkeypatch)
    try:
        yield one
    finally:
        one.close()


def missing_lines(shown: tuple[str, ...], written: str) -> list[str]:
    """The shown lines that were not written; figures may differ, and `...` stands for anything."""
    real = [_even(line) for line in written.splitlines()]
    patterns = {
        line: ".*".join(re.escape(_even(part)) for part in line.split("..."))
        for line in shown
        if line.strip()
    }
    return [
        line
        for line, pattern in patterns.items()
        if not any(re.fullmatch(pattern, one) for one in real)
    ]


def _even(line: str) -> str:
    return " ".join(_NUMBER.sub("0", line).split())


def python_of(page: Path, folder: Path) -> Path:
    """A file of the page's python blocks alone, each on the lines that it has in the page."""
    text = ""
    for block in blocks_of(page.read_text("utf-8")):
        if block.language == "python" and "no-run" not in block.words:
            text += "\n" * (block.line - 1 - text.count("\n")) + block.text
    file = folder / f"{page.stem.lower()}_snippets.py"
    file.write_text(text, "utf-8")
    return file


def run_python(block: Block, file: Path, namespace: dict[str, Any]) -> None:
    """Execute a python block; its sources and tracebacks have the lines of the page."""
    code = compile("\n" * (block.line - 1) + block.text, str(file), "exec", dont_inherit=True)
    exec(code, namespace)
