"""The MCP servers that a configuration names."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from ..config import Config, load_config
from ..errors import ConfigError
from .server import McpServer

__all__ = ["configured"]


def configured(name: str, config: Config | None = None) -> McpServer:
    """The server of `[tools.NAME]`; without a `config`, of the file that holds in this folder.

    Raises `ConfigError` where there is no such section, or where it makes no sense.

    >>> from compilm.config.settings import ToolSettings
    >>> configured("claims", Config(tools={"claims": ToolSettings(command=("claims-server",))}))
    McpServer('claims', 'claims-server')
    """
    if config is None:
        config = load_config(None, env=os.environ, cwd=Path.cwd())
    settings = config.tools.get(name)
    if settings is None:
        near = get_close_matches(name, config.tools, n=1)
        known = ", ".join(config.tools) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"configured are: {known}"
        raise ConfigError(f"there is no [tools.{name}] in {config.file or config.cwd}; {hint}")
    seconds = config.runtime.tool_timeout if settings.timeout is None else settings.timeout
    return McpServer(
        name,
        command=settings.command,
        url=settings.url,
        only=settings.only,
        idempotent=settings.idempotent,
        timeout=seconds,
        env=settings.env,
        key_env=settings.key_env,
        cwd=_below(config, f"tools.{name}.cwd", settings.cwd or "."),
        remote=settings.remote,
        log=None if settings.log is None else _below(config, f"tools.{name}.log", settings.log),
    )


def _below(config: Config, key: str, path: str) -> str:
    """A path of the configuration, from where it is relative to."""
    return str(config.base(key) / Path(path).expanduser())
