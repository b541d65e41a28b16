"""The servers that tests are given: they are real, and each test has its own."""

from __future__ import annotations

import asyncio

import pytest
from tests.servers import Postgres, missing, running_postgres


def test_a_database_is_empty_and_has_vectors(postgres_url: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url) as connection:
        (near,) = connection.execute("select '[1,0]'::vector <=> '[0,1]'::vector").fetchone()
        connection.execute("create table notes (id int)")
    assert near == 1.0


def test_what_one_test_wrote_no_other_sees(postgres_url: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select to_regclass('notes')").fetchone() == (None,)


def test_it_is_reached_in_tasks_too(postgres_url: str) -> None:
    psycopg = pytest.importorskip("psycopg")

    async def asked() -> object:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            return await (await connection.execute("select 1")).fetchone()

    assert asyncio.run(asked()) == (1,)


def test_a_server_of_ones_own_can_be_killed() -> None:
    psycopg = pytest.importorskip("psycopg")
    with running_postgres() as server:
        with psycopg.connect(server.url()) as connection:
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        folder = server.folder
    assert not folder.exists()


def test_the_session_has_one_server(postgres_server: Postgres) -> None:
    assert postgres_server.process.poll() is None


def test_a_missing_server_skips_or_fails_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPILM_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="postgres is not installed"):
        missing("postgres")
    monkeypatch.setenv("COMPILM_SERVERS", "required")
    with pytest.raises(pytest.fail.Exception, match="postgres is not installed"):
        missing("postgres")
