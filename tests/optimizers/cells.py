"""Evidence out of a table of scores: every cell is known, and no program runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from compilm.artifact import Field, Predictor
from compilm.datasets import DataSet
from compilm.metrics import Score
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import Answers
from compilm.optimizers.candidate import Candidate
from compilm.optimizers.evaluate import Evaluator
from compilm.optimizers.evidence import Evidence
from compilm.optimizers.ledger import Ledger
from compilm.optimizers.meter import Meter
from compilm.optimizers.rollout import Rollout, Step

from . import worlds

Scores = Sequence[float | None]


class Nothing:
    """An executor that is asked for nothing: every cell is known."""

    def rollouts(self, work: Sequence[object], made: object) -> None:
        assert not work


def predictor(text: str = "Sort the text.", path: str = "sort") -> Predictor:
    """A predictor as that of `worlds.Sorter`, with these instructions."""
    return Predictor(path, "default", (Field("text", "str"),), (Field("label", "str"),), text)


def candidate(
    number: int, text: str = "", parent: str = "c0", shown: Collection[str] = ()
) -> Candidate:
    """A candidate of one predictor; without a text its words are its number's alone."""
    words = predictor(text or f"text of candidate {number}")
    return Candidate(number, (words,), "say", parent if number else None, shown=frozenset(shown))


def rollout(
    who: Candidate, example: str, value: float, split: str = "val", steps: Sequence[Step] = ()
) -> Rollout:
    """One cell; NaN is a missing score."""
    score = Score.unscored("outage") if math.isnan(value) else Score(value)
    return Rollout(who.id, who.digest, split, example, score, None, tuple(steps))


def known(data: DataSet, *lanes: tuple[Candidate, Scores]) -> Evidence:
    """Evidence in which each candidate has these scores, by place; `None` was not run.

    The first lane is the baseline's.
    """
    meter = Meter(Budget(), Answers(), Ledger(Budget(), worlds.ManualClock()))
    evaluator = Evaluator({"val": data}, Nothing(), meter)  # type: ignore[arg-type]
    evidence = Evidence(evaluator, lanes[0][0])
    for place, (who, scores) in enumerate(lanes):
        if place:
            evidence.add(who)
        evidence.take(
            who,
            {
                index: rollout(who, data.ids[index], value)
                for index, value in enumerate(scores)
                if value is not None
            },
        )
    return evidence
