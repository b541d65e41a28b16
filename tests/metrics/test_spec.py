"""A configuration names a built-in metric, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from compilm.errors import MetricError
from compilm.metrics import Metric, as_metric, contains, exact, f1, fields, from_spec, normalized


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("exact(answer)", exact("answer")),
        (" normalized( answer ) ", normalized("answer")),
        ("f1(answer)", f1("answer")),
        ("contains (answer)", contains("answer")),
        ("fields(intent, claim_number)", fields("intent", "claim_number")),
        ("fields(intent)", fields("intent")),
    ],
)
def test_a_name_with_its_fields_is_the_metric(text: str, metric: Metric) -> None:
    found = from_spec(text)
    assert (found.name, found.fingerprint) == (metric.name, metric.fingerprint)
    assert as_metric(text).fingerprint == metric.fingerprint


@pytest.mark.parametrize(
    "text", ["", "exact", "exactly(answer)", "exact(answer", "exact(a)(b)", "f1(exact(a))", "a:b"]
)
def test_an_unknown_name_lists_the_known_ones(text: str) -> None:
    with pytest.raises(MetricError, match=r"contains\(field\), exact\(field\), f1.*fields"):
        from_spec(text)


@pytest.mark.parametrize("text", ["exact(a, b)", "exact()", "exact(a,)", "fields(a,,b)", "f1('a')"])
def test_fields_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(MetricError, match="field"):
        from_spec(text)


def test_nothing_in_the_text_is_evaluated() -> None:
    with pytest.raises(MetricError):
        from_spec("exact(__import__)(os)")


@pytest.mark.parametrize("metric", [None, 3, [exact("a")]])
def test_what_is_no_metric_is_refused(metric: Any) -> None:
    with pytest.raises(MetricError, match="is no metric"):
        as_metric(metric)
