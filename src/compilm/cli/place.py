"""Where a command's files are: the journal, the artifact that is asked for, the default output."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..config import Config
from ..errors import ConfigError

__all__ = [
    "artifact_path",
    "check_out",
    "is_artifact",
    "journal_path",
    "out_path",
    "reviews_place",
    "shown",
    "target_name",
    "trace_path",
]


def journal_path(config: Config) -> Path:
    """`compile.journal`, else `.compilm/journal.db` beside the configuration."""
    if config.compile.journal is not None:
        return Path(config.compile.journal)
    return config.folder / ".compilm" / "journal.db"


def trace_path(config: Config) -> Path:
    """`runtime.trace_path`, else `.compilm/traces.db` beside the configuration."""
    if config.runtime.trace_path is not None:
        return Path(config.runtime.trace_path)
    return config.folder / ".compilm" / "traces.db"


def reviews_place(config: Config) -> str:
    """`runtime.reviews`, else `.compilm/reviews.db` beside the configuration."""
    place = config.runtime.reviews or ".compilm/reviews.db"
    return place if "://" in place else str(config.folder / place)


def target_name(config: Config) -> str:
    """What the target is called: its name, its table's name, else its program's, in lower case.

    >>> target_name(Config(program="app/desk.py:ClaimsDesk"))
    'claimsdesk'
    """
    named = config.name or config.target or (config.program or "program").rpartition(":")[2]
    return re.sub(r"[^a-z0-9_.-]+", "-", named.lower()).strip("-.") or "program"


def out_path(config: Config) -> Path:
    """`compile.out`, else `build/<name>` beside the configuration."""
    if config.compile.out is not None:
        return Path(config.compile.out)
    return config.folder / "build" / target_name(config)


def check_out(path: Path) -> None:
    """`ConfigError` where nothing can be written at `path`: said before anything is spent.

    >>> check_out(Path("build/desk"))
    >>> check_out(Path(__file__) / "desk")
    Traceback (most recent call last):
    compilm.errors.ConfigError: ...
    """
    at = (path.parent if path.suffix == ".json" else path).absolute()
    there = next(one for one in (at, *at.parents) if one.exists())
    if not there.is_dir():
        raise ConfigError(f"--out {shown(path)}: {shown(there)} is no folder; name another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {shown(path)}: {shown(there)} cannot be written to")


def artifact_path(text: str) -> Path:
    """The artifact a person means: a folder or file as given.

    >>> artifact_path("build/desk").as_posix()
    'build/desk'
    """
    return Path(text).expanduser()


def shown(path: Path) -> str:
    """The path as a person in the working folder would write it.

    >>> shown(Path.cwd() / "build" / "desk")
    'build/desk'
    """
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def is_artifact(text: str) -> bool:
    """Whether there is an artifact at this path.

    >>> is_artifact("no/such/folder")
    False
    """
    path = artifact_path(text)
    return path.is_file() or (path / "artifact.json").is_file()
