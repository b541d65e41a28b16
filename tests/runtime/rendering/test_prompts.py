"""What is asked is what DSPy's adapter asks, byte for byte, whatever the signature and demos."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.runtime.rendering import drawn
from tests.runtime.rendering.both import ADAPTERS, assert_same

SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}
GARBLED = "no answer at all"


@pytest.fixture(autouse=True)
def _no_warnings() -> Any:
    """DSPy warns of inputs of another type, which are drawn on purpose."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("adapter", ADAPTERS)
@settings(max_examples=60, **SLOW)
@given(drawn.cases())
def test_the_requests_are_the_adapters_own(adapter: Any, case: Any) -> None:
    signature, demos, inputs = case
    assert_same(drawn.program(signature, demos), adapter(), [GARBLED], inputs)
