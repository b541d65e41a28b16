"""What a compile with one of DSPy's optimizers would execute, told before anything is spent."""

from __future__ import annotations

from ..job import Job
from .catalog import build, choose
from .fitting import PASSES, Room, no_metric
from .quiet import quiet

__all__ = ["rollouts_of"]

_GUESS = 0.5  # the given program's score, which is not known yet


def rollouts_of(job: Job) -> tuple[float, float]:
    """Low and high: the given program alone with its proof, and all that the settings ask for."""
    val, final = min(len(job.val), 300), 2 * len(job.test)
    limit = job.budget.rollouts
    room = PASSES * max(30, val) if limit is None else max(0, limit - val - min(final, limit // 2))
    choice = choose(str(job.optimizer), job.options)
    with quiet():
        _, fit = build(choice, _room(job, room))
    measured = 0 if choice.scores_on_val else val
    return float(val + len(job.test)), float(val + fit.rollouts + measured + final)


def _room(job: Job, rollouts: int) -> Room:
    model, train, val = job.roles["default"], list(job.train), list(job.val)[:300]
    return Room(rollouts, len(job.predictors), _GUESS, train, val, no_metric, model, model)
