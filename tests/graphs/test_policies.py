"""What a node's policy promises: time, further attempts, fallbacks, a cache."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import dspy
import pytest

from compilm.clock import ManualClock
from compilm.engine import remaining
from compilm.errors import DeadlineExceeded, ProgramError, ProviderRejected
from compilm.graphs import END, Graph, Map, Node
from compilm.testing.engines import scripted_lm


class Flaky:
    """Fails so many times, then answers; what it was given is kept."""

    def __init__(self, failures: int, error: type[Exception] = ConnectionError) -> None:
        self.left, self.error = failures, error
        self.keys: list[str] = []

    def __call__(self, idempotency_key: str) -> dict[str, Any]:
        self.keys.append(idempotency_key)
        if self.left:
            self.left -= 1
            raise self.error("down")
        return {"done": True}


def one(node: Node, **more: Any) -> Graph:
    return Graph({"x": node}, {"x": END}, "x", **more)


@pytest.mark.parametrize("is_async", [False, True])
def test_an_attempt_that_failed_is_made_again_with_the_same_key(is_async: bool) -> None:
    clock, flaky = ManualClock(), Flaky(2)
    graph = one(Node(flaky, retries=2, effect=True), clock=clock)
    found = asyncio.run(graph.acall()) if is_async else graph()
    assert (found.done, len(flaky.keys), len(set(flaky.keys))) == (True, 3, 1)
    first, second = clock.slept
    assert 0 <= first <= 0.5
    assert 0 <= second <= 1.0


def test_attempts_end_and_what_cannot_pass_is_not_tried_again() -> None:
    flaky = Flaky(9)
    with pytest.raises(ConnectionError):
        one(Node(flaky, retries=2), clock=ManualClock())()
    lasting = Flaky(9, ProviderRejected)
    with pytest.raises(ProviderRejected):
        one(Node(lasting, retries=2), clock=ManualClock())()
    assert (len(flaky.keys), len(lasting.keys)) == (3, 1)


def test_a_blocked_step_is_left_behind_after_its_timeout() -> None:
    clock, stuck, until = ManualClock(start=100.0), threading.Event(), []

    def step() -> None:
        until.append(remaining(clock.now()))
        clock.advance(5.0)
        assert stuck.wait(20)

    with pytest.raises(DeadlineExceeded, match="node 'x' gave no answer within its timeout of 5 s"):
        one(Node(step, timeout=5.0), clock=clock)()
    assert until == [5.0]  # and what it asks models for is bounded too
    stuck.set()


def test_a_late_task_is_cancelled() -> None:
    clock, seen = ManualClock(), []

    async def step() -> None:
        try:
            clock.advance(5.0)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(DeadlineExceeded):
        asyncio.run(one(Node(step, timeout=5.0), clock=clock).acall())
    assert seen == ["cancelled"]


def test_a_cancellation_from_outside_stays_one() -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def step() -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(one(Node(step, timeout=5.0), clock=ManualClock()).acall())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_timeout_in_time_changes_nothing() -> None:
    graph = one(Node(lambda a: {"b": a}, timeout=5.0))
    assert (graph(a=1).b, asyncio.run(graph.acall(a=2)).b) == (1, 2)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_fallback_takes_over_and_is_told_why(is_async: bool) -> None:
    def look(claim: str) -> dict[str, Any]:
        raise ConnectionError("database is down")

    graph = Graph(
        nodes={
            "look": Node(look, fallback="apologize"),
            "reply": lambda record: {"reply": record},
            "apologize": lambda failure: {"reply": f"Sorry: {failure['message']}"},
        },
        edges={"look": "reply", "reply": END, "apologize": END},
        start="look",
        outputs=["reply", "failure"],
    )
    assert graph.inputs == ("claim",)
    found = asyncio.run(graph.acall(claim="c")) if is_async else graph(claim="c")
    assert found.reply == "Sorry: database is down"
    assert found.failure == {
        "node": "look",
        "error": "ConnectionError",
        "message": "database is down",
    }


def test_equal_inputs_are_answered_from_the_cache_while_it_holds() -> None:
    clock, calls = ManualClock(), []

    def look(claim: Any) -> dict[str, Any]:
        calls.append(claim)
        return {"record": f"of {claim}"}

    graph = one(Node(look, cache=60.0), clock=clock)
    assert [graph(claim=c).record for c in ("a", "a", "b")] == ["of a", "of a", "of b"]
    assert asyncio.run(graph.acall(claim="a")).record == "of a"
    clock.advance(60.0)
    graph(claim="a")
    graph(claim={1, object()} and object())  # no JSON form: not cached, and no error
    assert calls[:3] == ["a", "b", "a"]


def test_the_cache_does_not_answer_for_other_instructions() -> None:
    lm = scripted_lm([{"answer": "1"}, {"answer": "2"}])
    graph = one(Node(dspy.Predict("question -> answer"), cache=60.0))
    with dspy.context(lm=lm):
        assert [graph(question="q").answer for _ in range(2)] == ["1", "1"]
        predictor = graph.nodes["x"]
        predictor.signature = predictor.signature.with_instructions("Be brief.")
        assert graph(question="q").answer == "2"


def test_an_effect_in_a_map_or_without_a_key_cannot_be_repeated() -> None:
    with pytest.raises(ProgramError, match="declares idempotency_key, which a Map does not give"):
        Map(lambda item, idempotency_key: item, over="xs", into="ys")
