"""Vectors as rows of a matrix, and a search that wakes no other threads: what indexes share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..programs.embedding import Vectors

__all__ = ["one_thread", "unit_rows"]


def unit_rows(vectors: Vectors, count: int, *, zeros: bool = False) -> Any:
    """`vectors` as `count` rows of length one (float32); `ValueError` for what is no such thing.

    With `zeros` a vector of zeros stays one: a text in which the embedder sees nothing.

    >>> unit_rows([[3.0, 4.0]], 1).tolist() == unit_rows([[6.0, 8.0]], 1).tolist()
    True
    """
    import numpy as np

    rows = np.asarray(vectors, dtype="float32")
    if rows.ndim != 2 or len(rows) != count or not rows.shape[1]:
        raise ValueError(f"an embedder gave {rows.shape} for {count} texts: one vector for each")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (zeros or lengths.all()):
        raise ValueError("an embedder gave a vector that is not finite, or zero")
    lengths[lengths == 0.0] = 1.0
    return rows / lengths


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS searches in this thread alone: waking others for one row costs more than they save."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
