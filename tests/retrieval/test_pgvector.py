"""Passages in a real Postgres: what it refuses, what it survives, and that conditions find."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.servers import running_postgres

from compilm.errors import ArtifactMismatch, DataError, LimitReached, UsageError
from compilm.retrieval import Embedder, HashedNgrams, Passage, PgVectorIndex
from compilm.retrieval.pool import Pool
from compilm.testing.retriever_kit import PASSAGES

psycopg = pytest.importorskip("psycopg")

EMBEDDER = HashedNgrams(128)


Make = Callable[..., PgVectorIndex]


@pytest.fixture
def index_at() -> Iterator[Make]:
    """Makes indexes that are closed when the test ends."""
    made: list[PgVectorIndex] = []

    def one(url: str, embedder: Embedder = EMBEDDER, **settings: Any) -> PgVectorIndex:
        made.append(PgVectorIndex(url, "passages", embedder, **settings))
        return made[-1]

    yield one
    for each in made:
        each.close()


def test_another_process_finds_what_one_put_in(index_at: Make, postgres_url: str) -> None:
    index_at(postgres_url).add(PASSAGES)
    assert index_at(postgres_url).search("denial letter", k=1)[0].id == "denial"


def test_another_embedder_is_refused(index_at: Make, postgres_url: str) -> None:
    index_at(postgres_url).add(PASSAGES)
    other = index_at(postgres_url, HashedNgrams(64))
    for ask in (lambda: other.search("fax"), lambda: other.add(PASSAGES), lambda: len(other)):
        with pytest.raises(ArtifactMismatch, match=r"'ngrams-v1/128', and 'ngrams-v1/64'"):
            ask()


@pytest.mark.parametrize("comment", ["'a table of mine'", "'{}'", "'[1]'"])
def test_a_table_of_somebody_else_is_left_alone(
    index_at: Make, postgres_url: str, comment: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create table passages (id int)")
        connection.execute(f"comment on table passages is {comment}")
    with pytest.raises(ArtifactMismatch, match="not made by compilm"):
        index_at(postgres_url).add(PASSAGES)


def test_a_table_without_a_word_about_it_is_left_alone(index_at: Make, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create table passages (id int)")
    with pytest.raises(ArtifactMismatch, match="not made by compilm"):
        index_at(postgres_url).add(PASSAGES)


def test_many_begin_at_once_with_one_table(index_at: Make, postgres_url: str) -> None:
    def begin(number: int) -> None:
        index_at(postgres_url).add([Passage(f"p{number}", f"Passage number {number}.")])

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(begin, range(6)))
    assert len(index_at(postgres_url)) == 6


def test_a_rare_condition_still_finds_by_the_graph(index_at: Make, postgres_url: str) -> None:
    index = index_at(postgres_url, effort=10)
    index.add(
        Passage(f"p{n}", f"Note {n} of the claims desk.", {"rare": n % 400 == 7, "n": n})
        for n in range(1200)
    )
    with psycopg.connect(postgres_url) as connection:
        connection.execute("analyze passages")
    found = index.search("notes of the claims desk", 10, {"rare": True})
    assert {each.metadata["n"] for each in found} == {7, 407, 807}
    found = index.search("notes of the claims desk", 50)
    assert len(found) == 50


def test_all_passages_are_put_in_or_none(index_at: Make, postgres_url: str) -> None:
    index = index_at(postgres_url)
    with pytest.raises(DataError, match=r"field 'text': passage 'bad'"):
        index.add([*PASSAGES, Passage("bad", "zero \0 byte")])
    with pytest.raises(DataError, match="half a character"):
        index.add([Passage("bad\ud800", "text")])
    assert len(index) == 0


@pytest.mark.parametrize("table", ["", "Passages", "a-b", "a;drop table b", "1a", "a" * 42])
def test_names_that_are_not_plain_are_refused(table: str) -> None:
    with pytest.raises(UsageError, match="no name for a table"):
        PgVectorIndex("postgresql://", table, EMBEDDER)


@pytest.mark.parametrize(
    "settings", [{"effort": 0}, {"effort": 1001}, {"connections": 0}, {"patience": 0.0}]
)
def test_settings_that_reach_nothing_are_refused(
    index_at: Make, settings: dict[str, object]
) -> None:
    with pytest.raises(UsageError):
        index_at("postgresql://", **settings)


def test_vectors_too_wide_to_index_are_refused(index_at: Make, postgres_url: str) -> None:
    with pytest.raises(UsageError, match="4000 at most"):
        index_at(postgres_url, HashedNgrams(4096)).add(PASSAGES)


def test_a_server_that_comes_back_is_used_again(index_at: Make) -> None:
    with running_postgres() as server:
        server.run("create extension vector")
        index = index_at(server.url())
        index.add(PASSAGES)
        assert index.search("fax", k=1)
        server.run(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
        assert index.search("fax", k=1)[0].id == "fax"
        assert asyncio.run(index.asearch("fax", k=1))[0].id == "fax"
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            index.search("fax")


def test_statements_and_waits_have_an_end(postgres_url: str) -> None:
    pool = Pool(postgres_url, size=1, patience=0.2)
    with pool.connection() as connection:
        with pytest.raises(LimitReached, match="all 1 connections"), pool.connection():
            pass
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(60)")
    with pool.connection() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    pool.close()


def test_a_failed_transaction_leaves_nothing_and_the_connection_well(postgres_url: str) -> None:
    pool = Pool(postgres_url, size=1, patience=5.0)
    with pytest.raises(ZeroDivisionError), pool.connection() as connection:
        connection.execute("create table left_over (id int)")
        1 / 0
    with pool.connection() as connection:
        assert connection.execute("select to_regclass('left_over')").fetchone() == (None,)
    pool.close()


def test_a_fork_has_connections_of_its_own(postgres_url: str) -> None:
    pool = Pool(postgres_url, size=1, patience=5.0)

    def backend() -> int:
        with pool.connection() as connection:
            return int(connection.execute("select pg_backend_pid()").fetchone()[0])

    before = backend()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(backend()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    told = int(os.read(read, 20))
    os.close(read)
    assert before == backend() != told
    pool.close()


@pytest.mark.parametrize("broken", ["a\0b", "a\ud800b"])
def test_texts_that_postgres_cannot_keep_are_told_and_never_found(
    index_at: Make, postgres_url: str, broken: str
) -> None:
    index = index_at(postgres_url)
    index.add(PASSAGES)
    for metadata in ({"plan": broken}, {broken: 1}, {"plans": ["gold", broken]}):
        with pytest.raises(DataError, match="Postgres cannot keep"):
            index.add([Passage("p", "A text.", metadata)])
    assert index.search("denial letter", where={"plan": broken}) == []
    assert index.search("denial letter", where={broken: "gold"}) == []
    assert index.delete([broken]) == 0
    assert len(index) == len(PASSAGES)
