"""What is asked is what DSPy's adapter asks, byte for byte, whatever the signature and demos."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.runtime.rendering import drawn
from tests.runtime.rendering.both import ADAPTERS, assert_same

GARBLED = "no answer at all"


@pytest.mark.parametrize("adapter", ADAPTERS)
@settings(max_examples=50)
@given(drawn.cases())
def test_the_requests_are_the_adapters_own(adapter: Any, case: Any) -> None:
    signature, demos, inputs = case
    assert_same(drawn.program(signature, demos), adapter(), [GARBLED], inputs)
