"""Labels that some row lacks, and those that no answer of the program can equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dspy

    from ..datasets import DataSet

__all__ = ["listed", "odd_labels_of"]

_SHOWN = 3


def odd_labels_of(program: dspy.Module, sets: Iterable[DataSet]) -> str:
    """What looks wrong among the labels, in a line; empty where nothing does."""
    from ..datasets import odd_labels

    closed = _closed(program)
    odd = [one for data in sets for one in odd_labels(data, closed)]
    return f"{len(odd)} look wrong: {listed(odd)}" if odd else ""


def listed(found: Sequence[Any]) -> str:
    """The first of what was found, and how many more there are."""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(str(one) for one in found[:_SHOWN]) + more


def _closed(program: dspy.Module) -> dict[str, list[Any]]:
    """The possible answers by output field, where no predictor may answer anything else."""
    from ..programs.types import choices

    answers: dict[str, list[Any]] = {}
    open_: set[str] = set()
    for _, predictor in program.named_predictors():
        for name, field in predictor.signature.output_fields.items():
            allowed = choices(field.annotation)
            answers.setdefault(name, []).extend(allowed)
            open_ |= set() if allowed else {name}
    return {name: values for name, values in answers.items() if name not in open_}
