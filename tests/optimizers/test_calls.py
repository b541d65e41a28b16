"""Calls: counted before they go, kept before they are seen, asked once however many want them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15

from compilm.engine import EnginePair
from compilm.errors import JournalError, ProviderRejected, RunStopped
from compilm.optimizers.budget import Budget
from compilm.optimizers.calls import SCOPE, Answer, Answers, Metered, Recorded, Scope
from compilm.optimizers.ledger import Ask
from compilm.prices import Price, Prices
from compilm.programs import models
from compilm.testing.engines import ScriptedEngine, scripted_lm

from .bench import Calls

HI = lm15.Request(model="scripted/model", messages=(lm15.Message.user("hi"),))
LM = scripted_lm(["unused"])


def answer(text: str = "yes", tokens: int | None = 3) -> lm15.Response:
    usage = lm15.Usage(input_tokens=tokens, output_tokens=tokens)
    message = lm15.Message.assistant((lm15.TextPart(text),))
    return lm15.Response(
        id=None, model="scripted/model", message=message, finish_reason="stop", usage=usage
    )


class Watched(Answers):
    """Answers that tell when so many callers wait for a call in flight."""

    def __init__(self, crowd: int) -> None:
        super().__init__()
        self.crowd, self.waiting, self.all_wait = crowd, 0, threading.Event()

    def claim(self, key: str) -> Any:
        found = super().claim(key)
        self.waiting += isinstance(found, Future)
        if self.waiting >= self.crowd:
            self.all_wait.set()
        return found


class Gate:
    """An asynchronous engine that answers when its gate opens; outcomes are used up in order."""

    def __init__(self, *outcomes: lm15.Response | BaseException) -> None:
        self.outcomes, self.calls, self.open = list(outcomes), 0, asyncio.Event()

    async def complete(self, request: lm15.Request) -> lm15.Response:
        self.calls += 1
        await self.open.wait()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def asynchronous(calls: Calls, gate: Gate) -> Any:
    pair = EnginePair(ScriptedEngine(["unused"]), gate)  # type: ignore[arg-type]
    return calls.over(pair, LM).asynchronous


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, timeout=20))


def crowd(size: int, work: Callable[[], Any]) -> list[Any]:
    """What `work` gave or raised in so many threads."""

    def attempt(_: int) -> Any:
        try:
            return work()
        except BaseException as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(attempt, range(size)))


def test_64_equal_calls_side_by_side_are_one_at_the_engine() -> None:
    answers = Watched(63)
    calls = Calls(answers=answers)

    def once_all_wait(request: lm15.Request) -> str:
        assert answers.all_wait.wait(timeout=20)
        return "yes"

    lm = scripted_lm(once_all_wait)
    engine = calls.over(models.as_engine(lm), lm).sync
    found = crowd(64, lambda: engine.complete(HI).text)
    assert (found, lm.engine.calls) == (["yes"] * 64, 1)
    assert calls.kinds() == ["call.sent", "call"]
    assert calls.ledger.spent().calls == 1


def test_an_error_reaches_all_who_wait_and_is_not_remembered() -> None:
    answers = Watched(7)
    calls = Calls(answers=answers)
    outage = iter([lm15.ServerError("down")])

    def once_all_wait(request: lm15.Request) -> Any:
        assert answers.all_wait.wait(timeout=20)
        return next(outage, "yes")

    lm = scripted_lm(once_all_wait)
    engine = calls.over(models.as_engine(lm), lm).sync
    shared = Scope()

    def work() -> Any:
        SCOPE.set(shared)
        return engine.complete(HI)

    found = crowd(8, work)
    assert {type(error) for error in found} == {dspy.LMServerError}
    assert shared.failures == ["LMServerError"] * 8
    assert engine.complete(HI).text == "yes"
    assert lm.engine.calls == 2


def test_64_equal_tasks_are_one_at_the_engine() -> None:
    async def story() -> None:
        answers, gate = Watched(63), Gate(answer())
        engine = asynchronous(Calls(answers=answers), gate)
        tasks = [asyncio.create_task(engine.complete(HI)) for _ in range(64)]
        await until(answers.all_wait.is_set)
        gate.open.set()
        assert [r.text for r in await asyncio.gather(*tasks)] == ["yes"] * 64
        assert gate.calls == 1
        assert (await engine.complete(HI)).text == "yes"

    play(story())


def test_an_error_reaches_all_tasks_and_is_not_remembered() -> None:
    async def story() -> None:
        answers, gate = Watched(7), Gate(lm15.ServerError("down"), answer())
        engine = asynchronous(Calls(answers=answers), gate)
        tasks = [asyncio.create_task(engine.complete(HI)) for _ in range(8)]
        await until(answers.all_wait.is_set)
        gate.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(error) for error in found} == {lm15.ServerError}
        assert (await engine.complete(HI)).text == "yes"

    play(story())


def test_a_canceled_leader_hands_over_to_one_of_those_who_wait() -> None:
    async def story() -> None:
        answers, gate = Watched(5), Gate(answer())
        calls = Calls(answers=answers)
        engine = asynchronous(calls, gate)
        leader, *others = [asyncio.create_task(engine.complete(HI)) for _ in range(6)]
        await until(answers.all_wait.is_set)
        leader.cancel()
        await until(lambda: gate.calls == 2)
        gate.open.set()
        assert [r.text for r in await asyncio.gather(*others)] == ["yes"] * 5
        assert leader.cancelled()
        assert gate.calls == 2
        assert calls.kinds().count("call.failed") == 1

    play(story())


def test_a_canceled_waiter_leaves_the_others_alone() -> None:
    async def story() -> None:
        answers, gate = Watched(3), Gate(answer())
        engine = asynchronous(Calls(answers=answers), gate)
        tasks = [asyncio.create_task(engine.complete(HI)) for _ in range(4)]
        await until(answers.all_wait.is_set)
        tasks[1].cancel()
        await until(tasks[1].done)
        gate.open.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        texts = [getattr(r, "text", "canceled") for r in found]
        assert texts == ["yes", "canceled", "yes", "yes"]

    play(story())


def test_a_thread_takes_over_from_a_leader_that_was_interrupted() -> None:
    answers = Watched(1)
    calls = Calls(answers=answers)
    interrupts = iter([KeyboardInterrupt()])

    def once_all_wait(request: lm15.Request) -> Any:
        assert answers.all_wait.wait(timeout=20)
        return next(interrupts, "yes")

    lm = scripted_lm(once_all_wait)
    engine = calls.over(models.as_engine(lm), lm).sync
    found = crowd(2, lambda: engine.complete(HI))
    assert sorted(type(each).__name__ for each in found) == ["KeyboardInterrupt", "Response"]


def test_a_task_canceled_while_it_waits_for_the_budget_reserves_nothing() -> None:
    async def story() -> None:
        calls = Calls(Budget(tokens=1200))
        engine = asynchronous(calls, Gate(answer()))
        calls.ledger.reserve(Ask(300))
        task = asyncio.create_task(engine.complete(HI))
        await until(lambda: bool(calls.answers._flying))
        task.cancel()
        await until(task.done)
        calls.ledger.settle(Ask(300), tokens=10, usd=0.0)
        calls.ledger.reserve(Ask(1190))
        assert "call.sent" not in calls.kinds()

    play(story())


def test_a_task_waits_for_the_budget_without_stopping_the_loop() -> None:
    async def story() -> None:
        calls, gate = Calls(Budget(tokens=1200)), Gate(answer())
        gate.open.set()
        calls.ledger.reserve(Ask(300))
        task = asyncio.create_task(asynchronous(calls, gate).complete(HI))
        await until(lambda: bool(calls.answers._flying))
        calls.ledger.settle(Ask(300), tokens=10, usd=0.0)
        assert (await task).text == "yes"

    play(story())


def test_an_answer_that_cannot_be_written_down_leaves_no_call_in_flight() -> None:
    calls = Calls()
    lm = scripted_lm(["yes"])
    engine = Recorded("default", lm, calls.answers, calls.writer, Prices())(
        models.as_engine(lm)
    ).sync
    kept, calls.writer.journal = calls.journal, Full()  # type: ignore[assignment]
    with pytest.raises(JournalError):
        engine.complete(HI)
    calls.writer.journal = kept
    assert engine.complete(HI).text == "yes"


class Full:
    def append(self, record: Any) -> None:
        raise JournalError("disk full")


def test_what_was_learned_from_a_journal_is_never_asked_again() -> None:
    first, second = Calls(), Calls()
    assert first.role(scripted_lm(["one"]))("hi") == ["one"]
    for record in first.journal.read(kinds=["call"]):
        second.answers.learn(record.body["key"], Answer.from_json(record.body))
    other = scripted_lm(["two"])
    assert second.role(other)("hi") == ["one"]
    assert other.engine.calls == 0


def test_samples_of_one_call_are_distinct_and_replayable() -> None:
    calls = Calls()
    lm = scripted_lm(["a", "b", "c"])
    texts = calls.role(lm)("hi", n=3, temperature=1.0)
    again = calls.role(scripted_lm(["other"]))("hi", n=3, temperature=1.0)
    assert (texts, again) == (["a", "b", "c"], ["a", "b", "c"])
    assert lm.engine.calls == 3


def test_samples_are_the_same_through_the_asynchronous_twin() -> None:
    calls = Calls()
    lm = scripted_lm(["a", "b"])
    texts = asyncio.run(calls.role(lm).acall("hi", n=2, temperature=1.0))
    assert calls.role(lm)("hi", n=2, temperature=1.0) == texts == ["a", "b"]
    assert lm.engine.calls == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"rollout_id": 1}, {"rollout_id": 2}),
        ({"temperature": 0.5}, {"temperature": 0.7}),
        ({}, {"rollout_id": 0}),
    ],
)
def test_another_sample_or_setting_is_another_call(one: Any, other: Any) -> None:
    calls = Calls()
    lm = scripted_lm(["a", "b"], temperature=1.0)
    role = calls.role(lm)
    assert (role("hi", **one), role("hi", **other)) == (["a"], ["b"])
    assert (role("hi", **one), role("hi", **other)) == (["a"], ["b"])
    assert lm.engine.calls == 2


def test_a_rollout_id_bound_to_the_role_counts() -> None:
    calls = Calls()
    role = calls.role(scripted_lm(["a", "b"], temperature=1.0))
    assert role.copy(rollout_id=1)("hi") != role.copy(rollout_id=2)("hi")


def test_different_models_are_different_calls() -> None:
    calls = Calls()
    one, two = (scripted_lm([text], model=f"scripted/{text}") for text in "ab")
    assert (calls.role(one)("hi"), calls.role(two)("hi")) == (["a"], ["b"])


def test_streams_give_the_recorded_answer() -> None:
    calls = Calls()
    lm = scripted_lm(["yes"])
    pair = calls.over(models.as_engine(lm), lm)
    metered = calls.over(models.as_engine(lm), lm)

    async def both() -> list[Any]:
        return [event async for event in pair.asynchronous.stream(HI)]

    events = list(metered.sync.stream(HI))
    assert [e.type for e in asyncio.run(both())] == [e.type for e in events]
    assert events[-1].type == "end"
    assert lm.engine.calls == 1


def test_streams_below_the_record_are_metered() -> None:
    from compilm.optimizers.calls import Metered

    calls = Calls(Budget(calls=2))
    lm = scripted_lm(["yes"])
    pair = Metered("default", "scripted/model", calls.ledger, calls.writer, Prices())(
        models.as_engine(lm)
    )

    async def both() -> list[Any]:
        return [event async for event in pair.asynchronous.stream(HI)]

    assert list(pair.sync.stream(HI))
    assert asyncio.run(both())
    with pytest.raises(RunStopped, match="budget: 2 calls"):
        pair.sync.complete(HI)
    assert lm.engine.calls == 2


def test_a_call_is_announced_before_it_goes_and_counted_when_it_fails() -> None:
    calls = Calls()
    seen: list[list[str]] = []

    def reply(request: lm15.Request) -> Any:
        seen.append(calls.kinds())
        return lm15.ServerError("down")

    with pytest.raises(dspy.LMServerError):
        calls.role(scripted_lm(reply))("hi")
    assert seen == [["call.sent"]]
    assert calls.kinds() == ["call.sent", "call.failed"]
    assert (calls.ledger.spent().calls, calls.ledger.spent().usd) == (1, 0.0)


@pytest.mark.parametrize("asynchronously", [False, True])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (lm15.AuthError("bad key sk-123"), "refuses this account"),
        (lm15.NotConfiguredError("not even sk-123"), "has no key"),
    ],
)
def test_a_refused_account_stops_everything(
    asynchronously: bool, error: Exception, told: str
) -> None:
    calls = Calls()
    role = calls.role(scripted_lm([error]))
    with pytest.raises(RunStopped) as caught:
        asyncio.run(role.acall("hi")) if asynchronously else role("hi")
    assert isinstance(caught.value.cause, ProviderRejected)
    assert "sk-123" not in str(caught.value)
    with pytest.raises(RunStopped, match=told):
        calls.ledger.reserve(Ask(1))


def test_the_instruction_counts_among_the_tokens_that_are_reserved() -> None:
    calls = Calls(Budget(tokens=1500))
    lm = scripted_lm(["yes"])
    long = lm15.Request(model="scripted/model", messages=HI.messages, system="s" * 6000)
    parts = lm15.Request(
        model="scripted/model", messages=HI.messages, system=(lm15.TextPart("s" * 6000),)
    )
    for request in (long, parts):
        with pytest.raises(RunStopped, match="1500 tokens"):
            calls.over(models.as_engine(lm), lm).sync.complete(request)
        calls.ledger.resume()
    assert lm.engine.calls == 0


def test_max_tokens_are_set_aside_until_answers_tell_their_length() -> None:
    calls = Calls(Budget(tokens=10**6))
    lm = scripted_lm(["short"] * 2, max_tokens=5000)
    role = calls.role(lm)
    for _ in range(2):
        role("hi", rollout_id=lm.engine.calls, temperature=1.0)
    asked = [record.body["tokens"] for record in calls.journal.read(kinds=["call.sent"])]
    assert asked[0] > 5000
    assert asked[1] < 400


def test_the_dearest_price_that_an_answer_named_counts() -> None:
    calls = Calls(Budget(usd=1.0))
    prices = Prices({"openai/cheap": Price(1.0, 1.0), "openai/dear": Price(9.0, 9.0)})
    metered = Metered("default", "openai/alias", calls.ledger, calls.writer, prices)
    for model in ("cheap", "dear", "cheap"):
        metered.answered(replace(answer(), model=model), HI, metered.start(HI))
    last = metered.start(HI)
    assert last.usd == pytest.approx(last.tokens * 9 / 1e6)


def test_an_answer_without_usage_counts_what_was_reserved() -> None:
    async def story() -> None:
        calls, gate = Calls(), Gate(answer(tokens=None))
        gate.open.set()
        await asynchronous(calls, gate).complete(HI)
        assert calls.ledger.spent().tokens > 200
        (record,) = calls.journal.read(kinds=["call"])
        kept = Answer.from_json(record.body)
        assert (kept.input_tokens, kept.tokens) == (None, 0)

    play(story())


def test_a_prompt_that_is_too_long_is_not_an_outage() -> None:
    calls, scope = Calls(), Scope()
    token = SCOPE.set(scope)
    try:
        with pytest.raises(dspy.ContextWindowExceededError):
            calls.role(scripted_lm([lm15.ContextLengthError("too long")]))("hi")
    finally:
        SCOPE.reset(token)
    assert (scope.failures, len(scope.keys)) == ([], 1)


def test_records_of_calls_hold_no_text_of_errors() -> None:
    calls = Calls()
    with pytest.raises(dspy.LMError):
        calls.role(scripted_lm([lm15.ServerError("secret sk-9")]))("hi")
    assert "sk-9" not in json.dumps([record.body for record in calls.journal.read()])


def test_under_a_budget_in_money_the_first_price_decides_about_the_second_call() -> None:
    ledger = Calls(Budget(usd=1.0)).ledger
    assert ledger.reserve_now(Ask(1))
    assert not ledger.reserve_now(Ask(1))
    ledger.settle(Ask(1), tokens=1, usd=0.1)
    assert ledger.reserve_now(Ask(1))
