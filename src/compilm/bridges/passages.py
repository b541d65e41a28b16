"""What another framework's retriever found, as passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..retrieval import Passage, Where
from ..retrieval.where import fitting

__all__ = ["kept", "of_theirs"]


def of_theirs(
    text: str, metadata: Mapping[str, Any], id: str | None, place: int, score: float | None = None
) -> Passage:
    """One of their documents; of its metadata what is flat: texts, numbers, booleans.

    >>> found = of_theirs("Appeals take 30 days.", {"year": 2026, "path": ["a"]}, None, 0)
    >>> found.id, found.metadata
    ('0', {'year': 2026})
    """
    flat = {str(k): v for k, v in metadata.items() if isinstance(v, str | int | float | bool)}
    return Passage(id or str(place), text, flat, score=score)


def kept(found: Sequence[Passage], k: int, where: Where | None) -> list[Passage]:
    """The first `k` of what was found whose metadata fits."""
    fits = fitting(where)
    return [each for each in found if fits(each.metadata)][:k]
