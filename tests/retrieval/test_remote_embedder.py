"""Embeddings over the official SDK from a real server: batches, retries, bounds, the file."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.retrieval.conftest import EmbeddingServer, vector_of

from compilm.clock import ManualClock
from compilm.errors import CallFailed, DeadlineExceeded, ProviderRejected, UsageError
from compilm.retrieval import FaissIndex, OpenAIEmbedder, Passage

Make = Callable[..., OpenAIEmbedder]


@pytest.fixture
def make(embedding_server: EmbeddingServer) -> Iterator[Make]:
    made: list[OpenAIEmbedder] = []

    def one(**settings: Any) -> OpenAIEmbedder:
        given = {"base_url": embedding_server.url, "api_key": "key-1", "clock": ManualClock()}
        made.append(OpenAIEmbedder("small", **{**given, **settings}))
        return made[-1]

    yield one
    for each in made:
        each.close()


def lists(vectors: Any) -> list[list[float]]:
    return [[float(number) for number in vector] for vector in vectors]


def test_texts_are_asked_for_once_each_in_batches(
    make: Make, embedding_server: EmbeddingServer
) -> None:
    texts = [f"text {n % 7}{'x' * (n % 7)}" for n in range(20)]
    found = make(batch=3).embed(texts)
    assert lists(found) == [vector_of(text) for text in texts]
    assert sorted(len(body["input"]) for body in embedding_server.asked) == [1, 3, 3]
    told = [text for body in embedding_server.asked for text in body["input"]]
    assert sorted(told) == sorted(set(texts))
    assert {body["model"] for body in embedding_server.asked} == {"small"}
    assert set(embedding_server.keys) == {"Bearer key-1"}


def test_long_texts_are_asked_for_apart(make: Make, embedding_server: EmbeddingServer) -> None:
    make().embed(["a" * 150_000, "b" * 150_000, "c"])
    assert sorted(len(body["input"]) for body in embedding_server.asked) == [1, 2]


def test_tasks_get_what_threads_get(make: Make) -> None:
    embedder = make()

    async def several() -> list[Any]:
        return await asyncio.gather(*(embedder.aembed(["a", "bb"]) for _ in range(5)))

    wanted = lists(embedder.embed(["a", "bb"]))
    assert [lists(each) for each in asyncio.run(several())] == [wanted] * 5


def test_dimensions_are_asked_for_and_named(make: Make, embedding_server: EmbeddingServer) -> None:
    embedder = make(dimensions=2)
    assert lists(embedder.embed(["ab"])) == [[2.0, 3.0]]
    assert (embedder.name, embedding_server.asked[0]["dimensions"]) == ("openai/small/2", 2)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_pass_is_tried_again(
    make: Make, embedding_server: EmbeddingServer, status: int
) -> None:
    clock = ManualClock()
    embedding_server.replies = [(status, {}, {"error": {"message": "no"}})] * 2
    assert lists(make(clock=clock).embed(["a"])) == [vector_of("a")]
    first, second = clock.slept
    assert 0.25 <= first <= 0.75
    assert 0.5 <= second <= 1.5


def test_a_server_says_how_long_to_wait(make: Make, embedding_server: EmbeddingServer) -> None:
    clock = ManualClock()
    embedding_server.replies = [(429, {"retry-after": "7"}, {"error": {}})]
    make(clock=clock).embed(["a"])
    assert clock.slept == [7.0]


def test_attempts_end(make: Make, embedding_server: EmbeddingServer) -> None:
    embedding_server.replies = [(500, {}, {"error": {"message": "text a is odd"}})] * 9
    with pytest.raises(CallFailed, match=r"openai/small: the server answered 500$"):
        make(attempts=2).embed(["a"])
    assert len(embedding_server.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(401, ProviderRejected), (403, ProviderRejected), (400, CallFailed)]
)
def test_what_cannot_pass_is_not_tried_again(
    make: Make, embedding_server: EmbeddingServer, status: int, kind: type[Exception]
) -> None:
    embedding_server.replies = [(status, {}, {"error": {"message": "no"}})] * 2
    with pytest.raises(kind, match=str(status)) as raised:
        make().embed(["a"])
    assert type(raised.value) is kind
    assert "key-1" not in str(raised.value)
    assert len(embedding_server.asked) == 1


def test_patience_bounds_all_attempts(make: Make, embedding_server: EmbeddingServer) -> None:
    embedding_server.replies = [(429, {"retry-after": "7"}, {"error": {}})] * 9
    with pytest.raises(DeadlineExceeded, match="within 10 s"):
        make(attempts=5, patience=10.0).embed(["a"])
    assert len(embedding_server.asked) == 2


@pytest.mark.parametrize(
    "said",
    [
        "no json {",
        {"data": []},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"error": "none"},
    ],
)
def test_answers_that_are_no_vectors_are_refused(
    make: Make, embedding_server: EmbeddingServer, said: Any
) -> None:
    embedding_server.replies = [(200, {}, said)]
    with pytest.raises(CallFailed, match="openai/small"):
        make().embed(["a", "b"])
    assert len(embedding_server.asked) == 1


def test_nobody_there_is_an_error_after_all_attempts(make: Make) -> None:
    clock = ManualClock()
    with pytest.raises(CallFailed, match="could not be asked"):
        make(base_url="http://127.0.0.1:1/v1", clock=clock).embed(["a"])
    assert len(clock.slept) == 2


def test_a_kept_vector_is_not_asked_for_again(
    make: Make, embedding_server: EmbeddingServer, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "vectors.db"
    one = make(cache=file).embed(["a", "bb"])
    again = make(cache=file)
    assert lists(again.embed(["bb", "ccc", "a"])) == [vector_of(t) for t in ("bb", "ccc", "a")]
    assert lists(one) == [vector_of("a"), vector_of("bb")]
    assert [body["input"] for body in embedding_server.asked] == [["a", "bb"], ["ccc"]]
    make(cache=file, dimensions=2).embed(["a"])
    assert len(embedding_server.asked) == 3
    assert b"ccc" not in file.read_bytes()


def test_batches_that_came_are_kept_though_another_failed(
    make: Make, embedding_server: EmbeddingServer, tmp_path: Path
) -> None:
    embedder = make(cache=tmp_path / "v.db", batch=1, parallel=1)
    embedding_server.replies = [(200, {}, None), (400, {}, {"error": {}})]
    with pytest.raises(CallFailed):
        embedder.embed(["a", "bb"])
    embedder.embed(["a"])
    assert [body["input"] for body in embedding_server.asked] == [["a"], ["bb"]]


def test_an_empty_text_is_refused_before_it_is_asked_for(
    make: Make, embedding_server: EmbeddingServer
) -> None:
    with pytest.raises(UsageError, match="empty text"):
        make().embed(["a", " "])
    assert embedding_server.asked == []


@pytest.mark.parametrize("name", ["batch", "parallel", "attempts", "timeout", "patience"])
def test_settings_that_ask_for_nothing_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="ask for nothing"):
        OpenAIEmbedder("small", api_key="k", **{name: 0})  # type: ignore[arg-type]


def test_it_fills_an_index_and_copies_are_itself(make: Make) -> None:
    embedder = make()
    index = FaissIndex(embedder)
    index.add([Passage("a", "a"), Passage("b", "b" * 50)])
    assert index.search("x" * 49, k=1)[0].id == "b"
    assert asyncio.run(index.asearch("x", k=1))[0].id == "a"
    assert copy.deepcopy(embedder) is embedder
