"""The setting of the near cache: checked as a whole, and off by default."""

from __future__ import annotations

from typing import Any

import pytest

from compilm.config import RuntimeSettings
from compilm.config.near import semantic
from compilm.config.values import reader
from compilm.errors import ConfigError


def test_it_is_off_by_default() -> None:
    assert RuntimeSettings().semantic == {}
    assert reader("runtime.semantic") is semantic


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        0.95,
        {"entries": 5},
        {"threshold": 0},
        {"threshold": 1.01},
        {"threshold": True},
        {"threshold": "0.9"},
        {"threshold": 0.9, "entries": 0},
        {"threshold": 0.9, "embedder": " "},
        {"threshold": 0.9, "same_words": 1},
        {"threshold": 0.9, "ttl": 5},
    ],
)
def test_what_is_wrong_is_refused_with_what_is_expected(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected \{ threshold = 0.95 \}"):
        semantic(wrong)


def test_what_is_right_stays() -> None:
    told = {"threshold": 1, "entries": 5, "embedder": "a.b:c", "same_words": False}
    assert semantic(told) == told
