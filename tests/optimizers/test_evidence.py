"""Evidence: cells as they come in, each once, and nothing of what a proposer was shown."""

from __future__ import annotations

import math
from dataclasses import replace

import dspy
import pytest

from compilm.artifact import Nearest
from compilm.metrics import Metric
from compilm.metrics.mixed import Cell
from compilm.optimizers.candidate import Candidate

from . import worlds
from .bench import bench
from .cells import candidate, known, rollout

VAL = worlds.data(40, 1000, "val")
HALF = [float(n % 2) for n in range(40)]


def test_before_anything_was_run_nothing_is_known() -> None:
    evidence = known(VAL, (candidate(0), []))
    assert evidence.fitted() is None
    assert evidence.gains() == {}
    assert evidence.estimate(evidence.baseline) is None
    assert evidence.point(evidence.baseline) is None
    assert evidence.points() == []


def test_a_candidate_that_was_not_run_has_a_belief_and_no_figure() -> None:
    one, other = candidate(1), candidate(2)
    evidence = known(VAL, (candidate(0), HALF), (one, [1.0] * 20), (other, []))
    assert set(evidence.gains()) == {"c0", "c1"}
    assert evidence.gains()["c0"] == 0.0
    assert evidence.gains()["c1"] > 0.1
    assert evidence.estimate(other) is None
    found = evidence.fitted()
    assert found is not None
    assert found.gain("c2").sd > found.gain("c1").sd


def test_what_was_shown_and_what_is_missing_is_kept_and_not_counted() -> None:
    seen = candidate(1, shown=VAL.ids[:10])
    scores = [1.0] * 10 + [math.nan] * 5 + [0.0] * 25
    evidence = known(VAL, (candidate(0), HALF), (seen, scores))
    found = evidence.estimate(seen)
    assert found is not None
    assert found.n == 25
    assert found.value < 0.3
    assert len(evidence.rollouts(seen)) == 40


def test_a_cell_counts_once_however_often_it_is_met() -> None:
    evidence = known(VAL, (candidate(0), HALF))
    before = evidence.fitted()
    evidence.take(candidate(0), {0: rollout(candidate(0), VAL.ids[0], 1.0)})
    assert evidence.fitted() is before
    assert evidence.rollouts(candidate(0))[0].score.value == 0.0


def test_new_cells_and_new_candidates_change_the_model() -> None:
    evidence = known(VAL, (candidate(0), HALF[:20]))
    first = evidence.fitted()
    assert first is evidence.fitted()
    evidence.add(candidate(1))
    second = evidence.fitted()
    assert second is not first
    evidence.take(candidate(1), {0: rollout(candidate(1), VAL.ids[0], 1.0)})
    third = evidence.fitted()
    assert third is not second
    assert third is not None
    assert third.counts["c1"] == 1


def test_more_cells_are_looked_at_once_and_not_kept() -> None:
    evidence = known(VAL, (candidate(0), HALF), (candidate(1), HALF))
    more = [Cell("c1", f"held out {n}", 1.0) for n in range(30)]
    more += [Cell("c0", f"held out {n}", 0.0) for n in range(30)]
    seen = evidence.fitted(more)
    assert seen is not None
    assert seen.gain("c1").mean > 0.2
    assert abs(evidence.gains()["c1"]) < 0.05


def test_what_was_not_run_is_missing_in_the_order_asked() -> None:
    evidence = known(VAL, (candidate(0), [None, 1.0, None, 0.0]))
    assert evidence.missing(evidence.baseline, [3, 2, 1, 0, 7]) == [2, 0, 7]
    assert evidence.missing(candidate(5), [1, 0]) == [1, 0]


def test_texts_and_demonstrations_are_two_kinds() -> None:
    """What texts bring says nothing of demos: an untried candidate is believed by its own kind."""
    base = candidate(0)
    own = base.predictors[0]
    texts = [Candidate(n, (replace(own, instructions=f"T{n}."),), parent="c0") for n in (1, 2, 3)]
    demos = [
        Candidate(n, (replace(own, demos=({"text": f"{n}", "label": "red"},)),), parent="c0")
        for n in (4, 5)
    ]
    near = Nearest(2, "words-v1", ({"text": "a", "label": "red"},) * 3)
    demos.append(Candidate(6, (replace(own, nearest=near),), parent="c0"))
    good, bad = [1.0] * 40, [0.0] * 40
    evidence = known(
        VAL, (base, HALF), (texts[0], good), (texts[1], good), (texts[2], []),
        (demos[0], bad), (demos[1], bad), (demos[2], []),
    )  # fmt: skip
    found = evidence.fitted()
    assert found is not None
    assert found.gain("c3").mean > 0.2
    assert found.gain("c6").mean < -0.2


def test_a_point_says_what_one_execution_takes() -> None:
    with bench() as made:
        search = known(made.job.val, (made.baseline, []))
        assert search.points() == []
        from compilm.optimizers.evidence import Evidence

        evidence = Evidence(made.evaluator, made.baseline)
        evidence.run([(made.baseline, index) for index in range(10)])
        (point,) = evidence.points()
        spent = made.meter.spent()
        assert point.candidate == "c0"
        assert point.tokens == pytest.approx(spent.tokens / 10)
        assert point.usd is None
        assert point.size == made.baseline.size
        assert point.score.n == 10


def test_a_price_that_is_not_seen_is_unknown_and_not_nothing() -> None:
    judge = worlds.scripted_lm([{"verdict": "yes"}], model="scripted/judge")

    def judged(example: dspy.Example, prediction: dspy.Prediction) -> bool:
        with dspy.context(lm=judge):
            return bool(dspy.Predict("label -> verdict")(label=prediction.label).verdict == "yes")

    class Mute(worlds.Sorter):
        def forward(self, text: str) -> dspy.Prediction:
            return dspy.Prediction(label="red")

    for metric, price in ((Metric(judged), None), (worlds.exact("label"), 0.0)):
        with bench(program=Mute(), metric=metric) as made:
            (found,) = made.evaluator.run([(made.baseline, 0)], "val")
            assert made.evaluator.price(found) == (0, price)
