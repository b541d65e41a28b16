"""The rows a story is made of: the bodies of records as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import canonical

__all__ = [
    "CandidateRow",
    "Confirmed",
    "DataRow",
    "DecisionRow",
    "Interval",
    "Pair",
    "Prompt",
    "RolloutRow",
    "Spending",
    "Usage",
]

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured number, its 95 % interval, and the size of its sample."""

    value: float
    low: float
    high: float
    n: int = 0

    @classmethod
    def of(cls, body: Body | None) -> Interval | None:
        """The interval in a record; `None` where it holds none.

        >>> Interval.of({"value": 0.5, "low": 0.4, "high": 0.6, "n": 80})
        Interval(value=0.5, low=0.4, high=0.6, n=80)
        """
        if not body or body.get("value") is None:
            return None
        value = float(body["value"])
        low, high = (body.get(key) for key in ("low", "high"))
        return cls(
            value,
            value if low is None else float(low),
            value if high is None else float(high),
            int(body.get("n") or 0),
        )


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent; `usd` is `None` where a price is not known."""

    rollouts: int = 0
    calls: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, body: Body | None) -> Spending:
        """The spending in a record.

        >>> Spending.of({"calls": 3, "usd": None})
        Spending(rollouts=0, calls=3, tokens=0, usd=None, seconds=0.0)
        """
        body = body or {}
        return cls(
            int(body.get("rollouts") or 0),
            int(body.get("calls") or 0),
            int(body.get("tokens") or 0),
            None if body.get("usd", 0.0) is None else float(body.get("usd", 0.0)),
            float(body.get("seconds") or 0.0),
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What one role asked of one model: answered calls, tokens in and out, price if known."""

    role: str
    model: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0

    def plus(self, body: Body) -> Usage:
        """This and the answer in one more `call` record."""
        price = body.get("usd")
        return replace(
            self,
            calls=self.calls + 1,
            input_tokens=self.input_tokens + int(body.get("input_tokens") or 0),
            output_tokens=self.output_tokens + int(body.get("output_tokens") or 0),
            usd=None if self.usd is None or price is None else self.usd + float(price),
        )


@dataclass(frozen=True, slots=True)
class DataRow:
    """One split of the data: its name, size and fingerprint."""

    split: str
    name: str
    size: int
    fingerprint: str

    @classmethod
    def of(cls, split: str, body: Body) -> DataRow:
        """The split in a `run.started` record."""
        return cls(
            split,
            str(body.get("name") or ""),
            int(body.get("size") or 0),
            str(body.get("fingerprint") or ""),
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a predictor is told: its instructions and its demonstrations.

    `nearest` says which more are chosen for each call, if any are; `pool` is the digest of what
    they are chosen from.
    """

    instructions: str = ""
    demos: tuple[Mapping[str, Any], ...] = ()
    nearest: str = ""
    pool: str = ""

    @classmethod
    def of(cls, body: Body) -> Prompt:
        """The prompt in a record, which holds a pool or its size and digest.

        >>> Prompt.of({"nearest": {"k": 8, "size": 400, "embedder": "words-v1"}}).nearest
        '8 nearest of a pool of 400 (words-v1)'
        """
        demos = tuple(dict(demo) for demo in body.get("demos") or ())
        nearest = body.get("nearest")
        told = digest = ""
        if isinstance(nearest, Mapping):
            pool = list(nearest.get("pool") or ())
            size = nearest.get("size", len(pool))
            digest = str(nearest.get("digest") or canonical.digest(pool))
            embedder = nearest.get("embedder") or "unknown"
            told = f"{nearest.get('k')} nearest of a pool of {size} ({embedder})"
        return cls(str(body.get("instructions") or ""), demos, told, digest)


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A candidate: where it came from, and its prompt for every predictor by path."""

    id: str
    digest: str
    parent: str | None
    move: str
    note: str
    predictors: Mapping[str, Prompt] = field(default_factory=dict)
    at: float = 0.0

    @classmethod
    def of(cls, body: Body, at: float) -> CandidateRow:
        """The candidate in a `candidate` record."""
        predictors = {
            path: Prompt.of(each) for path, each in (body.get("predictors") or {}).items()
        }
        return cls(
            str(body["id"]),
            str(body.get("digest") or ""),
            body.get("parent"),
            str(body.get("move") or ""),
            str(body.get("note") or ""),
            predictors,
            at,
        )


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One candidate on one example: its score (`None` if missing), and why.

    `inputs` is text for people where a record holds the example's inputs, else empty.
    """

    candidate: str
    digest: str
    split: str
    example: str
    value: float | None
    feedback: str
    missing: str
    error: str = ""
    inputs: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, body: Body) -> RolloutRow:
        """The rollout in a `rollout` record."""
        score = body.get("score") or {}
        value = score.get("value")
        missing = str(score.get("missing") or "")
        if value is None and not missing:
            missing = "no score"
        return cls(
            str(body.get("candidate") or ""),
            str(body.get("digest") or ""),
            str(body.get("split") or ""),
            str(body.get("example") or ""),
            None if missing or value is None else float(value),
            str(score.get("feedback") or ""),
            missing,
            str(body.get("error") or ""),
            _inputs(body.get("inputs")),
            float(body.get("seconds") or 0.0),
        )


def _inputs(found: object) -> str:
    if not found:
        return ""
    if isinstance(found, Mapping):
        return "; ".join(f"{name}: {value}" for name, value in found.items())
    return str(found)


@dataclass(frozen=True, slots=True)
class Pair:
    """One example under the baseline and under the challenger; `None` where it was not run."""

    example: str
    before: RolloutRow | None
    after: RolloutRow | None

    @property
    def difference(self) -> float | None:
        """Challenger minus baseline, where both have a score."""
        old = self.before.value if self.before else None
        new = self.after.value if self.after else None
        return None if old is None or new is None else new - old


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What the search made of a candidate, from which evidence, and what it had spent by then."""

    candidate: str
    incumbent: str
    phase: str
    outcome: str
    n: int
    wins: int
    losses: int
    difference: float
    p_better: float
    score: Interval | None
    best: str
    best_score: Interval | None
    spent: Spending
    at: float = 0.0

    @classmethod
    def of(cls, body: Body, at: float) -> DecisionRow:
        """The decision in a `decision` record."""
        return cls(
            candidate=str(body["candidate"]),
            incumbent=str(body.get("incumbent") or ""),
            phase=str(body.get("phase") or ""),
            outcome=str(body.get("outcome") or ""),
            n=int(body.get("n") or 0),
            wins=int(body.get("wins") or 0),
            losses=int(body.get("losses") or 0),
            difference=float(body.get("difference") or 0.0),
            p_better=0.5 if body.get("p_better") is None else float(body["p_better"]),
            score=Interval.of(body.get("score")),
            best=str(body.get("best") or body["candidate"]),
            best_score=Interval.of(body.get("best_score")),
            spent=Spending.of(body.get("spent")),
            at=at,
        )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The held-out comparison of the baseline with one candidate.

    held_out is by these examples alone, gain is that drawn to 0 by the chance of none.
    """

    candidate: str
    split: str
    baseline: Interval | None
    compiled: Interval | None
    gain: Interval | None
    p_better: float
    verdict: str
    minimum_detectable: float | None
    held_out: Interval | None = None

    @classmethod
    def of(cls, body: Body) -> Confirmed:
        """The comparison in a `confirmed` record."""
        detectable = body.get("minimum_detectable")
        return cls(
            str(body.get("candidate") or ""),
            str(body.get("split") or "test"),
            Interval.of(body.get("baseline")),
            Interval.of(body.get("compiled")),
            Interval.of(body.get("gain")),
            0.5 if body.get("p_better") is None else float(body["p_better"]),
            str(body.get("verdict") or ""),
            None if detectable is None else float(detectable),
            Interval.of(body.get("held_out")),
        )
