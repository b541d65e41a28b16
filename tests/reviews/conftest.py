"""A queue in a file, and one in a real Postgres, under a clock that tests turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from compilm.clock import ManualClock
from compilm.reviews import Reviews

Opened = Callable[[], Reviews]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1000.0)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Opened]:
    """Opens the same queue again and again, as processes do."""
    if request.param == "sqlite":
        place = str(tmp_path / "reviews.db")
    else:
        place = request.getfixturevalue("postgres_url")
    numbers, made = count(1), list[Reviews]()

    def opens() -> Reviews:
        made.append(Reviews(place, clock=clock, new_id=lambda: f"r{next(numbers)}"))
        return made[-1]

    yield opens
    for each in made:
        each.close()


@pytest.fixture
def reviews(opened: Opened) -> Reviews:
    return opened()
