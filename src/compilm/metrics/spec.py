"""Metrics by name, as a configuration writes them: `exact(answer)`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from ..errors import MetricError
from .metric import Metric
from .structure import fields
from .text import contains, exact, f1, normalized

__all__ = ["as_metric", "from_spec"]

_FACTORIES: Final[dict[str, Callable[..., Metric]]] = {
    factory.__name__: factory for factory in (contains, exact, f1, fields, normalized)
}
_SPEC: Final = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")


def as_metric(metric: Metric | Callable[..., Any] | str) -> Metric:
    """The `Metric` that is meant: itself, made from a DSPy metric, or named as in `from_spec`.

    >>> as_metric("exact(answer)")
    Metric(exact(answer))
    """
    if isinstance(metric, Metric):
        return metric
    return from_spec(metric) if isinstance(metric, str) else Metric(metric)


def from_spec(text: str) -> Metric:
    """The built-in metric that `text` names with its fields; nothing is evaluated.

    >>> from_spec("fields(intent, claim_number)")
    Metric(fields(intent, claim_number))
    """
    match = _SPEC.fullmatch(text)
    factory = _FACTORIES.get(match[1]) if match else None
    if match is None or factory is None:
        known = ", ".join(f"{name}(field)" for name in sorted(_FACTORIES))
        raise MetricError(f"{text!r} names no metric: known are {known}; or give a function")
    names = [name.strip() for name in match[2].split(",")]
    if factory is not fields and len(names) != 1:
        raise MetricError(f"{text!r}: {match[1]} takes one field; fields(...) takes several")
    return factory(*names)
