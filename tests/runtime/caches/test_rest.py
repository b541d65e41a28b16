"""What failed is left alone; one finds out, and only what comes of that one counts."""

from __future__ import annotations

import pytest

from compilm.clock import ManualClock
from compilm.errors import Refused
from compilm.runtime.caches.rest import Rest


class Answered(Exception):
    """An error that says that it answers."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rest(clock: ManualClock) -> Rest:
    return Rest("it", 10.0, clock, well=(Answered,))


def fails(rest: Rest, error: BaseException) -> None:
    with pytest.raises(type(error)), rest:
        raise error


def test_while_one_finds_out_the_others_are_refused(rest: Rest, clock: ManualClock) -> None:
    fails(rest, OSError())
    clock.advance(10.0)
    with rest, pytest.raises(Refused, match=r"left alone for 10\.0 s more"), rest:
        pass
    with rest, rest:  # it is well: nobody is refused any more
        pass


def test_one_that_fails_again_begins_another_rest(rest: Rest, clock: ManualClock) -> None:
    fails(rest, OSError())
    clock.advance(10.0)
    fails(rest, OSError())
    clock.advance(9.9)
    with pytest.raises(Refused), rest:
        pass


def test_an_error_that_is_an_answer_begins_none_and_ends_one(
    rest: Rest, clock: ManualClock
) -> None:
    fails(rest, Answered())
    with rest:
        pass
    fails(rest, OSError())
    clock.advance(10.0)
    fails(rest, Answered())
    with rest:
        pass


def test_what_is_cancelled_says_nothing(rest: Rest, clock: ManualClock) -> None:
    fails(rest, KeyboardInterrupt())
    with rest:
        pass
    fails(rest, OSError())
    clock.advance(10.0)
    fails(rest, KeyboardInterrupt())
    with pytest.raises(Refused), rest:
        pass
    clock.advance(10.0)
    with rest:
        pass
