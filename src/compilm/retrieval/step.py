"""Retrieval as a step of a program."""

from __future__ import annotations

from collections.abc import Sequence

import dspy

from ..errors import UsageError
from .looking import alooked_up, looked_up, source
from .passages import Passage, Retriever, numbered
from .rerank import Reranker
from .where import Where

__all__ = ["Retrieve"]


class Retrieve(dspy.Module):
    """A step that looks up the `k` best passages for a query.

    With a `reranker` it looks up `depth` first and keeps the best after it; the reranker's
    predictor is a part of the program, and compiled with it. `where` holds for every call; a call
    may add conditions of its own. It waits as long as its retriever does: see `Bounded`. In a trace
    a look-up is a span; in a replay it finds what it found then, and nobody is asked.

    The prediction has `passages` (a list of texts), `context` (the same, numbered, for a prompt)
    and `sources` (a list of dicts with id, text, document, start, end, score, metadata), in one
    order: number n of the context is `sources[n - 1]`.

    >>> from compilm.retrieval import Bm25
    >>> index = Bm25()
    >>> index.add([Passage("a", "Appeals take 30 days."), Passage("b", "Send claims by fax.")])
    >>> found = Retrieve(index, k=1)(query="How long do appeals take?")
    >>> found.context, found.sources[0]["id"]
    ('[1] Appeals take 30 days.', 'a')
    """

    def __init__(
        self,
        retriever: Retriever,
        k: int = 5,
        *,
        reranker: Reranker | None = None,
        depth: int = 20,
        where: Where | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= k <= depth:
            raise UsageError(f"{k} passages out of {depth}: give k from 1 to depth")
        if not hasattr(retriever, "search"):
            raise UsageError(
                f"Retrieve looks up in a retriever, not in a {type(retriever).__name__}: give an "
                "index, as Bm25(), or anything with search(query, k, where) and asearch"
            )
        self.retriever, self.k, self.depth = retriever, k, depth
        self.reranker, self.where = reranker, dict(where or {})

    def forward(self, query: str, where: Where | None = None) -> dspy.Prediction:
        """The best passages."""
        asked = {**self.where, **(where or {})}
        found = looked_up(self.retriever, query, self._wanted, asked)
        if self.reranker is not None:
            found = self.reranker(query=query, passages=found).passages
        return _told(found[: self.k])

    async def aforward(self, query: str, where: Where | None = None) -> dspy.Prediction:
        """As `forward`, in a task."""
        asked = {**self.where, **(where or {})}
        found = await alooked_up(self.retriever, query, self._wanted, asked)
        if self.reranker is not None:
            found = (await self.reranker.acall(query=query, passages=found)).passages
        return _told(found[: self.k])

    @property
    def _wanted(self) -> int:
        return self.k if self.reranker is None else self.depth


def _told(found: Sequence[Passage]) -> dspy.Prediction:
    return dspy.Prediction(
        passages=[each.text for each in found],
        context=numbered(found),
        sources=[source(each) for each in found],
    )
