"""The benchmark of retrieval: ranks are counted as they are told, on data of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from benchmarks.retrieval import (
    Asked,
    Remembered,
    Row,
    filled,
    graph_table,
    measured,
    measurements,
    rows_of,
    table,
)

from compilm.retrieval import Bm25, FaissIndex, HashedNgrams, Passage

PASSAGES = [Passage(f"p{n}", f"topic{n} and word{n % 3}") for n in range(30)]
ASKED = [Asked("topic7", "p7"), Asked("word1 topic4", "p4"), Asked("nothing", "p1")]


def test_a_passage_that_is_not_found_has_no_rank() -> None:
    row = measured("BM25", lambda: filled(Bm25(), PASSAGES), ASKED, len(PASSAGES))
    assert row.ranks == (1, 1, 0)
    assert row.build > 0
    told = table([row, Row("late", (20, 6, 2), 2 * row.build, 3 * row.ask)], 30)
    assert "| *any order* | 3.3% | 16.7% | 66.7% |" in told
    assert "| BM25 | 66.7 (" in told
    assert "| 0.667 (" in told
    late = next(line for line in told.splitlines() if line.startswith("| late"))
    assert late.startswith("| late | 0.0 (")
    assert late.endswith("| 2.0 | 3.0 |")


def test_vectors_are_made_once() -> None:
    made: list[str] = []

    class Counting(HashedNgrams):
        def embed(self, texts: list[str]) -> list[list[float]]:
            made.extend(texts)
            return super().embed(texts)

    known = Remembered(Counting(64), [each.text for each in PASSAGES], [ASKED[0].text])
    filled(FaissIndex(known), PASSAGES).search(ASKED[0].text)
    assert len(made) == len(PASSAGES) + 1


def test_every_way_is_measured_on_a_folder(tmp_path: Path, postgres_url: str) -> None:
    rows = [{"id": each.id, "title": "t", "text": each.text} for each in PASSAGES]
    asked = [{"id": "q", "question": one.text, "gold_passage": one.gold} for one in ASKED]
    for name, content in (("passages", rows), ("questions", asked)):
        lines = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
    passages, questions = rows_of(tmp_path)
    assert (len(passages), passages[0].text, questions) == (30, "t\ntopic0 and word0", ASKED)
    found = list(measurements(passages, questions, [("n-grams", HashedNgrams(64))], postgres_url))
    assert [row.name.split(",")[0] for row in found] == [
        "BM25",
        "FAISS flat",
        "FAISS HNSW",
        "pgvector HNSW",
        "BM25 + flat",
    ]
    assert all(row.ranks[0] == 1 for row in found)


def test_the_graph_is_told_beside_exact_search() -> None:
    vectors = np.random.default_rng(1).normal(size=(300, 8)).astype("float32")
    told = graph_table(vectors, 2).splitlines()
    assert told[0] == "600 vectors of 8 numbers"
    assert told[4].startswith("| flat | 100.0% | 1.0 | 1.000 |")
    assert [line.split("|")[1].strip() for line in told[5:]] == [
        "hnsw, effort 32",
        "hnsw, effort 128",
        "hnsw, effort 512",
    ]


def test_the_passage_that_stands_at_place_twenty_one_counts_as_not_found() -> None:
    same = [Passage(f"s{n:02}", "word") for n in range(25)]
    asked = [Asked("word", "s19"), Asked("word", "s20")]
    assert measured("BM25", lambda: filled(Bm25(), same), asked, 25).ranks == (20, 0)
