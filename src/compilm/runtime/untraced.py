"""A trace that keeps nothing: parts of DSPy extend the trace of a call, whoever asked for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["UNTRACED"]


class _Untraced(list[Any]):
    def append(self, step: Any) -> None:
        """Not kept."""

    def extend(self, steps: Iterable[Any]) -> None:
        """Not kept: what `dspy.BestOfN` and `dspy.Refine` do with the steps of the best try."""


UNTRACED = _Untraced()
"""For calls that nobody wants traced; always empty, so one serves all."""
