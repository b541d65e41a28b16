"""A step that puts found passages into a better order: a predictor that optimizers reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dspy

from .passages import Passage, numbered

__all__ = ["RankPassages", "Reranker"]


class RankPassages(dspy.Signature):
    """Say which of the numbered passages help to answer the query, the most helpful first."""

    query: str = dspy.InputField()
    passages: str = dspy.InputField(desc="one on each line, under its number")
    best: list[int] = dspy.OutputField(desc="numbers of the passages that help, best first")


class Reranker(dspy.Module):
    """Asks a model for the numbers of the passages that help, and puts these first.

    Passages that the model does not name follow in the order in which they came; numbers that
    stand for none are passed over, so an answer that makes no sense changes nothing. The whole
    list is one call. The predictor is `rank`: it is compiled like any other, by a metric on what
    comes first.

    >>> from compilm.testing.engines import scripted_lm
    >>> found = [Passage("a", "Fax is fine."), Passage("b", "Appeals take 30 days.")]
    >>> with dspy.context(lm=scripted_lm([{"best": [2]}])):
    ...     [each.id for each in Reranker()(query="how long?", passages=found).passages]
    ['b', 'a']
    """

    def __init__(self) -> None:
        super().__init__()
        self.rank = dspy.Predict(RankPassages)

    def forward(self, query: str, passages: Sequence[Passage]) -> dspy.Prediction:
        """The passages in their new order, as `passages`."""
        if len(passages) < 2:
            return dspy.Prediction(passages=list(passages))
        answer = self.rank(query=query, passages=numbered(passages))
        return dspy.Prediction(passages=reordered(passages, answer.best))

    async def aforward(self, query: str, passages: Sequence[Passage]) -> dspy.Prediction:
        """As `forward`, in a task."""
        if len(passages) < 2:
            return dspy.Prediction(passages=list(passages))
        answer = await self.rank.acall(query=query, passages=numbered(passages))
        return dspy.Prediction(passages=reordered(passages, answer.best))


def reordered(passages: Sequence[Passage], best: Iterable[int] | None) -> list[Passage]:
    """The passages with these numbers (from 1) first, the others behind them.

    >>> [each.id for each in reordered([Passage("a", "a"), Passage("b", "b")], [2, 9, 2])]
    ['b', 'a']
    """
    places = [number - 1 for number in best or ()]
    first = list(dict.fromkeys(place for place in places if 0 <= place < len(passages)))
    rest = [place for place in range(len(passages)) if place not in first]
    return [passages[place] for place in (*first, *rest)]
