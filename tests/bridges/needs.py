"""Frameworks that bridges lead to: tests are skipped without them, and fail where required."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

import pytest

__all__ = ["QUIET", "needs"]

# What a framework warns of in its own code says nothing about ours.
QUIET = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def needs(module: str) -> Any:
    """The module, or a skip of the whole file; a failure where `COMPILM_BRIDGES=required`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module(module)
        except ImportError as error:
            if os.environ.get("COMPILM_BRIDGES") == "required":
                raise
            pytest.skip(f"{module} is not installed: {error}", allow_module_level=True)
