"""What all tests of rendering share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """DSPy warns of inputs of another type, which are drawn here on purpose."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
