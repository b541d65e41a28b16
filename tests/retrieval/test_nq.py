"""On real questions: how often the passage that answers is found, by what needs no model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.retrieval import filled, measured, rows_of

from compilm.retrieval import Bm25, FaissIndex, HashedNgrams

FOLDER = Path(os.environ.get("COMPILM_DATA", "")) / "nq-passages"
pytestmark = pytest.mark.skipif(
    "COMPILM_DATA" not in os.environ or not FOLDER.is_dir(),
    reason="COMPILM_DATA names no folder with nq-passages/",
)


def test_words_find_four_fifths_at_first_place_and_vectors_of_words_seven_tenths() -> None:
    passages, asked = rows_of(FOLDER)
    few = asked[:400]
    for index, least in ((Bm25(), 0.78), (FaissIndex(HashedNgrams()), 0.68)):
        found = measured("it", lambda index=index: filled(index, passages), few, len(passages))
        assert sum(rank == 1 for rank in found.ranks) / len(few) > least
        assert sum(0 < rank <= 20 for rank in found.ranks) / len(few) > 0.93
