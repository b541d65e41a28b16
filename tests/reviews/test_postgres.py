"""A connection that breaks is made anew; one that cannot be made is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers import Postgres, running_postgres

from compilm.errors import JournalError
from compilm.reviews import Reviews


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


def test_a_lost_connection_is_made_anew_and_a_lost_server_is_told(server: Postgres) -> None:
    reviews = Reviews(server.url())
    asked = reviews.ask("?")
    server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert reviews.get(asked.id) == asked
    server.kill()
    with pytest.raises(JournalError, match="the database of reviews does not answer"):
        reviews.list()
    reviews.close()
