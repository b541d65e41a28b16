"""Which predictor to blame for what went wrong, as far as data and outputs tell."""

from __future__ import annotations

from collections.abc import Sequence

from .. import canonical
from ..artifact import Predictor
from ..datasets import DataSet
from .rollout import Rollout, Step

__all__ = ["blamed"]

_UNKNOWN = 0.5  # what a step is blamed with where the data do not say what was right
_AFTER = 0.5  # a wrong step after a wrong one may only have passed it on


def blamed(
    tunable: Sequence[Predictor], rollouts: Sequence[Rollout], data: DataSet
) -> dict[str, float]:
    """Weights by predictor path, 1 on average: how much of the failures is each one's doing.

    In each rollout below a full score a step whose expected output the example holds is blamed if
    it gave another, by half if an earlier step was wrong already; a step of which the data say
    nothing is blamed by half. Everything is mixed with even weights, for nothing here is certain.
    """
    paths = [predictor.path for predictor in tunable]
    totals = dict.fromkeys(paths, 1.0)
    by_id = {id: data[index] for index, id in enumerate(data.ids)}
    fields = {p.path: [field.name for field in p.outputs] for p in tunable}
    for rollout in rollouts:
        if rollout.score.is_missing or rollout.score.value >= 1 or rollout.example not in by_id:
            continue
        example, weight = by_id[rollout.example], 1.0
        for step in (step for step in rollout.steps if step.path in fields):
            share = _share(step, example, fields[step.path])
            totals[step.path] += weight * share
            weight = _AFTER if share == 1 else weight
    mean = sum(totals.values()) / max(1, len(totals))
    return {path: total / mean for path, total in totals.items()}


def _share(step: Step, example: object, names: Sequence[str]) -> float:
    """1 if a known output is wrong, 0 if all known ones are right, a half where none is known."""
    known = [name for name in names if name in example and example[name] is not None]  # type: ignore[operator,index]
    if not known:
        return _UNKNOWN
    wrong = any(
        canonical.dumps(canonical.plain(example[name])) != canonical.dumps(step.outputs.get(name))  # type: ignore[index]
        for name in known
    )
    return float(wrong)
