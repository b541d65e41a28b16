"""From documents to the passages that answer a question: chunks, embedders, indexes, fusion."""

from ..programs.embedding import Embedder, Embedding
from .bm25 import Bm25
from .chunking import chunked, chunks, sentence_spans
from .faiss_index import FaissIndex
from .hybrid import Hybrid, fused
from .ngrams import HashedNgrams
from .passages import Document, Index, Passage, Retriever, numbered
from .pgvector import PgVectorIndex
from .where import Where

__all__ = [
    "Bm25",
    "Document",
    "Embedder",
    "Embedding",
    "FaissIndex",
    "HashedNgrams",
    "Hybrid",
    "Index",
    "Passage",
    "PgVectorIndex",
    "Retriever",
    "Where",
    "chunked",
    "chunks",
    "fused",
    "numbered",
    "sentence_spans",
]
