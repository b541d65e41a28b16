"""What will be needed in any case is made where workers are idle: once, and seen when asked for."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import Any

import pytest
from dspy import lm15

from compilm.errors import MetricError, RunStopped
from compilm.metrics import Metric
from compilm.optimizers.budget import Budget
from compilm.optimizers.candidate import Candidate

from . import worlds
from .bench import Bench, bench


def cells(made: Bench, *indexes: int) -> list[tuple[Candidate, int]]:
    return [(made.baseline, index) for index in indexes]


def examples_of(made: Bench, split: str) -> list[str]:
    return [body["example"] for body in made.records("rollout") if body["split"] == split]


@pytest.mark.parametrize(("asked", "early"), [(1, 3), (3, 1), (4, 0), (6, 2)])
def test_the_workers_that_a_batch_leaves_idle_take_it(asked: int, early: int) -> None:
    with bench(concurrency=4) as made:
        made.evaluator.meanwhile(cells(made, *range(10)), "test")
        made.evaluator.run(cells(made, *range(asked)), "val")
        wait(made.evaluator.executor._early.values())
        assert set(examples_of(made, "test")) == set(made.job.test.ids[:early])


def test_one_worker_is_never_idle() -> None:
    with bench(concurrency=1) as made:
        made.evaluator.meanwhile(cells(made, 0, 1), "test")
        made.evaluator.run(cells(made, 0, 1, 2), "val")
        assert examples_of(made, "test") == []


def test_under_a_budget_that_counts_size_nothing_is_paid_ahead_of_its_turn() -> None:
    with bench(concurrency=4, budget=Budget(tokens=10**6)) as made:
        made.evaluator.meanwhile(cells(made, *range(10)), "test")
        made.evaluator.run(cells(made, 0), "val")
        wait(made.evaluator.executor._early.values())
        assert examples_of(made, "test") == []


def test_it_is_counted_when_it_is_asked_for_and_made_once() -> None:
    with bench(concurrency=4) as made:
        made.evaluator.meanwhile(cells(made, *range(10)), "test")
        made.evaluator.run(cells(made, 0), "val")
        assert made.meter.spent().rollouts == 1
        assert made.evaluator.known(made.baseline, "test", 0) is None
        found = made.evaluator.run(cells(made, *range(10)), "test")
        assert [rollout.example for rollout in found] == list(made.job.test.ids[:10])
        assert sorted(examples_of(made, "test")) == sorted(made.job.test.ids[:10])
        assert (made.meter.spent().rollouts, made.calls.ledger.spent().rollouts) == (11, 11)


def test_what_the_journal_holds_is_not_made_again() -> None:
    with bench(concurrency=4) as made:
        known = made.evaluator.run(cells(made, 0, 1, 2), "test")
        with bench(concurrency=4) as other:
            for rollout in known:
                other.evaluator.learn(rollout)
            other.evaluator.meanwhile(cells(other, 0, 1, 2, 3), "test")
            other.evaluator.run(cells(other, 0), "val")
            wait(other.evaluator.executor._early.values())
            assert examples_of(other, "test") == [other.job.test.ids[3]]


def test_whoever_asks_waits_for_what_is_in_flight() -> None:
    asked = threading.Event()

    def late(request: lm15.Request) -> Any:
        if "number 2000" in (request.messages[-1].text or ""):
            assert asked.wait(timeout=20)
        return worlds.reply(request)

    with bench(lm=worlds.scripted_lm(late), concurrency=2) as made:
        made.evaluator.meanwhile(cells(made, 0), "test")
        made.evaluator.run(cells(made, 0), "val")  # ends, though the early one has not
        assert examples_of(made, "test") == []
        asked.set()
        made.evaluator.run(cells(made, 0), "test")
        assert len(examples_of(made, "test")) == 1


def test_what_is_not_held_for_the_end_comes_first() -> None:
    with bench(concurrency=4) as made:
        made.evaluator.meanwhile(cells(made, 0, 1, 2), "test", held=True)
        made.evaluator.meanwhile(cells(made, 7, 8), "val")
        made.evaluator.run(cells(made, 0), "val")
        wait(made.evaluator.executor._early.values())
        ids = made.job.val.ids
        assert set(examples_of(made, "val")) == {ids[0], ids[7], ids[8]}
        assert examples_of(made, "test") == [made.job.test.ids[0]]


def test_what_is_forgotten_is_not_made_and_what_is_held_stays() -> None:
    with bench(concurrency=4) as made:
        made.evaluator.meanwhile(cells(made, 0, 1), "test", held=True)
        made.evaluator.meanwhile(cells(made, 7, 8), "val")
        made.evaluator.executor.forget()
        made.evaluator.run(cells(made, 0), "val")
        wait(made.evaluator.executor._early.values())
        assert examples_of(made, "val") == [made.job.val.ids[0]]
        assert set(examples_of(made, "test")) == set(made.job.test.ids[:2])


def test_what_fails_meanwhile_fails_for_who_asks_for_it() -> None:
    def metric(gold: Any, pred: Any, trace: Any = None) -> Any:
        return "good" if gold.text == "text number 2000" else 1.0

    with bench(metric=Metric(metric), concurrency=2) as made:
        made.evaluator.meanwhile(cells(made, 0), "test")
        assert made.evaluator.run(cells(made, 0), "val")[0].score.value == 1
        with pytest.raises(MetricError, match="good"):
            made.evaluator.run(cells(made, 0), "test")
        assert made.calls.ledger.spent().calls == 2  # the call itself was paid for once


def test_it_may_use_the_calls_that_are_held_for_it_and_no_others() -> None:
    with bench(budget=Budget(calls=5), concurrency=4) as made:
        made.calls.ledger.hold(2)
        made.evaluator.meanwhile(cells(made, 0, 1), "test", held=True)
        made.evaluator.run(cells(made, 0, 1), "val")
        made.evaluator.run(cells(made, 2), "val")
        made.evaluator.run(cells(made, 0, 1), "test")
        assert made.calls.ledger.spent().calls == 5
        with pytest.raises(RunStopped, match="5 calls"):
            made.evaluator.run(cells(made, 3), "val")
