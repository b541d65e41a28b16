"""The configuration file: where it is, what it holds, and on which line each key stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError

__all__ = ["File", "find_file", "named_file"]

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY_LINE = re.compile(r"""\s*([\w.\-"' ]+?)\s*=""")


def _lines(text: str) -> dict[str, int]:
    """The line (1-based) that each dotted key or table header stands on, first sight wins."""
    found: dict[str, int] = {}
    head = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _HEADER.match(line):
            head = _bare(match.group(1))
            found.setdefault(head, number)
        elif match := _KEY_LINE.match(line):
            found.setdefault(f"{head}.{_bare(match.group(1))}".lstrip("."), number)
    return found


def _bare(key: str) -> str:
    return ".".join(part.strip(" \"'") for part in key.split("."))


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file as read: its table and the lines its keys stand on."""

    path: Path
    table: dict[str, Any]
    prefix: str
    lines: dict[str, int]

    def place(self, key: str) -> str:
        """`compilm.toml:12`, the line of the key or of the nearest table above it."""
        whole = f"{self.prefix}{key}"
        while whole and whole not in self.lines:
            whole = whole.rpartition(".")[0]
        return f"{self.path.name}:{self.lines[whole]}" if whole else self.path.name


def _read_file(path: Path) -> File | None:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}") from error
    if path.name != "pyproject.toml":
        return File(path, document, "", _lines(text))
    table = document.get("tool", {}).get("compilm")
    return None if table is None else File(path, table, "tool.compilm.", _lines(text))


def find_file(cwd: Path) -> Path | None:
    """The configuration file that holds in `cwd`: there, or above it up to the repository's root.

    >>> find_file(Path("/nowhere")) is None
    True
    """
    for folder in (cwd, *cwd.parents):
        if (own := folder / "compilm.toml").is_file():
            return own
        shared = folder / "pyproject.toml"
        if shared.is_file() and _read_file(shared) is not None:
            return shared
        if (folder / ".git").exists() or (folder / ".hg").exists():
            return None
    return None


def named_file(path: Path) -> File:
    """The file at `path`, or the `compilm.toml` in the folder `path`."""
    found = _read_file(path / "compilm.toml" if path.is_dir() else path)
    if found is None:
        raise ConfigError(f"{str(path)!r} has no [tool.compilm]; add it or name another file")
    return found
