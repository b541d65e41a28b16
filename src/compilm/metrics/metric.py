"""A metric: any DSPy metric callable, unmodified, that answers with a `Score` or says why not."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Final

from ..errors import CallFailed, MetricError, Refused
from .arguments import Asked, shape_of
from .fingerprint import fingerprint_of
from .returns import NotAScore, score_of
from .score import Score
from .values import shown

__all__ = ["Metric"]

_RETURNS: Final = (
    "Return a number (or bool), (score, feedback), a dict with 'score', "
    "dspy.Prediction(score=..., feedback=...), or Score.unscored(reason)"
)


class Metric:
    """A metric with one shape, whatever the shape of the function it was made from.

    `fn` is any DSPy metric: a function, a bound method, a `functools.partial`, a callable object
    or a `dspy.Module`, synchronous or not, taking two to five arguments. A shape that cannot be
    called raises `MetricError` here, not at the first example.

    `name` is for people; `fingerprint` is a digest of what the metric does: its source with that
    of the helpers it uses from the same module, and the plain values it closes over.

    >>> def near(example, pred, trace=None):
    ...     return abs(example["x"] - pred["x"]) < 0.1
    >>> Metric(near).score({"x": 1.0}, {"x": 1.05})
    Score(1.0)
    """

    _fn: Callable[..., Any]
    __slots__ = ("_call", "_fn", "_shape", "fingerprint", "name")

    def __init__(self, fn: Callable[..., Any], name: str | None = None) -> None:
        fn = fn._fn if isinstance(fn, Metric) else fn
        if not callable(fn):
            raise MetricError(f"{shown(fn)} is no metric: it cannot be called")
        self.name = name or _name_of(fn)
        self._fn = fn
        self._shape = shape_of(fn, self.name)
        self._call = _entry(fn)
        self.fingerprint = fingerprint_of(fn)

    @property
    def speaks_to_predictors(self) -> bool:
        """Whether it takes a predictor's name, and so may say something to each (`dspy.GEPA`).

        >>> Metric(lambda example, pred: 1).speaks_to_predictors
        False
        """
        return self._shape.takes("predictor")

    def score(
        self,
        example: Any,
        prediction: Any,
        *,
        trace: Any = None,
        example_id: str | None = None,
        predictor: str | None = None,
        predictor_trace: Any = None,
    ) -> Score:
        """The score of `prediction` on `example`.

        Leave `trace` as it is to score: a metric that is given one may answer another question
        (is this good enough for a demonstration?) with another type. An asynchronous metric is
        run to its end here, in a thread of its own where this thread already runs a loop.

        What is no score (None, NaN, text, an exception) raises `MetricError` with the example's
        id. Failures of a model that the metric asked (`CallFailed`, `Refused`, DSPy's `LMError`)
        pass through, for they say nothing about the metric.

        >>> Metric(lambda example, pred: example == pred).score(1, 2).value
        0.0
        """
        asked = Asked(example, prediction, trace, predictor, predictor_trace)
        with self._border(example_id):
            returned = self._ask(asked)
            if inspect.isawaitable(returned):
                returned = _awaited(returned)
            return score_of(returned)

    async def ascore(
        self,
        example: Any,
        prediction: Any,
        *,
        trace: Any = None,
        example_id: str | None = None,
        predictor: str | None = None,
        predictor_trace: Any = None,
    ) -> Score:
        """As `score`, without holding up the running loop: a synchronous metric runs in a thread.

        >>> async def close(example, pred): return example == pred
        >>> asyncio.run(Metric(close).ascore(1, 1))
        Score(1.0)
        """
        asked = Asked(example, prediction, trace, predictor, predictor_trace)
        with self._border(example_id):
            if _is_async(self._call):
                return score_of(await self._ask(asked))
            returned, error = await asyncio.to_thread(self._attempt, asked)
            if error is not None:
                raise error
            return score_of(await returned if inspect.isawaitable(returned) else returned)

    def __call__(
        self,
        example: Any,
        prediction: Any,
        trace: Any = None,
        pred_name: str | None = None,
        pred_trace: Any = None,
    ) -> Any:
        """The score as DSPy's own code expects it of a metric, so that any of it takes a `Metric`.

        That is a float; and where feedback on a predictor is asked (`pred_name`), as `dspy.GEPA`
        does, a `dspy.Prediction(score=, feedback=)`. A missing score is a `MetricError`.
        """
        score = self.score(
            example, prediction, trace=trace, predictor=pred_name, predictor_trace=pred_trace
        )
        if score.is_missing:
            raise MetricError(f"metric {self.name!r} gave no score: {score.missing}")
        if pred_name is None:
            return score.value
        import dspy

        return dspy.Prediction(score=score.value, feedback=score.feedback)

    def __repr__(self) -> str:
        return f"Metric({self.name})"

    def _ask(self, asked: Asked) -> Any:
        places, names = self._shape.bind(asked)
        return self._call(*places, **names)

    def _attempt(self, asked: Asked) -> tuple[Any, Exception | None]:
        """What the metric returned or raised; as values, for no thread can raise StopIteration."""
        try:
            return self._ask(asked), None
        except Exception as error:  # border: handed to the border of the waiting task
            return None, error

    @contextmanager
    def _border(self, example_id: str | None) -> Iterator[None]:
        """Where a user's metric ends: what it raises or returns wrongly names the example."""
        place = f"metric {self.name!r}" + (f" on example {example_id!r}" if example_id else "")
        try:
            yield
        except NotAScore as error:
            raise MetricError(
                f"{place} returned {error}. {_RETURNS}", example_id=example_id
            ) from None
        except Exception as error:  # border: the user's metric
            if _is_models_failure(error):
                raise
            what = str(error) if isinstance(error, MetricError) else f"raised {error!r}"
            raise MetricError(f"{place}: {what}", example_id=example_id) from error


def _is_models_failure(error: Exception) -> bool:
    """True for the failure of a model the metric asked; DSPy's are known without importing it."""
    return isinstance(error, (CallFailed, Refused)) or any(
        kind.__name__.startswith("LM") and kind.__module__.partition(".")[0] == "dspy"
        for kind in type(error).__mro__
    )


def _awaited(pending: Awaitable[Any]) -> Any:
    """What `pending` comes to, whether or not this thread runs a loop."""

    async def wait() -> Any:
        return await pending

    if not _runs_a_loop():
        return asyncio.run(wait())
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(copy_context().run, asyncio.run, wait()).result()


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _entry(fn: Callable[..., Any]) -> Callable[..., Any]:
    """What to call: of a `dspy.Module` that is only asynchronous, its `acall`."""
    if hasattr(type(fn), "aforward") and not hasattr(type(fn), "forward"):
        return getattr(fn, "acall", fn)
    return fn


def _is_async(fn: Callable[..., Any]) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)


def _name_of(fn: Callable[..., Any]) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", None) or type(fn).__name__
