"""On a true wire: a budget holds whatever fails, and a killed compile pays for nothing twice."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.chaos import KillingServer, Shot, Story, asked_until_done, journaled
from dspy import lm15

import compilm
from compilm.clock import ManualClock
from compilm.journal import SqliteJournal
from compilm.prices import tokens_of
from compilm.runtime.embedded import EmbeddedEngine
from compilm.testing.wire import WireServer

from .texts import drawn
from .wire_compile import PRICE, compiled, model

CONCURRENCY = 8
WHOLE = "180rollouts"


class BilledEngine(EmbeddedEngine):
    """The embedded engine as one that bills: `usd` is all it would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.usd, self._adding = 0.0, threading.Lock()

    def complete(self, request: lm15.Request) -> lm15.Response:
        response = super().complete(request)
        used = tokens_of(response.usage, "openai/desk")
        assert used is not None
        with self._adding:
            self.usd += PRICE.usd(used)
        return response


def failing(place: int) -> int | None:
    """An outage or a limit for one request in five."""
    return (500, 429)[place % 2] if drawn(str(place), "fails", 5) == 0 else None


def over(
    server: WireServer, budget: str, *, level: int = 1, **more: object
) -> compilm.CompileResult:
    """A compile over this wire, on a clock that nobody waits for."""
    lm, clock = model(server.url), ManualClock()
    try:
        return compiled(lm, budget, level=level, clock=clock, concurrency=CONCURRENCY, **more)
    finally:
        lm.close()


@pytest.mark.parametrize(
    ("calls", "level", "fail"),
    [
        (2, 1, None),
        (7, 2, failing),
        (45, 1, None),
        (45, 1, failing),
        (90, 2, failing),
        (340, 1, failing),
    ],
)
def test_requests_never_exceed_the_budget_of_calls(
    calls: int, level: int, fail: Callable[[int], int | None] | None
) -> None:
    with WireServer(EmbeddedEngine(), fail=fail) as server:
        result = over(server, f"{calls}calls", level=level)
        assert 0 < server.total <= calls
        assert result.spent.calls == server.total


@pytest.mark.parametrize(
    ("usd", "level", "fail"),
    [(0.001, 1, None), (0.004, 2, None), (0.02, 1, failing), (0.05, 2, None), (0.2, 1, failing)],
)
def test_what_is_billed_never_exceeds_the_budget_of_money(
    usd: float, level: int, fail: Callable[[int], int | None] | None
) -> None:
    engine = BilledEngine()
    with WireServer(engine, fail=fail) as server:
        result = over(server, f"{usd}usd", level=level)
        assert engine.usd <= usd
        assert result.spent.usd == pytest.approx(engine.usd, abs=1e-9)


def test_failures_that_pass_are_counted_and_change_nothing_in_the_artifact() -> None:
    """So many attempts that none of the calls meets failures alone."""
    with WireServer(EmbeddedEngine()) as calm, WireServer(EmbeddedEngine(), fail=failing) as worse:
        results = [over(server, WHOLE, attempts=12) for server in (calm, worse)]
        assert worse.total - worse.answered.total() > 20
        assert [result.spent.calls for result in results] == [calm.total, worse.total]
        assert max(worse.answered.values()) == 1
    assert len({result.artifact.digest for result in results}) == 1
    assert results[0].candidate != "c0"


def command(server: WireServer, journal: Path, budget: str) -> list[str]:
    return [
        sys.executable, "-m", "tests.acceptance.wire_compile", "--url", server.url,
        "--journal", str(journal), "--budget", budget, "--concurrency", str(CONCURRENCY),
    ]  # fmt: skip


def undisturbed(server: KillingServer, journal: Path) -> Story:
    """The same compile in this process, with a journal of its own."""
    before = Counter(server.asked)
    lm = model(server.url)
    result = compiled(lm, WHOLE, journal=journal, concurrency=CONCURRENCY)
    lm.close()
    assert result.journal is not None
    result.journal.close()
    return Story(0, server.asked - before, journaled(journal), result=result.to_json())


def test_killed_three_times_a_compile_ends_as_if_nobody_had_and_pays_nothing_twice(
    tmp_path: Path,
) -> None:
    rng = random.Random(1)
    with KillingServer(EmbeddedEngine()) as server:
        calm = undisturbed(server, tmp_path / "calm.db")
        third = calm.asked.total() // 3
        shots = [
            Shot(rng.randint(1, third), "asked"),
            Shot(rng.randint(1, third), "answered"),
            Shot(rng.randint(1, third), "later", rng.uniform(0.0, 0.05)),
            None,
        ]
        journal = tmp_path / "shot.db"
        story = asked_until_done(
            command(server, journal, WHOLE), server, journal,
            shots=lambda _: shots.pop(0), usual=calm.asked,
        )  # fmt: skip
    assert story.kills == 3
    assert story.violations(calm, CONCURRENCY) == []
    assert story.lost <= lost_calls(journal) <= 3 * CONCURRENCY


def lost_calls(path: Path) -> int:
    """How many calls a finished compile says were in flight when a process died."""
    journal = SqliteJournal(path)
    (end,) = journal.read(kinds=["run.finished"])
    journal.close()
    return int(end.body["lost_calls"])


def test_calls_lost_in_a_kill_count_against_the_budget(tmp_path: Path) -> None:
    journal = tmp_path / "tight.db"
    shots = [Shot(30, "asked"), Shot(25, "answered"), None]
    with KillingServer(EmbeddedEngine(), latency=0.01) as server:
        story = asked_until_done(
            command(server, journal, "85calls"), server, journal, shots=lambda _: shots.pop(0)
        )
        assert story.kills == 2
        assert 0 < story.lost <= lost_calls(journal)
        assert server.total <= 85


def test_what_killed_processes_were_billed_counts_against_the_budget_of_money(
    tmp_path: Path,
) -> None:
    journal, engine = tmp_path / "tight.db", BilledEngine()
    shots = [Shot(9, "asked"), Shot(7, "answered"), Shot(6, "asked"), None]
    with KillingServer(engine, latency=0.01) as server:
        asked = [*command(server, journal, "0.03usd"), "--max-tokens", "60"]
        story = asked_until_done(asked, server, journal, shots=lambda _: shots.pop(0))
        assert story.kills == 3
        assert 0 < story.lost <= lost_calls(journal)
        assert 0 < engine.usd <= 0.03


def test_the_check_itself_sees_what_must_not_be() -> None:
    calm = Story(0, Counter("ab"), Counter("ab"), result={"digest": "one"})
    bad = Story(1, Counter("aabbb"), Counter("a"), Counter("a"), {"digest": "two"})
    assert len(bad.violations(calm, concurrency=2)) == 4
    assert calm.violations(calm, concurrency=2) == []
