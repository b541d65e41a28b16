"""Metrics over one text field: exact, normalized, token F1, containment."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from ..errors import MetricError
from .metric import Metric
from .score import Score
from .values import ABSENT, comparable, field_name, gold_value, value_of, wrong

__all__ = ["contains", "exact", "f1", "normalize", "normalized", "token_f1"]

_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")


def exact(field: str) -> Metric:
    """A metric that is 1 where `field` of the prediction equals that of the example.

    Equal means equal as data: a pydantic model equals its JSON, a tuple the list, but not a
    number its text. An example without the field is a `MetricError`; a prediction without it
    scores 0. The feedback says what was expected and what was there.

    >>> exact("answer").score({"answer": "Paris"}, {"answer": "Rome"})
    Score(0.0, "`answer` should be 'Paris', got 'Rome'")
    """
    name = field_name(field)

    def score(example: Any, prediction: Any) -> Score:
        gold, got = gold_value(example, name), value_of(prediction, name)
        return _judged(name, gold, got, float(comparable(gold) == comparable(got)))

    return Metric(score, f"exact({name})")


def normalized(field: str) -> Metric:
    """A metric that is 1 where both texts are equal after `normalize`; a list of golds is a choice.

    The exact match of the SQuAD evaluation (Rajpurkar et al. 2016, arXiv 1606.05250).

    >>> normalized("answer").score({"answer": ["Eiffel Tower"]}, {"answer": "the eiffel tower."})
    Score(1.0, '`answer` is right')
    """
    return _text_metric("normalized", field, _same)


def f1(field: str) -> Metric:
    """A metric that gives `token_f1` of both texts; a list of golds is a choice.

    >>> f1("answer").score({"answer": "Paris"}, {"answer": "Paris, France"}).value
    0.6666666666666666
    """
    return _text_metric("f1", field, token_f1)


def contains(field: str) -> Metric:
    """A metric that is 1 where the predicted text has the gold one in it, in whole words.

    >>> contains("answer").score({"answer": "Paris"}, {"answer": "It is Paris."}).value
    1.0
    """
    return _text_metric("contains", field, _within)


def normalize(text: str) -> str:
    """`text` in lower case without ASCII punctuation, English articles and spare white space.

    The normalization of the SQuAD evaluation (Rajpurkar et al. 2016, arXiv 1606.05250).

    >>> normalize("The  Eiffel-Tower!")
    'eiffeltower'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(gold: str, predicted: str) -> float:
    """The harmonic mean of precision and recall over the words of both texts, normalized.

    2·shared / (words of gold + words of predicted), words counted as often as they stand there;
    1 where both are empty, 0 where one is. Source: Rajpurkar et al. 2016, arXiv 1606.05250.

    >>> token_f1("in the city of Paris", "Paris")
    0.4
    """
    ours, theirs = normalize(gold).split(), normalize(predicted).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def _text_metric(kind: str, field: str, compare: Callable[[str, str], float]) -> Metric:
    name = field_name(field)

    def score(example: Any, prediction: Any) -> Score:
        gold, got = gold_value(example, name), value_of(prediction, name)
        choices = list(gold) if isinstance(gold, (list, tuple, set, frozenset)) else [gold]
        if not choices or None in choices:
            raise MetricError(
                f"the example's field {name!r} is {gold!r}, and a text is needed to compare with"
            )
        given = ABSENT if got is None else got
        best = 0.0 if given is ABSENT else max(compare(str(one), _text(got)) for one in choices)
        return _judged(name, choices[0] if len(choices) == 1 else gold, given, best)

    return Metric(score, f"{kind}({name})")


def _judged(name: str, gold: Any, got: Any, value: float) -> Score:
    return Score(value, f"`{name}` is right" if value == 1 else wrong(name, gold, got))


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _same(gold: str, predicted: str) -> float:
    return float(normalize(gold) == normalize(predicted))


def _within(gold: str, predicted: str) -> float:
    ours, theirs = normalize(gold), normalize(predicted)
    return float(ours == theirs or f" {ours} " in f" {theirs} ")
