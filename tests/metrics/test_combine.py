"""Combined metrics give what their parts give, and no score where a part has none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compilm.errors import CallFailed, MetricError
from compilm.metrics import Metric, Score, all_of, exact, gated, weighted

GOLD = {"intent": "pay", "answer": "red fox"}
HALF = {"intent": "pay", "answer": "fox"}
WRONG = {"intent": "ask", "answer": "red fox"}
UNSCORED = Metric(lambda example, pred: Score.unscored("no verdict"), "judge")


def test_weighted_is_the_weighted_mean_with_named_parts() -> None:
    metric = weighted({"intent": ("exact(intent)", 3)}, words=("f1(answer)", 1))
    score = metric.score(GOLD, HALF)
    assert score.parts == {"intent": 1.0, "words": pytest.approx(2 / 3)}
    assert score.value == pytest.approx((3 + 2 / 3) / 4)
    assert score.feedback == "words: `answer` should be 'red fox', got 'fox'"
    assert metric.name == "weighted(intent=exact(intent), words=f1(answer))"
    assert metric.score(GOLD, GOLD) == Score(1, parts={"intent": 1, "words": 1})


@pytest.mark.parametrize(
    "pairs",
    [{}, {"a": ("exact(a)", -1)}, {"a": ("exact(a)", 0)}, {"a": "exact(a)"}, {"a": ("exact(a)",)}],
)
def test_weighted_refuses_what_cannot_be_weighed(pairs: Any) -> None:
    with pytest.raises(MetricError, match="weight"):
        weighted(pairs)


def test_a_gate_that_fails_gives_0_with_its_own_feedback() -> None:
    asked = []

    def then(example: Any, pred: Any) -> float:
        asked.append(pred)
        return 0.5

    metric = gated("exact(intent)", then)
    assert metric.score(GOLD, WRONG) == Score(
        0, "`intent` should be 'pay', got 'ask'", {"exact(intent)": 0}
    )
    assert not asked
    assert metric.score(GOLD, GOLD) == Score(0.5, parts={"exact(intent)": 1})


def test_a_gate_has_a_threshold() -> None:
    assert gated("f1(answer)", "exact(intent)", threshold=0.5).score(GOLD, HALF).value == 1
    assert gated("f1(answer)", "exact(intent)", threshold=0.7).score(GOLD, HALF).value == 0


def test_all_of_is_as_good_as_its_worst() -> None:
    metric = all_of("exact(intent)", "f1(answer)")
    assert metric.score(GOLD, HALF).value == pytest.approx(2 / 3)
    assert metric.score(GOLD, WRONG).value == 0
    assert metric.score(GOLD, GOLD).value == 1


@pytest.mark.parametrize("metrics", [(), ("exact(a)", "exact(a)")])
def test_all_of_needs_metrics_of_different_names(metrics: Any) -> None:
    with pytest.raises(MetricError, match="different names"):
        all_of(*metrics)


@pytest.mark.parametrize(
    "metric",
    [
        weighted(a=("exact(intent)", 1), judge=(UNSCORED, 1)),
        all_of("exact(intent)", UNSCORED),
        gated(UNSCORED, "exact(intent)"),
        gated("exact(intent)", UNSCORED),
    ],
    ids=lambda metric: metric.name,
)
def test_a_missing_part_leaves_no_score(metric: Metric) -> None:
    score = metric.score(GOLD, GOLD)
    assert score.is_missing
    assert "no verdict" in score.missing


@pytest.mark.parametrize("make", [all_of, gated])
def test_the_error_of_a_part_names_part_and_example(make: Any) -> None:
    metric = make("exact(intent)", exact("nothing"))
    with pytest.raises(MetricError, match=r"on example 'e7': .*'exact\(nothing\)'.*no field"):
        metric.score(GOLD, GOLD, example_id="e7")


def test_a_models_failure_inside_a_part_passes_through() -> None:
    def judge(example: Any, pred: Any) -> float:
        raise CallFailed("down")

    with pytest.raises(CallFailed):
        weighted(judge=(judge, 1)).score(GOLD, GOLD)


def test_what_the_caller_knows_reaches_every_part_async_ones_too() -> None:
    async def judge(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> Any:
        return (trace, pred_name, pred_trace) == ("T", "p", "PT")

    for metric in (weighted(j=(judge, 1)), all_of(judge), gated(judge, Metric(judge, "again"))):
        known: Any = {"trace": "T", "predictor": "p", "predictor_trace": "PT"}
        assert metric.score(GOLD, GOLD, **known).value == 1
        assert asyncio.run(metric.ascore(GOLD, GOLD, **known)).value == 1
