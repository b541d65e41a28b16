"""Every shape of DSPy metric is taken as it is; every other is an error that says what it was."""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import Callable
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback

from compilm.errors import BudgetExceeded, CallFailed, MetricError, RunStopped
from compilm.metrics import Metric, Score, as_metric

GOLD = dspy.Example(question="capital?", answer="Paris").with_inputs("question")
PRED = dspy.Prediction(answer="Paris")


def right(example: Any, pred: Any) -> bool:
    return bool(example.answer == pred.answer)


def traced(example: Any, pred: Any, trace: Any = None) -> float:
    return float(trace is None and right(example, pred))


def required(example: Any, pred: Any, trace: Any) -> int:
    return int(trace is None)


def underscored(example: Any, pred: Any, _trace: Any = None) -> bool:
    return _trace is None


def ignored(example: Any, pred: Any, _: Any) -> bool:
    return _ is None


def gepa(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> Any:
    return dspy.Prediction(score=trace is None, feedback=f"{pred_name} {pred_trace}")


def gepa_renamed(g: Any, p: Any, a: Any, b: Any, c: Any) -> Any:
    return a is b is c is None


def keyword_trace(example: Any, pred: Any, *, trace: Any) -> bool:
    return trace is None


def threshold_first(example: Any, pred: Any, threshold: float = 0.5, trace: Any = None) -> bool:
    return threshold == 0.5 and trace is None


def starred(*args: Any, **kwargs: Any) -> bool:
    return len(args) == 2 and not kwargs


def keywords(example: Any, pred: Any, **kwargs: Any) -> bool:
    return not kwargs


def positional(example: Any, pred: Any, trace: Any = 3, other: int = 2, /) -> bool:
    return trace is None and other == 2


async def asynchronous(example: Any, pred: Any, trace: Any = None) -> bool:
    await asyncio.sleep(0)
    return right(example, pred)


class Judge:
    def __init__(self, want: str = "Paris") -> None:
        self.want = want

    def __call__(self, example: Any, pred: Any, trace: Any = None) -> bool:
        return bool(pred.answer == self.want)

    def judge(self, example: Any, pred: Any) -> bool:
        return bool(pred.answer == self.want)

    @staticmethod
    def static(example: Any, pred: Any) -> bool:
        return True


class AsyncJudge:
    async def __call__(self, example: Any, pred: Any) -> bool:
        return right(example, pred)


class JudgeModule(dspy.Module):
    def forward(self, example: Any, pred: Any, trace: Any = None) -> Any:
        return dspy.Prediction(score=right(example, pred), feedback="judged")


class AsyncJudgeModule(dspy.Module):
    async def aforward(self, example: Any, pred: Any) -> Any:
        return dspy.Prediction(score=right(example, pred))


@functools.wraps(required)
def wrapper(*args: Any, **kwargs: Any) -> Any:
    return required(*args, **kwargs)


@functools.wraps(underscored)
def renaming_wrapper(ex: Any, pr: Any, trace: Any = 1) -> Any:
    return trace is None


def with_threshold(example: Any, pred: Any, threshold: float) -> bool:
    return threshold == 0.3


SHAPES: list[Callable[..., Any]] = [
    right,
    traced,
    required,
    underscored,
    ignored,
    gepa,
    gepa_renamed,
    keyword_trace,
    threshold_first,
    starred,
    keywords,
    positional,
    wrapper,
    renaming_wrapper,
    asynchronous,
    Judge(),
    Judge().judge,
    Judge.static,
    AsyncJudge(),
    JudgeModule(),
    AsyncJudgeModule(),
    functools.partial(with_threshold, threshold=0.3),
    functools.partial(traced, trace=None),
    functools.partial(asynchronous),
    lambda e, p, t: t is None,
]


@pytest.mark.parametrize("fn", SHAPES, ids=lambda fn: Metric(fn).name)
def test_every_argument_shape_scores_alike_in_step_and_in_async(fn: Callable[..., Any]) -> None:
    metric = Metric(fn)
    assert metric.score(GOLD, PRED).value == 1.0
    assert asyncio.run(metric.ascore(GOLD, PRED)).value == 1.0


def five(gold: Any, pred: Any, trace: Any, name: Any, more: Any, extra: Any) -> bool:
    return True


def four(gold: Any, pred: Any, trace: Any, context: Any) -> bool:
    return True


def keyword_only(*, example: Any, pred: Any) -> bool:
    return True


def needs_keyword(gold: Any, pred: Any, *, context: Any) -> bool:
    return True


def positional_gap(gold: Any, pred: Any, context: Any, trace: Any, /) -> bool:
    return True


@pytest.mark.parametrize(
    ("fn", "found"),
    [
        (five, r"nothing is known to give for 'name'"),
        (four, r"'four'.*\(gold.*context.*nothing is known to give for 'context'"),
        (with_threshold, r"for 'threshold'"),
        (needs_keyword, r"for 'context'"),
        (positional_gap, r"for 'context'"),
        (lambda example: True, r"\(example\).*does not take an example and a prediction"),
        (lambda: True, r"does not take"),
        (keyword_only, r"does not take"),
        (functools.partial(right, GOLD), r"does not take"),
        (dspy.Predict("question -> answer"), r"does not take"),
        (max, r"no signature"),
        (0.5, r"0.5 is no metric"),
        (None, r"None is no metric"),
    ],
)
def test_an_impossible_shape_is_refused_at_construction(fn: Any, found: str) -> None:
    with pytest.raises(MetricError, match=found):
        Metric(fn)


@pytest.mark.parametrize("fn", [five, max, functools.partial(right, GOLD)])
def test_the_error_for_a_shape_says_which_are_accepted(fn: Any) -> None:
    with pytest.raises(MetricError, match=r"\(example, pred\), .*pred_trace"):
        Metric(fn)


def test_what_the_caller_knows_reaches_the_metric() -> None:
    def all_five(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> Any:
        return 1, f"{trace} {pred_name} {pred_trace}"

    score = Metric(all_five).score(GOLD, PRED, trace="T", predictor="p", predictor_trace="PT")
    assert score.feedback == "T p PT"


def test_a_given_trace_reaches_metrics_that_take_anything() -> None:
    def anything(*args: Any) -> float:
        return len(args)

    def named(*args: Any, trace: Any = None) -> float:
        return len(args) if trace == "T" else 0

    assert Metric(anything).score(1, 2, trace="T").value == 3
    assert Metric(named).score(1, 2, trace="T").value == 2


FEEDBACK = SimpleNamespace(value=True, rationale="as asked")
RETURNS: list[tuple[Any, Score]] = [
    (True, Score(1)),
    (False, Score(0)),
    (1, Score(1)),
    (0.25, Score(0.25)),
    (np.float32(0.5), Score(0.5)),
    (np.float64(0.5), Score(0.5)),
    (np.int64(1), Score(1)),
    (np.bool_(True), Score(1)),
    (np.array(0.5), Score(0.5)),
    (Decimal("0.5"), Score(0.5)),
    (Fraction(1, 2), Score(0.5)),
    ((0.5, "why"), Score(0.5, "why")),
    ((True, None), Score(1)),
    ({"score": 0.5}, Score(0.5)),
    ({"score": 0.5, "feedback": "why"}, Score(0.5, "why")),
    ({"score": 0.5, "feedback": None, "recall": 1, "ok": True, "note": "x"},
     Score(0.5, parts={"recall": 1, "ok": 1})),
    ({"score": 1, "objective_scores": {"recall": 0.5}}, Score(1, parts={"recall": 0.5})),
    ({"score": 1, "objective_scores": 3}, Score(1, parts={"objective_scores": 3})),
    (dspy.Prediction(score=0.5, feedback="why"), Score(0.5, "why")),
    (dspy.Prediction(score=np.float64(1), speed=0.5), Score(1, parts={"speed": 0.5})),
    (ScoreWithFeedback(score=0.5, feedback="why", objective_scores={"a": 1}),
     Score(0.5, "why", {"a": 1})),
    (FEEDBACK, Score(1, "as asked")),
    (SimpleNamespace(value="No", rationale=None), Score(0)),
    (Score(0.5, "why"), Score(0.5, "why")),
    (Score.unscored("no verdict"), Score.unscored("no verdict")),
]  # fmt: skip


@pytest.mark.parametrize(("returned", "score"), RETURNS, ids=lambda one: repr(one)[:40])
def test_every_return_shape_is_read(returned: Any, score: Score) -> None:
    assert Metric(lambda example, pred: returned).score(GOLD, PRED) == score


def test_the_feedback_of_mlflow_is_read() -> None:
    entities = pytest.importorskip("mlflow.entities")
    verdict = entities.Feedback(name="right", value="yes", rationale="it is")
    assert Metric(lambda example, pred: verdict).score(GOLD, PRED) == Score(1, "it is")


@pytest.mark.parametrize(
    "returned",
    [
        None, math.nan, math.inf, -math.inf, np.nan, 10**400, "0.5", "yes", b"1", 1j, [], [0.5],
        (), (0.5,), (0.5, 0.7), (0.5, "why", {}), (None, "why"), ("1", "why"),
        {}, {"value": 1}, {"score": None}, {"score": "1"}, {"score": 1, "feedback": 3},
        {"score": 1, "recall": math.nan}, dspy.Prediction(answer="x"), dspy.Prediction(score=None),
        SimpleNamespace(value=None, rationale="judge failed"),
        SimpleNamespace(value="maybe", rationale=""), np.array([0.5]), np.array([1.0, 0.0]),
        object(), {"score": Score(1)}, (Score(1), "why"), int,
    ],
    ids=lambda one: "object" if type(one) is object else repr(one)[:40],
)  # fmt: skip
def test_what_is_no_score_is_an_error_with_the_examples_id_and_never_zero(returned: Any) -> None:
    metric = Metric(lambda example, pred: returned, "mine")
    with pytest.raises(MetricError, match=r"metric 'mine' on example 'e7' returned ") as caught:
        metric.score(GOLD, PRED, example_id="e7")
    assert caught.value.example_id == "e7"
    assert "Score.unscored" in str(caught.value)


def test_a_coroutine_inside_a_coroutine_is_an_error_that_leaves_nothing_unawaited() -> None:
    async def nested(example: Any, pred: Any) -> Any:
        return asynchronous(example, pred)

    with pytest.raises(MetricError, match="has to be awaited"):
        Metric(nested).score(GOLD, PRED)
    with pytest.raises(MetricError, match="has to be awaited"):
        asyncio.run(Metric(nested).ascore(GOLD, PRED))


def test_a_future_inside_a_coroutine_is_an_error() -> None:
    async def nested(example: Any, pred: Any) -> Any:
        return asyncio.get_running_loop().create_future()

    with pytest.raises(MetricError, match="has to be awaited"):
        Metric(nested).score(GOLD, PRED)


def test_a_huge_return_value_is_shortened_in_the_message() -> None:
    with pytest.raises(MetricError) as caught:
        Metric(lambda example, pred: "x" * 10_000).score(GOLD, PRED)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("k"), StopIteration()])
def test_an_exception_in_the_metric_is_chained_and_names_the_example(error: Exception) -> None:
    def failing(example: Any, pred: Any) -> float:
        raise error

    async def afailing(example: Any, pred: Any) -> float:
        raise ValueError("bad")

    with pytest.raises(MetricError, match=r"'failing' on example 'e7': raised") as caught:
        Metric(failing).score(GOLD, PRED, example_id="e7")
    assert caught.value.__cause__ is error
    with pytest.raises(MetricError, match="'e7'") as caught:
        asyncio.run(Metric(failing).ascore(GOLD, PRED, example_id="e7"))
    assert caught.value.__cause__ is error
    with pytest.raises(MetricError, match="'e7': raised ValueError"):
        asyncio.run(Metric(afailing).ascore(GOLD, PRED, example_id="e7"))
    with pytest.raises(MetricError, match="'afailing': raised ValueError"):
        Metric(afailing).score(GOLD, PRED)


@pytest.mark.parametrize(
    "error",
    [
        CallFailed("provider down"),
        BudgetExceeded("no calls left"),
        dspy.LMError("down"),
        dspy.LMRateLimitError("slow down"),
        KeyboardInterrupt(),
        RunStopped("budget"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_models_failure_and_a_stop_pass_through(error: BaseException, is_async: bool) -> None:
    def judge(example: Any, pred: Any) -> float:
        raise error

    async def ajudge(example: Any, pred: Any) -> float:
        raise error

    metric = Metric(ajudge if is_async else judge)
    with pytest.raises(type(error)) as caught:
        metric.score(GOLD, PRED, example_id="e7")
    assert caught.value is error


def test_an_error_that_only_looks_like_a_models_failure_is_the_metrics() -> None:
    class LMError(Exception):
        pass

    def judge(example: Any, pred: Any) -> float:
        raise LMError

    with pytest.raises(MetricError):
        Metric(judge).score(GOLD, PRED)


def test_an_async_metric_is_scored_inside_a_running_loop_with_its_context() -> None:
    level = ContextVar("level", default=0)

    async def judge(example: Any, pred: Any) -> float:
        await asyncio.sleep(0)
        return level.get()

    async def main() -> Score:
        level.set(1)
        return Metric(judge).score(GOLD, PRED)

    assert asyncio.run(main()).value == 1.0


def test_a_synchronous_metric_does_not_run_in_the_loops_thread() -> None:
    def judge(example: Any, pred: Any) -> bool:
        return threading.current_thread() is not threading.main_thread()

    async def main() -> Score:
        return await Metric(judge).ascore(GOLD, PRED)

    assert asyncio.run(main()).value == 1.0


def test_a_function_that_returns_a_coroutine_is_awaited() -> None:
    metric = Metric(lambda example, pred: asynchronous(example, pred))
    assert metric.score(GOLD, PRED).value == 1.0
    assert asyncio.run(metric.ascore(GOLD, PRED)).value == 1.0


def test_a_metric_of_a_metric_is_the_same_metric() -> None:
    metric = Metric(right)
    assert as_metric(metric) is metric
    renamed = Metric(metric, "other")
    assert (renamed.name, renamed.fingerprint) == ("other", metric.fingerprint)


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (right, "right"),
        (functools.partial(functools.partial(right)), "right"),
        (Judge(), "Judge"),
        (Judge().judge, "judge"),
        (JudgeModule(), "JudgeModule"),
    ],
)
def test_a_metric_is_named_after_what_it_is_made_from(fn: Any, name: str) -> None:
    assert repr(Metric(fn)) == f"Metric({name})"


def test_dspys_own_code_takes_a_metric() -> None:
    metric = Metric(lambda example, pred: (0.5, "half"))
    assert metric(GOLD, PRED) == 0.5
    assert metric(GOLD, PRED, None, "qa", []) == dspy.Prediction(score=0.5, feedback="half")
    program = dspy.Module()
    program.forward = lambda question: PRED
    evaluate = dspy.Evaluate(devset=[GOLD], metric=metric, display_progress=False)
    assert evaluate(lambda question: PRED).score == 50.0


def test_dspys_own_code_is_never_given_a_missing_score() -> None:
    with pytest.raises(MetricError, match="gave no score: no verdict"):
        Metric(lambda example, pred: Score.unscored("no verdict"))(GOLD, PRED)
