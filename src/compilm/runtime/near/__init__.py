"""Answers to questions that are nearly equal: what is read of a text, what must agree, an index."""

from ...programs.embedding import Embedder, Embedding
from .embedding import HashedWords
from .guards import GUARDS, refusing
from .reading import Reading, read
from .shelves import Shelves

__all__ = [
    "GUARDS",
    "Embedder",
    "Embedding",
    "HashedWords",
    "Reading",
    "Shelves",
    "read",
    "refusing",
]
