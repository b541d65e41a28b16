"""The options every verb has, and the configuration they lead to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ..config import Config, load_config
from ..errors import ConfigError

__all__ = ["Parser", "common", "configuration"]


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are `ConfigError`s, told like every other error."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ConfigError(f"{message}; see {self.prog} --help")


def common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every verb has."""
    group = parser.add_argument_group("every verb")
    group.add_argument("--config", metavar="FILE", help="compilm.toml, pyproject.toml or a folder")
    group.add_argument("--target", metavar="NAME", help="the [target.NAME] to use")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set any key of the file"
    )
    group.add_argument("--json", action="store_true", help="one JSON object on stdout")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    group.add_argument("-v", "--verbose", action="count", default=0, help="say more")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def configuration(args: argparse.Namespace, flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration that the options lead to; `flags` are dotted keys with flags' values."""
    return load_config(
        args.config,
        target=args.target,
        flags=flags or {},
        env=os.environ,
        cwd=Path.cwd(),
        settings=args.set,
    )
