"""Vectors in memory: what the graph finds, what deleting does, and what embedders may give."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import pytest

from compilm.errors import MissingExtra, UsageError
from compilm.retrieval import Bm25, Embedding, FaissIndex, HashedNgrams, Passage


def circle(texts: list[str]) -> list[list[float]]:
    """Vectors that are random, and the same for the same text."""
    return [[random.Random(f"{text}/{place}").gauss(0, 1) for place in range(16)] for text in texts]


EMBEDDER = Embedding("circle", circle)
MANY = [Passage(f"p{n}", f"text {n}", {"even": n % 2 == 0, "n": n}) for n in range(3000)]
QUERIES = [f"query {n}" for n in range(50)]


def ids(index: FaissIndex, query: str, where: Any = None) -> set[str]:
    return {each.id for each in index.search(query, 10, where)}


@pytest.fixture(scope="module")
def exact() -> FaissIndex:
    index = FaissIndex(EMBEDDER)
    index.add(MANY)
    return index


@pytest.mark.parametrize("where", [None, {"even": True}, {"n": list(range(2500))}])
def test_a_graph_finds_nearly_what_is_nearest(exact: FaissIndex, where: Any) -> None:
    graph = FaissIndex(EMBEDDER, "hnsw")
    graph.add(MANY)
    shared = [len(ids(graph, query, where) & ids(exact, query, where)) for query in QUERIES]
    assert sum(shared) / (10 * len(QUERIES)) > 0.95


def test_more_effort_finds_more(exact: FaissIndex) -> None:
    found = []
    for effort in (1, 400):
        graph = FaissIndex(EMBEDDER, "hnsw", links=4, effort=effort)
        graph.add(MANY)
        found.append(sum(len(ids(graph, query) & ids(exact, query)) for query in QUERIES))
    assert found[0] < found[1]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_half_that_is_deleted_is_not_found_and_the_rest_is(exact: FaissIndex, kind: Any) -> None:
    index = FaissIndex(EMBEDDER, kind)
    index.add(MANY)
    for start in range(0, 1500, 30):  # a graph is built anew more than once on the way
        index.delete(each.id for each in MANY[start : start + 30])
    assert len(index) == 1500
    rest = {"n": list(range(1500, 3000))}
    shared = [len(ids(index, query) & ids(exact, query, rest)) for query in QUERIES]
    assert sum(shared) / (10 * len(QUERIES)) > 0.95


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_scores_are_cosines(kind: Any) -> None:
    vectors = {"a": [2.0, 0.0], "b": [0.0, 3.0], "q": [3.0, 4.0]}
    index = FaissIndex(Embedding("fixed", lambda texts: [vectors[t] for t in texts]), kind)
    index.add([Passage("a", "a"), Passage("b", "b")])
    found = [(each.id, each.score) for each in index.search("q")]
    assert found == [("b", pytest.approx(0.8)), ("a", pytest.approx(0.6))]
    found = [(each.id, each.score) for each in index.search("q", where={"x": 1})]
    assert found == []


def test_an_embedder_that_changes_its_width_is_refused() -> None:
    index = FaissIndex(Embedding("odd", lambda texts: [[1.0] * len(texts[0])] * len(texts)))
    index.add([Passage("a", "abc")])
    for ask in (lambda: index.search("ab"), lambda: index.add([Passage("b", "ab")])):
        with pytest.raises(ValueError, match="'odd' gave 2 numbers, and 3 before"):
            ask()
    assert len(index) == 1


@pytest.mark.parametrize("given", [[], [[1.0], [2.0]], [1.0], [[float("nan")]], [[]]])
def test_an_embedder_that_gives_no_vectors_is_refused_and_nothing_kept(given: Any) -> None:
    index = FaissIndex(Embedding("bad", lambda texts: given))
    with pytest.raises(ValueError, match="an embedder gave"):
        index.add([Passage("a", "a")])
    assert len(index) == 0


def test_a_passage_in_which_nothing_is_seen_does_no_harm() -> None:
    index = FaissIndex(HashedNgrams(64))
    index.add([Passage("dots", "..."), Passage("word", "word")])
    assert index.search("word", k=1)[0].id == "word"
    assert index.search("?!") == []


@pytest.mark.parametrize("settings", [{"kind": "ivf"}, {"links": 1}, {"effort": 0}])
def test_settings_that_find_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="kinds are 'flat' and 'hnsw'"):
        FaissIndex(HashedNgrams(), **settings)


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "compilm.retrieval.faiss_index.find_spec", lambda n: None if n == "faiss" else found(n)
    )
    with pytest.raises(MissingExtra, match=r"compilm\[faiss\]"):
        FaissIndex(HashedNgrams())


def test_words_that_say_nothing_count_nothing_unless_there_are_no_others() -> None:
    embedder = HashedNgrams(1024)
    one, other = embedder.embed(["card of the", "card of of"])
    assert one == other
    assert any(embedder.embed(["who are you"])[0])
    assert not any(embedder.embed(["?!"])[0])
    with pytest.raises(UsageError, match="16 or more"):
        HashedNgrams(8)


def test_a_word_that_is_repeated_counts_less_each_time() -> None:
    index = Bm25()
    index.add([Passage("a", "card card card card fee"), Passage("b", "card fee fee lost lost")])
    once, often = (index.search(q, k=9) for q in ("fee", "card"))
    assert [each.id for each in once] == ["b", "a"]
    assert often[0].score < 4 * often[1].score


def test_scores_of_words_are_those_of_the_formula() -> None:
    import math

    index = Bm25(k1=1.2, b=0.75)
    index.add([Passage("a", "lost card"), Passage("b", "card card fee fee")])
    idf = math.log(1 + (2 - 2 + 0.5) / (2 + 0.5))
    want = idf * 2 * 2.2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 4 / 3))
    assert {each.id: each.score for each in index.search("card")}["b"] == pytest.approx(want)
    with pytest.raises(UsageError, match="k1 is 0 or more"):
        Bm25(k1=-1)
