"""Pools that take in the validation examples, once no race is judged by these any more.

While candidates race, their pools hold training examples alone, so that no example is answered by
itself. What is proven and shipped may show what the races used too, for the proof is on others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..artifact import Predictor
from ..datasets import DataSet, duplicates
from .candidate import Candidate, Proposal
from .job import Job
from .propose.demos import distinct, labeled
from .propose.nearest import LARGEST, thinned
from .telling import told

__all__ = ["enlarged"]


def enlarged(best: Candidate, job: Job, number: int) -> Candidate:
    """The candidate `number`: `best` with validation examples in the pools that the search made.

    It is `best` itself where there is nothing to add: a pool that came with the given program
    stays, one that is made of rollouts too, and all where limits bind what was measured or val
    is not to be shown. An example that is nearly one of the test examples is not taken.
    """
    given = {predictor.path: predictor for predictor in job.predictors}
    able = [
        own
        for own in best.predictors
        if own.nearest is not None and own.nearest.pool != _pool(given[own.path])
        if labeled(own, job.train)
    ]
    if not able or job.constraints.is_limit or not job.constraints.show_val:
        return best
    more = _apart(job)
    grown = {own.path: _with(own, more) for own in able}
    changes = {own.path: grown[own.path] for own in able if grown[own.path] != own}
    note = f"validation examples too for {', '.join(changes)}"
    return best.child(number, Proposal("larger pools", changes, note)) if changes else best


def _pool(predictor: Predictor) -> tuple[dict[str, Any], ...]:
    return predictor.nearest.pool if predictor.nearest else ()


def _with(own: Predictor, more: DataSet) -> Predictor:
    assert own.nearest is not None
    pool = distinct([*own.nearest.pool, *labeled(own, more)], own)
    return replace(own, nearest=replace(own.nearest, pool=tuple(thinned(pool))))


def _apart(job: Job) -> DataSet:
    """The validation examples, as they may be told, that are no near duplicates of test ones."""
    count = min(len(job.val), LARGEST)
    some = job.val.subset((n * len(job.val) // count for n in range(count)), name="val")
    found = duplicates(replace(job.test, name="test"), some)
    near = {each.b.id for each in found if (each.a.dataset, each.b.dataset) == ("test", "val")}
    keys = some.input_keys()  # what stands twice is named once
    barred = {key for key, id in zip(keys, some.ids, strict=True) if id in near}
    kept = [place for place, key in enumerate(keys) if key not in barred]
    return told(some, job.program).subset(kept)
