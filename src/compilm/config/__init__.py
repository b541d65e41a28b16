"""The configuration of one target: flag over environment over file over default, origins kept.

The file is `compilm.toml`, or `[tool.compilm]` in `pyproject.toml`, found in the working folder
or above it. Paths in it are relative to the file; paths in flags and in the environment are
relative to the working folder. Keys of providers never stand here: they come from the environment.
"""

from __future__ import annotations

from .file import find_file
from .load import load_config
from .settings import (
    CompileSettings,
    Config,
    DataSettings,
    GateSettings,
    Hedging,
    RoleSettings,
    Row,
    RuntimeSettings,
    SplitSettings,
    ToolSettings,
    TrackSettings,
)
from .values import parse_budget

__all__ = [
    "CompileSettings",
    "Config",
    "DataSettings",
    "GateSettings",
    "Hedging",
    "RoleSettings",
    "Row",
    "RuntimeSettings",
    "SplitSettings",
    "ToolSettings",
    "TrackSettings",
    "find_file",
    "load_config",
    "parse_budget",
]
