"""A framework that is imported when a bridge to it is first crossed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import MissingExtra

__all__ = ["library"]


def library(module: str, *, extra: str, purpose: str) -> Any:
    """The module of a framework, imported; `MissingExtra` names what to install for it.

    >>> library("json", extra="bridges", purpose="read JSON").loads("[1]")
    [1]
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(module.partition(".")[0], extra=extra, purpose=purpose) from error
