"""Quality over a whole set of labels: accuracy and macro F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import UsageError

__all__ = ["MacroF1", "accuracy", "macro_f1"]


@dataclass(frozen=True, slots=True)
class MacroF1:
    """The unweighted mean of the F1 of every class, those F1s, and the number of labels.

    >>> float(MacroF1(0.5, {"a": 1.0, "b": 0.0}, 4))
    0.5
    """

    value: float
    per_class: Mapping[Any, float]
    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_class", MappingProxyType(dict(self.per_class)))

    def __float__(self) -> float:
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be pickled or deep-copied
        return (type(self), (self.value, dict(self.per_class), self.n))


def macro_f1(
    golds: Sequence[Hashable],
    preds: Sequence[Hashable],
    *,
    labels: Iterable[Hashable] | None = None,
) -> MacroF1:
    """The macro F1 of `preds` against `golds`: each class counts alike, however rare.

    F1 of a class is 2·tp / (2·tp + fp + fn). The classes are those of golds and predictions
    together, so that nothing is divided by zero; of given `labels`, one that stands in neither
    has F1 0. No labels at all, or two lengths, are a `UsageError`.

    >>> macro_f1(["a", "b"], ["a", "c"]).per_class
    mappingproxy({'a': 1.0, 'b': 0.0, 'c': 0.0})
    """
    _check(golds, preds)
    classes = list(dict.fromkeys([*golds, *preds] if labels is None else labels))
    if not classes:
        raise UsageError("macro_f1: labels=[] names no class")
    hits = Counter(gold for gold, pred in zip(golds, preds, strict=True) if gold == pred)
    named = Counter(golds) + Counter(preds)
    per_class = {one: 2 * hits[one] / named[one] if named[one] else 0.0 for one in classes}
    return MacroF1(sum(per_class.values()) / len(classes), per_class, len(golds))


def accuracy(golds: Sequence[object], preds: Sequence[object]) -> float:
    """The share of predictions that equal their gold, in 0..1.

    >>> accuracy(["a", "b"], ["a", "c"])
    0.5
    """
    _check(golds, preds)
    return sum(gold == pred for gold, pred in zip(golds, preds, strict=True)) / len(golds)


def _check(golds: Sequence[object], preds: Sequence[object]) -> None:
    if len(golds) != len(preds) or not golds:
        raise UsageError(
            f"{len(golds)} golds and {len(preds)} predictions: give one prediction for each gold, "
            "and at least one"
        )
