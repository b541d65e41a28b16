"""When a provider that says `Retry-After` is left alone by everyone, and when it is asked again."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.runtime.layers.limiter import Gate, Ticket

PAUSE = 30.0


class Asked:
    """Calls at a gate, each a second after the one before."""

    def __init__(self, **settings: Any) -> None:
        self.gate, self.now = Gate("a", adaptive=True, **settings), 0.0

    def start(self) -> Ticket:
        self.now += 1.0
        ticket = Ticket(0.0)
        assert self.gate.join(ticket, self.now, inf) is None
        return ticket

    def end(self, ticket: Ticket, limited: bool) -> None:
        kind: Any = "limited" if limited else None
        hint = PAUSE if limited else None
        self.gate.leave(ticket, self.now, tokens=1.0, kind=kind, retry_after=hint)

    @property
    def is_closed(self) -> bool:
        return self.gate.paused(self.now) > 0


def test_before_anything_was_answered_the_first_rate_limit_is_believed() -> None:
    asked = Asked()
    asked.end(asked.start(), limited=True)
    assert asked.gate.paused(asked.now) == PAUSE


def test_one_rate_limit_among_answers_closes_the_gate_to_nobody_and_three_in_a_row_do() -> None:
    asked = Asked()
    for limited in (False, True, False, True, True):
        asked.end(asked.start(), limited)
        assert not asked.is_closed
    asked.end(asked.start(), limited=True)
    assert asked.is_closed


def test_an_answer_to_what_began_after_the_limited_call_opens_the_gate() -> None:
    asked = Asked()
    before, limited, after = asked.start(), asked.start(), asked.start()
    asked.end(limited, limited=True)
    asked.end(before, limited=False)  # it was let in before: that tells nothing
    assert asked.is_closed
    asked.end(after, limited=False)
    assert not asked.is_closed


def test_who_waits_for_the_end_of_a_pause_is_told_when_it_ends_before() -> None:
    asked = Asked()
    limited, after, waiting = asked.start(), asked.start(), Ticket(0.0)
    asked.end(limited, limited=True)
    assert asked.gate.join(waiting, asked.now, inf) == PAUSE
    asked.end(after, limited=False)
    assert waiting.turn is not None
    assert waiting.turn.done()
    assert asked.gate.look(waiting, asked.now, inf) is None


@given(st.lists(st.booleans(), max_size=60))
def test_who_is_limited_always_is_asked_no_oftener_than_it_wants(answers: list[bool]) -> None:
    """Whatever came before: after three it is left alone, and each pause costs one more call."""
    asked = Asked()
    for limited in answers:
        if not asked.is_closed:
            asked.end(asked.start(), limited)
    began, calls = asked.now, 0
    while asked.now < began + 10 * PAUSE:
        if asked.is_closed:
            asked.now += 1.0
        else:
            asked.end(asked.start(), limited=True)
            calls += 1
    assert calls <= 3 + 10


def test_a_provider_rests_while_it_is_paused_or_bears_no_more() -> None:
    asked = Asked(concurrency=4)
    first = [asked.start() for _ in range(4)]
    assert not asked.gate.rests(asked.now)  # full by its own setting: there is a line for that
    for ticket in first:
        asked.gate.leave(ticket, asked.now, tokens=None, kind="limited", retry_after=None)
    assert not asked.gate.rests(asked.now)
    asked.start()
    asked.start()
    assert asked.gate.rests(asked.now)


@pytest.mark.parametrize("limit", [None, 4])
def test_a_gate_of_fixed_places_never_bears_less(limit: int | None) -> None:
    gate = Gate("a", concurrency=limit)
    for _ in range(4):
        ticket = Ticket(0.0)
        gate.join(ticket, 0.0, inf)
        gate.leave(ticket, 0.0, tokens=None, kind="limited", retry_after=None)
    assert (gate.places.limit, gate.rests(0.0)) == (limit, False)
