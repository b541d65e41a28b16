"""What a metric returned, read as a score; what is no score says why it is none."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from .score import Score
from .values import shown

__all__ = ["NotAScore", "score_of"]

_VERDICTS: Final = {"yes": 1.0, "no": 0.0}


class NotAScore(Exception):
    """What was returned cannot be read as a score; the message says what it is."""


def score_of(returned: object) -> Score:
    """The `Score` that a metric's return value stands for; else `NotAScore`.

    Read are: a bool, any real number (numpy's too), `(score, feedback)`, a mapping or
    `dspy.Prediction` with `score` and perhaps `feedback` (its other numbers become parts), a
    feedback object with `value` and `rationale` as MLflow's, and a `Score`.

    >>> score_of((1, "fine"))
    Score(1.0, 'fine')
    >>> score_of({"score": 0.5, "recall": 0.25})
    Score(0.5, parts={'recall': 0.25})
    """
    if isinstance(returned, Score):
        return returned
    if isinstance(returned, tuple):
        return _from_pair(returned)
    if hasattr(returned, "keys") and hasattr(returned, "__getitem__"):
        return _from_mapping({str(key): returned[key] for key in returned.keys()})  # noqa: SIM118
    if hasattr(returned, "value") and hasattr(returned, "rationale"):
        return _from_feedback(returned.value, returned.rationale)
    return Score(_number(returned))


def _from_pair(pair: tuple[Any, ...]) -> Score:
    if len(pair) != 2 or not isinstance(pair[1], str | None):
        raise NotAScore(f"{shown(pair)}, which is not a pair (score, feedback text)")
    return Score(_number(pair[0]), pair[1] or "")


def _from_mapping(fields: Mapping[str, Any]) -> Score:
    if "score" not in fields:
        raise NotAScore(f"{shown(dict(fields))}, which has no 'score'")
    feedback = fields.get("feedback") or ""
    if not isinstance(feedback, str):
        raise NotAScore(f"feedback {shown(feedback)}, which is not a text")
    inner = fields.get("objective_scores") or {}  # what DSPy's ScoreWithFeedback calls its parts
    others = {name: part for name, part in fields.items() if name != "score"}
    if isinstance(inner, Mapping):
        others.update({str(name): part for name, part in inner.items()})
    parts = {name: _number(part) for name, part in others.items() if _is_number(part)}
    return Score(_number(fields["score"]), feedback, parts)


def _from_feedback(value: object, rationale: object) -> Score:
    """A judge's verdict: MLflow's own judges answer yes or no."""
    if isinstance(value, str) and str(getattr(value, "value", value)).lower() in _VERDICTS:
        number = _VERDICTS[str(getattr(value, "value", value)).lower()]
    else:
        number = _number(value)
    return Score(number, rationale if isinstance(rationale, str) else "")


def _is_number(value: object) -> bool:
    return isinstance(value, (numbers.Real, Decimal)) or _is_scalar(value)


def _is_scalar(value: object) -> bool:
    """True for a number of an array library, numpy's bool and arrays of no dimension among them."""
    return hasattr(value, "item") and getattr(value, "shape", None) == ()


def _number(value: object) -> float:
    if isinstance(value, Score):
        raise NotAScore(f"{value!r} inside another value: return the Score itself")
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()  # it is refused, so nobody will ever await it
        raise NotAScore(f"{shown(value)}, which still has to be awaited: await it in the metric")
    if _is_scalar(value):
        value = value.item()  # type: ignore[attr-defined]
    if not isinstance(value, (numbers.Real, Decimal)):
        raise NotAScore(f"{shown(value)}, which is a {type(value).__name__} and no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise NotAScore(f"{shown(value)}, which is not finite")
    return number
