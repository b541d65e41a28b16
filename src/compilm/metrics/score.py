"""A score: what one prediction is worth, why, and whether there is a score at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..errors import MetricError

__all__ = ["Score"]


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """The worth of one prediction: a number, the words that explain it, and its sub-scores.

    `value` usually lies in 0..1 and is always finite, unless there is no score: then `missing`
    says why and `value` is NaN, so that it can never pass for a 0. `parts` is a frozen copy.
    A value or part that is not finite is a `MetricError`.

    >>> Score(0.5, "`answer` should be 'Paris'", parts={"answer": 0.5})
    Score(0.5, "`answer` should be 'Paris'", parts={'answer': 0.5})
    >>> float(Score(True))
    1.0
    """

    value: float
    feedback: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    missing: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.feedback, str) and isinstance(self.missing, str)):
            raise MetricError(f"feedback and missing are texts, not {self.feedback!r}, "
                              f"{self.missing!r}")  # fmt: skip
        parts = {str(name): _finite(part, f"part {name!r}") for name, part in self.parts.items()}
        object.__setattr__(self, "parts", MappingProxyType(parts))
        object.__setattr__(self, "value", self._checked_value())

    def _checked_value(self) -> float:
        if not self.missing:
            return _finite(self.value, "the value")
        if not math.isnan(self.value):
            raise MetricError(
                f"a score that is missing ({self.missing!r}) has no value, and {self.value!r} was "
                "given: use Score.unscored(reason)"
            )
        return math.nan

    @classmethod
    def unscored(cls, reason: str, feedback: str = "") -> Score:
        """The score of what could not be scored, which is never 0.

        >>> Score.unscored("the judge gave no verdict").is_missing
        True
        """
        if not reason:
            raise MetricError("Score.unscored needs a reason: say why there is no score")
        return cls(math.nan, feedback, missing=reason)

    @property
    def is_missing(self) -> bool:
        """True where there is no score; `missing` says why."""
        return bool(self.missing)

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `from_json` reads back; the value of a missing score is None.

        >>> Score(1).to_json()
        {'value': 1.0, 'feedback': '', 'parts': {}, 'missing': ''}
        """
        return {
            "value": None if self.missing else self.value,
            "feedback": self.feedback,
            "parts": dict(self.parts),
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Score:
        """The score that `to_json` wrote; what it did not write is a `MetricError`.

        >>> Score.from_json({"value": None, "missing": "no verdict"})
        Score.unscored('no verdict')
        """
        if not isinstance(data, Mapping) or "value" not in data:
            raise MetricError(f"{data!r} is not a score: it has no 'value'")
        return cls(
            math.nan if data["value"] is None else data["value"],
            data.get("feedback", ""),
            data.get("parts") or {},
            data.get("missing", ""),
        )

    def __float__(self) -> float:
        return self.value

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Score) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key()[:3])

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be pickled or deep-copied
        return (type(self), (self.value, self.feedback, dict(self.parts), self.missing))

    def __repr__(self) -> str:
        named = [f"parts={dict(self.parts)!r}"] if self.parts else []
        if self.missing:
            shown = [repr(self.missing), *([repr(self.feedback)] if self.feedback else [])]
            return f"Score.unscored({', '.join(shown)})"
        shown = [repr(self.value), *([repr(self.feedback)] if self.feedback else []), *named]
        return f"Score({', '.join(shown)})"

    def _key(self) -> tuple[float | None, str, str, dict[str, float]]:
        """What makes two scores equal; NaN is left out because it equals nothing."""
        value = None if self.missing else self.value
        return (value, self.feedback, self.missing, dict(self.parts))


def _finite(number: Any, what: str) -> float:
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        raise MetricError(f"{what} of a score is a number, not {number!r}") from None
    if isinstance(number, str) or not math.isfinite(value):
        raise MetricError(
            f"{what} of a score is a finite number, not {number!r}: where there is no score, "
            "return Score.unscored(reason)"
        )
    return value
