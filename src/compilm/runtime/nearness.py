"""The semantic cache that `[runtime]` describes."""

from __future__ import annotations

from ..clock import SYSTEM_CLOCK, Clock
from ..config import RuntimeSettings
from .layers.semantic import Semantic
from .near.embedding import embedder_of
from .near.shelves import Shelves

__all__ = ["semantic_of"]


def semantic_of(settings: RuntimeSettings, clock: Clock = SYSTEM_CLOCK) -> Semantic | None:
    """The layer, if there is to be one; its FAISS is loaded when the first answer is kept.

    Raises `MissingExtra` without FAISS, `ProgramError` for an embedder that is not found.

    >>> print(semantic_of(RuntimeSettings()))
    None
    >>> print(semantic_of(RuntimeSettings(semantic={"threshold": 0.9})))
    near questions share an answer: cosine 0.9 by read-words-v1, 10,000 at most in this process
    """
    told = settings.semantic
    if not told:
        return None
    return Semantic(
        Shelves(int(told.get("entries", 10_000)), clock),
        embedder_of(str(told.get("embedder", "read-words-v1"))),
        float(told["threshold"]),
        settings.cache_ttl,
        same_words=bool(told.get("same_words", True)),
        clock=clock,
    )
