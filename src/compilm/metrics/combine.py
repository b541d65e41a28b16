"""Metrics made of metrics: weighted, gated, all of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import MetricError
from .metric import Metric
from .score import Score
from .spec import as_metric
from .weights import checked_weights, weighted_mean

__all__ = ["all_of", "gated", "weighted"]

Weighted: TypeAlias = "tuple[Metric | Callable[..., Any] | str, float]"


def weighted(parts: Mapping[str, Weighted] | None = None, /, **more: Weighted) -> Metric:
    """A metric that gives the weighted mean of others, each named: `name=(metric, weight)`.

    Weights are made to sum to 1. `parts` has each metric's value, the feedback each one's text
    under its name. Where one gives no score, there is none.

    >>> metric = weighted(right=("exact(answer)", 3), near=("f1(answer)", 1))
    >>> metric.score({"answer": "red fox"}, {"answer": "fox"}).value
    0.16666666666666666
    """
    pairs = {**(parts or {}), **more}
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs.values()):
        raise MetricError(f"weighted takes name=(metric, weight), not {pairs!r}")
    metrics = {name: as_metric(metric) for name, (metric, _) in pairs.items()}
    weights = checked_weights("weighted", {name: pair[1] for name, pair in pairs.items()}, pairs)

    def score(
        example: Any, prediction: Any, trace: Any, predictor: str | None, predictor_trace: Any
    ) -> Score:
        scores = {
            name: metric.score(
                example,
                prediction,
                trace=trace,
                predictor=predictor,
                predictor_trace=predictor_trace,
            )
            for name, metric in metrics.items()
        }
        return _joined(scores, lambda values: weighted_mean(values, weights))

    shown = ", ".join(f"{name}={metric.name}" for name, metric in metrics.items())
    return Metric(score, f"weighted({shown})")


def gated(
    gate: Metric | Callable[..., Any] | str,
    then: Metric | Callable[..., Any] | str,
    threshold: float = 1.0,
) -> Metric:
    """A metric that gives what `then` gives, and 0 where `gate` stays below `threshold`.

    `then` is not asked where the gate fails: the score is 0 with the gate's feedback. `parts` has
    the gate's value under its name.

    >>> metric = gated("exact(intent)", "f1(answer)")
    >>> metric.score({"intent": "a", "answer": "x"}, {"intent": "b", "answer": "x"})
    Score(0.0, "`intent` should be 'a', got 'b'", parts={'exact(intent)': 0.0})
    """
    first, second = as_metric(gate), as_metric(then)

    def score(
        example: Any, prediction: Any, trace: Any, predictor: str | None, predictor_trace: Any
    ) -> Score:
        more = {"trace": trace, "predictor": predictor, "predictor_trace": predictor_trace}
        passed = first.score(example, prediction, **more)
        if passed.is_missing:
            return passed
        part = {first.name: passed.value}
        if passed.value < threshold:
            return Score(0.0, passed.feedback, part)
        rest = second.score(example, prediction, **more)
        return rest if rest.is_missing else Score(rest.value, rest.feedback, {**rest.parts, **part})

    return Metric(score, f"gated({first.name}, {second.name})")


def all_of(*metrics: Metric | Callable[..., Any] | str) -> Metric:
    """A metric that is as good as the worst of `metrics`: 1 only where all of them are 1.

    `parts` has each metric's value under its name; the feedback is of those below 1.

    >>> all_of("contains(answer)", "exact(intent)").score(
    ...     {"answer": "x", "intent": "a"}, {"answer": "x y", "intent": "b"}).parts
    mappingproxy({'contains(answer)': 1.0, 'exact(intent)': 0.0})
    """
    each = {metric.name: metric for metric in map(as_metric, metrics)}
    if not metrics or len(each) < len(metrics):
        names = [as_metric(metric).name for metric in metrics]
        raise MetricError(f"all_of needs metrics of different names, not {names!r}: name them "
                          "with Metric(fn, name=...)")  # fmt: skip

    def score(
        example: Any, prediction: Any, trace: Any, predictor: str | None, predictor_trace: Any
    ) -> Score:
        more = {"trace": trace, "predictor": predictor, "predictor_trace": predictor_trace}
        scores = {name: one.score(example, prediction, **more) for name, one in each.items()}
        return _joined(scores, lambda values: min(values.values()))

    return Metric(score, f"all_of({', '.join(each)})")


def _joined(scores: Mapping[str, Score], combine: Callable[[Mapping[str, float]], float]) -> Score:
    """One score of several: missing where one is, else combined, with a line for each flaw."""
    for name, one in scores.items():
        if one.is_missing:
            return Score.unscored(f"{name}: {one.missing}", one.feedback)
    lines = [f"{name}: {one.feedback}" for name, one in scores.items() if _is_flaw(one)]
    values = {name: one.value for name, one in scores.items()}
    return Score(combine(values), "\n".join(lines), values)


def _is_flaw(score: Score) -> bool:
    return bool(score.feedback) and score.value < 1
