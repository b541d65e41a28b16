"""How often retrieval finds the passage that answers, and what it costs.

    python -m benchmarks.retrieval DATA [--model FOLDER] [--postgres URL] [--copies 16]

DATA is a folder with `passages.jsonl` (id, title, text) and `questions.jsonl` (id, question,
gold_passage), such as nq-passages; FOLDER holds a sentence model. Without URL a Postgres of the
tests is started. Printed is, for each retriever, the share of questions whose passage is among the
first 1, 5 and 20, and the mean reciprocal rank (0 beyond 20), with 95 % intervals over questions;
then processor time to build and to ask, as multiples of BM25's. `--copies` adds a table of FAISS's
graph beside exact search on so many noisy copies of each vector.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tests.servers import running_postgres

from compilm.metrics.stats import mean_interval
from compilm.retrieval import (
    Bm25,
    Embedder,
    Embedding,
    FaissIndex,
    HashedNgrams,
    Hybrid,
    Index,
    Passage,
    PgVectorIndex,
    Retriever,
    SentenceModel,
)
from compilm.retrieval.rows import unit_rows

DEPTHS = (1, 5, 20)
TIMED = 100  # questions that are asked for time
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the id of the passage that answers it."""

    text: str
    gold: str


class Remembered:
    """The vectors of texts, made once; `a_text` and `a_query` are what one took, in seconds."""

    def __init__(self, real: Embedder, texts: Sequence[str], queries: Sequence[str]) -> None:
        self.name = real.name
        start = time.process_time()
        known = list(np.asarray(real.embed(texts), dtype="float32"))
        self.a_text = (time.process_time() - start) / len(texts)
        start = time.process_time()
        known += [np.asarray(real.embed([query]), dtype="float32")[0] for query in queries]
        self.a_query = (time.process_time() - start) / len(queries)
        self._known = dict(zip([*texts, *queries], known))

    def embed(self, texts: Sequence[str]) -> Any:
        """A vector for each text."""
        return np.stack([self._known[text] for text in texts])

    async def aembed(self, texts: Sequence[str]) -> Any:
        """As `embed`."""
        return self.embed(texts)


@dataclass(frozen=True, slots=True)
class Row:
    """What one retriever did; `build` and `ask` in milliseconds of processor time a text."""

    name: str
    ranks: tuple[int, ...]  # 0 where the passage is not among the first 20
    build: float
    ask: float


def rows_of(folder: Path) -> tuple[list[Passage], list[Asked]]:
    """The passages, with their titles before them, and the questions."""
    passages = [
        Passage(row["id"], f"{row['title']}\n{row['text']}") for row in _json(folder / "passages")
    ]
    return passages, [
        Asked(row["question"], row["gold_passage"]) for row in _json(folder / "questions")
    ]


def _json(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.with_suffix(".jsonl").read_text("utf-8").split("\n"):
        if line:
            yield json.loads(line)


def measured(
    name: str,
    built: Callable[[], Retriever],
    asked: Sequence[Asked],
    count: int,
    embedder: Remembered | None = None,
) -> Row:
    """Build a retriever, ask it everything, and take its time, that of its vectors included."""
    start = time.process_time()
    retriever = built()
    build = time.process_time() - start + (embedder.a_text * count if embedder else 0.0)
    ranks = []
    for one in asked:
        ids = [each.id for each in retriever.search(one.text, DEPTHS[-1])]
        ranks.append(ids.index(one.gold) + 1 if one.gold in ids else 0)
    ask = median(_time(retriever, asked[:TIMED]) for _ in range(ROUNDS))
    if embedder is not None:
        ask += embedder.a_query
    return Row(name, tuple(ranks), 1000 * build / count, 1000 * ask)


def _time(retriever: Retriever, asked: Sequence[Asked]) -> float:
    start = time.process_time()
    for one in asked:
        retriever.search(one.text, DEPTHS[-1])
    return (time.process_time() - start) / len(asked)


def measurements(
    passages: Sequence[Passage],
    asked: Sequence[Asked],
    embedders: Sequence[tuple[str, Embedder]],
    url: str,
) -> Iterator[Row]:
    """Every retriever with every embedder; Postgres works in processes of its own, not counted."""
    count = len(passages)
    yield measured("BM25", lambda: filled(Bm25(), passages), asked, count)
    for name, real in embedders:
        known = Remembered(real, [each.text for each in passages], [one.text for one in asked])
        table = PgVectorIndex(url, name.replace(" ", "_").replace("-", "_"), known)
        for kind, built in ways(passages, known, table).items():
            yield measured(f"{kind}, {name}", built, asked, count, known)
        table.close()


def ways(
    passages: Sequence[Passage], known: Embedder, table: PgVectorIndex
) -> dict[str, Callable[[], Retriever]]:
    """What can be built of these passages with one embedder."""

    def hybrid() -> Retriever:
        return Hybrid([filled(Bm25(), passages), filled(FaissIndex(known), passages)])

    return {
        "FAISS flat": lambda: filled(FaissIndex(known), passages),
        "FAISS HNSW": lambda: filled(FaissIndex(known, "hnsw"), passages),
        "pgvector HNSW": lambda: filled(table, passages),
        "BM25 + flat": hybrid,
    }


def table(rows: Sequence[Row], passages: int) -> str:
    """The rows as a table for a page."""
    base = next(row for row in rows if row.name == "BM25")
    head = [*(f"Recall@{depth}" for depth in DEPTHS), "MRR", "build", "query"]
    lines = [f"| retriever | {' | '.join(head)} |", "| --- |" + " ---: |" * len(head)]
    lines.append(
        "| *any order* | "
        + " | ".join(f"{depth / passages:.1%}" for depth in DEPTHS)
        + f" | {sum(1 / n for n in range(1, 21)) / passages:.3f} | | |"
    )
    for row in rows:
        shares = [mean_interval([float(0 < rank <= d) for rank in row.ranks]) for d in DEPTHS]
        mrr = mean_interval([1 / rank if rank else 0.0 for rank in row.ranks])
        cells = [f"{100 * e.value:.1f} ({100 * e.low:.1f}–{100 * e.high:.1f})" for e in shares]
        cells += [f"{mrr.value:.3f} ({mrr.low:.3f}–{mrr.high:.3f})"]
        cells += [f"{row.build / base.build:.1f}", f"{row.ask / base.ask:.1f}"]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    lines.append(f"\nBM25: {base.build:.2f} ms a passage to build, {base.ask:.2f} ms a question.")
    return "\n".join(lines)


def graph_table(vectors: Any, copies: int) -> str:
    """Exact search and the graph on noisy copies of these vectors."""
    noise = np.random.default_rng(0)
    many = np.concatenate([vectors] * copies).astype("float32")
    many = unit_rows(many + noise.normal(0, 0.5 / many.shape[1] ** 0.5, many.shape), len(many))
    asked = unit_rows(vectors[:300] + noise.normal(0, 0.02, vectors[:300].shape), 300)
    known = {f"v{n}": row for n, row in enumerate(many)} | {f"q{n}": r for n, r in enumerate(asked)}
    given = Embedding("given", lambda texts: np.stack([known[text] for text in texts]))
    passages = [Passage(f"v{n}", f"v{n}") for n in range(len(many))]
    lines = ["| index | of the 10 nearest, found | build | query |", "| --- | ---: | ---: | ---: |"]
    exact: list[set[str]] = []
    base = (0.0, 0.0)
    for name, index in (
        ("flat", FaissIndex(given)),
        *((f"hnsw, effort {e}", FaissIndex(given, "hnsw", effort=e)) for e in (32, 128, 512)),
    ):
        start = time.process_time()
        index.add(passages)
        build, start = time.process_time() - start, time.process_time()
        found = [{each.id for each in index.search(f"q{n}", 10)} for n in range(300)]
        query = time.process_time() - start
        exact, base = exact or found, base if exact else (build, query)
        share = sum(len(one & other) for one, other in zip(found, exact)) / 3000
        lines.append(f"| {name} | {share:.1%} | {build / base[0]:.1f} | {query / base[1]:.3f} |")
    return f"{len(many)} vectors of {many.shape[1]} numbers\n\n" + "\n".join(lines)


def filled(index: Index, passages: Sequence[Passage]) -> Index:
    """The index with the passages in it."""
    index.add(passages)
    return index


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--postgres")
    parser.add_argument("--copies", type=int, default=0)
    given = parser.parse_args()
    passages, asked = rows_of(given.data)
    embedders: list[tuple[str, Embedder]] = [("n-grams", HashedNgrams())]
    if given.model:
        embedders.append(("sentence model", SentenceModel(given.model)))
    with ExitStack() as servers:
        url = given.postgres or servers.enter_context(running_postgres()).url()
        rows = list(measurements(passages, asked, embedders, url))
    print(f"{len(passages)} passages, {len(asked)} questions\n\n{table(rows, len(passages))}")
    if given.copies:
        vectors = embedders[-1][1].embed([each.text for each in passages])
        print("\n" + graph_table(np.asarray(vectors, dtype="float32"), given.copies))


if __name__ == "__main__":
    main()
