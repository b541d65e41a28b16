"""From documents to the passages that answer a question: chunks, embedders, indexes, fusion."""

from ..programs.embedding import Embedder, Embedding
from .bm25 import Bm25
from .bounded import Bounded
from .chunking import chunked, chunks, sentence_spans
from .faiss_index import FaissIndex
from .hybrid import Hybrid, fused
from .ngrams import HashedNgrams
from .passages import Document, Index, Passage, Retriever, numbered
from .pgvector import PgVectorIndex
from .remote_embedder import OpenAIEmbedder
from .rerank import Reranker
from .sentence_model import SentenceModel
from .step import Retrieve
from .where import Where

__all__ = [
    "Bm25",
    "Bounded",
    "Document",
    "Embedder",
    "Embedding",
    "FaissIndex",
    "HashedNgrams",
    "Hybrid",
    "Index",
    "OpenAIEmbedder",
    "Passage",
    "PgVectorIndex",
    "Reranker",
    "Retrieve",
    "Retriever",
    "SentenceModel",
    "Where",
    "chunked",
    "chunks",
    "fused",
    "numbered",
    "sentence_spans",
]
