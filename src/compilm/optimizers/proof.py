"""The end of a compile: the given program and the winner on held-out examples, and what is shipped.

Both run in blocks, so that an end in the middle leaves whole pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ProviderRejected, RunStopped
from ..metrics.stats import Estimate, mean_interval
from ..randomness import rng
from .candidate import BASELINE, Candidate
from .confirmation import Confirmation, confirm
from .decisions import estimate_json
from .job import Job
from .loop import Outcome
from .pools import enlarged
from .rollout import Rollout
from .session import Session

__all__ = [
    "Proof",
    "ended",
    "goes_on",
    "held_out_of",
    "held_out_order",
    "held_out_size",
    "prove",
    "run_blocks",
]

_BLOCK = 32  # examples: the given program's are mostly there, the winner's fill 32 threads


@dataclass(frozen=True, slots=True)
class Proof:
    """What the held-out comparison brought."""

    shipped: Candidate
    verdict: str
    gain: Estimate
    baseline: Estimate | None
    compiled: Estimate | None
    stop: str
    held_out: Estimate | None = None


def held_out_size(session: Session) -> int:
    """How many test examples the budget lets us keep for the end: half of it at most."""
    tests, predictors = len(session.job.test), len(session.job.predictors)
    return held_out_of(tests, session.meter.allows(predictors, final=True))


def held_out_of(tests: int, rollouts: int) -> int:
    """How many of `tests` examples a budget of `rollouts` proves on: two rollouts each, half of it.

    >>> held_out_of(100, 1000), held_out_of(100, 200)
    (100, 50)
    """
    return min(tests, rollouts // 4)


def held_out_order(job: Job, size: int) -> list[int]:
    """The first `size` places of the one order of the test examples: fewer are among more."""
    every = range(len(job.test))
    return rng(job.seed, "held out").sample(every, len(every))[:size]


def prove(session: Session, outcome: Outcome, size: int) -> Proof:
    """What is shipped, with the verdict, out of `size` held-out examples at most."""
    job, baseline, best = session.job, outcome.evidence.baseline, outcome.best
    session.ledger.hold(0)
    if not goes_on(outcome.stop):
        return Proof(baseline, "unproven", _nothing(), None, None, outcome.stop)
    if outcome.stop.startswith("budget"):
        session.ledger.resume()
    offered = _offered(session, outcome)
    racers = [baseline] if best.id == BASELINE else [baseline, offered]
    size = len(job.test) if best.id == BASELINE else size
    each = _each(outcome, (baseline, best))
    allowed = session.meter.allows(len(job.predictors), final=True, each=each)
    size = min(size, allowed // len(racers))
    order = held_out_order(job, size)
    done, stop = run_blocks(session, racers, order, outcome.stop)
    theirs, mine = [pair[0] for pair in done], [pair[-1] for pair in done]
    if best.id == BASELINE:
        return _measured(job, outcome, theirs, stop)
    if sum(not (a.score.is_missing or b.score.is_missing) for a, b in done) < 2:
        return Proof(baseline, "unproven", _nothing(), None, None, stop)
    found = confirm(
        theirs,
        mine,
        winner=best,
        evidence=outcome.evidence,
        groups=_groups(job, order[: len(done)]),
        seed=job.seed,
    )
    _write(session, offered, found)
    keeps = found.verdict in ("proven", "likely")
    return Proof(
        offered if keeps else baseline,
        found.verdict,
        found.gain if keeps else _nothing(found.gain.n),
        found.baseline,
        found.compiled if keeps else found.baseline,
        stop,
        found.held_out,
    )


def _each(outcome: Outcome, racers: Sequence[Candidate]) -> tuple[float, float]:
    """Tokens and dollars of one rollout of these, in the mean, as far as they are known."""
    points = [point for who in racers if (point := outcome.evidence.point(who)) is not None]
    tokens, usd = [p.tokens for p in points], [p.usd or 0.0 for p in points]
    count = max(1, len(points))
    return math.fsum(tokens) / count, math.fsum(usd) / count


def _offered(session: Session, outcome: Outcome) -> Candidate:
    """What is held against the given program: a search's winner with its pools enlarged."""
    job, best = session.job, outcome.best
    if best.id == BASELINE or job.optimizer is not None:
        return best
    number = 1 + max(candidate.number for candidate in outcome.evidence.candidates)
    offered = enlarged(best, job, number)
    if offered is not best:
        session.writer.append("candidate", offered.to_json())
    return offered


def run_blocks(
    session: Session, racers: Sequence[Candidate], order: Sequence[int], stop: str
) -> tuple[list[list[Rollout]], str]:
    """Held-out rollouts of all racers, example by example; whole blocks only."""
    done: list[list[Rollout]] = []
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        try:
            found = session.evaluator.run([(who, i) for who in racers for i in block], "test")
        except RunStopped as stopped:
            return done, ended(stopped)
        done += [found[place :: len(block)] for place in range(len(block))]
    return done, stop


def _measured(job: Job, outcome: Outcome, rollouts: Sequence[Rollout], stop: str) -> Proof:
    """The given program alone: nothing was found that could be proven."""
    scored = [rollout.score.value for rollout in rollouts if not rollout.score.is_missing]
    verdict = "no-headroom" if outcome.stop.startswith("no headroom") else "unproven"
    score = mean_interval(scored, seed=job.seed) if scored else None
    return Proof(outcome.best, verdict, _nothing(len(scored)), score, score, stop)


def _write(session: Session, shipped: Candidate, found: Confirmation) -> None:
    session.writer.append(
        "confirmed",
        {
            "candidate": shipped.id,
            "split": "test",
            "baseline": estimate_json(found.baseline),
            "compiled": estimate_json(found.compiled),
            "gain": estimate_json(found.gain),
            "held_out": estimate_json(found.held_out),
            "p_better": found.p_better,
            "verdict": found.verdict,
            "minimum_detectable": found.minimum_detectable,
        },
    )


def _nothing(n: int = 0) -> Estimate:
    """The gain of shipping what was given: exactly none."""
    return Estimate(0.0, 0.0, 0.0, n)


def _groups(job: Job, order: Sequence[int]) -> list[str] | None:
    return [job.test.groups[index] for index in order] if job.test.groups else None


def ended(stop: RunStopped) -> str:
    """Why the run stopped, as results tell it."""
    return f"rejected: {stop.reason}" if isinstance(stop.cause, ProviderRejected) else stop.reason


def goes_on(stop: str) -> bool:
    """Whether this is an end; an interrupt or a refusal is not: the same call goes on."""
    return not stop.startswith(("interrupted", "rejected"))
