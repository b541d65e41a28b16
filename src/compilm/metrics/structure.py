"""Agreement of several fields, down into nested data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import canonical
from ..errors import MetricError
from .metric import Metric
from .score import Score
from .values import ABSENT, comparable, field_name, gold_value, shown, value_of, wrong
from .weights import checked_weights, weighted_mean

__all__ = ["agreement", "fields"]

_MOST_DIFFERENCES = 10


def fields(*names: str, weights: Mapping[str, float] | None = None) -> Metric:
    """A metric that gives the weighted mean of how far each named field agrees.

    A field counts by `agreement`; a text that holds a JSON object or list is compared as that
    data. `parts` has one score per field, the feedback names each place that differs. Weights
    are 1 where not given.

    >>> metric = fields("intent", "claim", weights={"intent": 3})
    >>> metric.score({"intent": "pay", "claim": {"id": 7, "open": True}},
    ...              {"intent": "pay", "claim": '{"id": 8, "open": true}'})
    Score(0.875, '`claim.id` should be 7, got 8', parts={'intent': 1.0, 'claim': 0.5})
    """
    known = tuple(field_name(name) for name in names)
    if not known or len(set(known)) < len(known):
        raise MetricError(f"fields{names!r}: name at least one field, and each only once")
    checked = checked_weights("fields", weights or {}, known)

    def score(example: Any, prediction: Any) -> Score:
        parts: dict[str, float] = {}
        differences: list[str] = []
        for name in known:
            gold, got = gold_value(example, name), value_of(prediction, name)
            parts[name] = agreement(gold, got)
            differences += _differences(name, _data(gold), _data(got))
        return Score(weighted_mean(parts, checked), _listed(differences), parts)

    return Metric(score, f"fields({', '.join(known)})")


def agreement(gold: Any, predicted: Any) -> float:
    """How far two JSON values agree, in 0..1; the same both ways.

    Objects: the mean over the keys of both (a key that one lacks agrees 0). Lists: the mean over
    the places of the longer one. All else: 1 where equal, else 0.

    >>> agreement({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]})
    0.75
    """
    return _agreement(_data(gold), _data(predicted))


def _agreement(gold: Any, predicted: Any) -> float:
    pairs = _pairs(gold, predicted)
    if not pairs:
        return float(_is_same(gold, predicted))
    return sum(_agreement(ours, theirs) for _, ours, theirs in pairs) / len(pairs)


def _pairs(gold: Any, predicted: Any) -> list[tuple[str, Any, Any]]:
    """The parts of two objects or two lists, matched, each with the way to it."""
    if isinstance(gold, dict) and isinstance(predicted, dict):
        keys = [*gold, *(key for key in predicted if key not in gold)]
        return [(f".{key}", gold.get(key, ABSENT), predicted.get(key, ABSENT)) for key in keys]
    if isinstance(gold, list) and isinstance(predicted, list):
        longest = range(max(len(gold), len(predicted)))
        return [(f"[{at}]", _at(gold, at), _at(predicted, at)) for at in longest]
    return []


def _at(items: list[Any], place: int) -> Any:
    return items[place] if place < len(items) else ABSENT


def _is_same(gold: Any, predicted: Any) -> bool:
    """Equality of data, in which true is not 1."""
    if isinstance(gold, bool) != isinstance(predicted, bool):
        return False
    return bool(gold == predicted)


def _differences(place: str, gold: Any, predicted: Any) -> Iterator[str]:
    pairs = _pairs(gold, predicted)
    for step, ours, theirs in pairs:
        yield from _differences(place + step, ours, theirs)
    if not pairs and not _is_same(gold, predicted):
        extra = f"`{place}` should not be there, got {shown(predicted)}"
        yield extra if gold is ABSENT else wrong(place, gold, predicted)


def _listed(differences: list[str]) -> str:
    more = len(differences) - _MOST_DIFFERENCES
    lines = differences[:_MOST_DIFFERENCES] + ([f"and {more} more"] if more > 0 else [])
    return "\n".join(lines) or "every field is right"


def _data(value: Any) -> Any:
    """`value` as JSON data; a text that holds an object or a list, as what it holds."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return canonical.loads(value)
        except ValueError:  # a text after all
            return value
    return comparable(value)
