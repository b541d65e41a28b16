"""One call of a tool: bounded in time and size, repeated where that is safe, errors as data."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import dspy
import pytest

from compilm.clock import ManualClock
from compilm.engine import DEADLINE
from compilm.errors import ToolFailed, UsageError
from compilm.policies.circuit import Circuit
from compilm.tools import Policy, ToolError, ToolResult, tool
from compilm.tools.signature import described
from compilm.tools.size import capped
from compilm.tools.tool import made
from compilm.tools.work import FunctionWork

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def test_a_tool_that_hangs_is_left_behind_at_its_timeout() -> None:
    clock, let_go = ManualClock(), threading.Event()
    hangs = tool(let_go.wait, name="hangs", schema={}, clock=clock)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(hangs.run)
        while not clock.waiting:
            pass
        clock.advance(9.0)
        assert not result.done()
        clock.advance(1.0)
        assert result.result(10).told == {"error": "timeout", "message": "no answer within 10 s"}
    let_go.set()


async def _turn(clock: ManualClock, seconds: float) -> None:
    while not clock.waiting:
        await asyncio.sleep(0)
    clock.advance(seconds)


def test_an_asynchronous_tool_is_cancelled_at_its_timeout() -> None:
    clock, seen = ManualClock(), list[str]()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> ToolResult:
        call = asyncio.ensure_future(tool(hangs, timeout=2.0, clock=clock).arun())
        await _turn(clock, 2.0)
        return await call

    assert asyncio.run(main()).error == ToolError("timeout", "no answer within 2 s")
    assert seen == ["cancelled"]


def test_a_tool_that_blocks_does_not_hold_up_the_loop_it_is_called_from() -> None:
    let_go = threading.Event()

    def blocks() -> str:
        let_go.wait(10)
        return "done"

    async def main() -> Any:
        call = asyncio.ensure_future(tool(blocks).acall())
        await asyncio.sleep(0)
        let_go.set()  # this line runs only if the loop does
        return await call

    assert asyncio.run(main()) == "done"


def test_an_asynchronous_tool_is_called_from_threads_and_from_inside_a_loop() -> None:
    async def name() -> str:
        await asyncio.sleep(0)
        return "ann"

    async def inside() -> Any:
        return tool(name)()

    assert tool(name)() == "ann"
    assert tool(name, timeout=None)() == "ann"
    assert asyncio.run(inside()) == "ann"


def test_a_cancelled_caller_cancels_the_call_and_stays_cancelled() -> None:
    seen = list[str]()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("over")

    async def main() -> None:
        call = asyncio.ensure_future(tool(hangs).arun())
        for _ in range(3):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["over"]


def _breaks(times: int) -> tuple[Any, list[int]]:
    calls = list[int]()

    def breaks() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise ConnectionResetError("reset by peer")
        return "there"

    return breaks, calls


def test_only_an_idempotent_tool_is_called_again() -> None:
    breaks, calls = _breaks(1)
    told = tool(breaks)()
    assert told == {"error": "failed", "message": "ConnectionResetError: reset by peer"}
    assert len(calls) == 1
    breaks, calls = _breaks(2)
    clock = ManualClock()
    once_more = tool(breaks, idempotent=True, timeout=None, clock=clock, rng=random.Random(1))
    result = once_more.run()
    assert (result.value, result.attempts, len(calls)) == ("there", 3, 3)
    assert [wait <= most for wait, most in zip(clock.slept, (0.1, 0.2), strict=True)] == [True] * 2


def test_a_bug_is_not_tried_again_and_neither_is_a_wait_beyond_the_timeout() -> None:
    calls = list[int]()

    def bug() -> None:
        calls.append(1)
        raise KeyError("x")

    assert tool(bug, idempotent=True)()["message"] == "KeyError: 'x'"
    breaks, tries = _breaks(9)
    clock = ManualClock()
    slow = tool(breaks, idempotent=True, timeout=1.0, base=1e9, cap=1e9, clock=clock)
    assert slow.run().attempts == 1
    assert (len(calls), len(tries), clock.slept) == (1, 1, [])


def test_repetitions_stay_within_the_timeout_of_the_call() -> None:
    clock = ManualClock()

    def breaks() -> None:
        clock.advance(0.6)
        raise ConnectionError

    result = tool(breaks, idempotent=True, timeout=1.0, attempts=9, base=0.0, clock=clock).run()
    assert result.attempts == 2
    assert result.error is not None


def test_the_deadline_of_a_run_bounds_its_tools() -> None:
    clock = ManualClock()
    token = DEADLINE.set(clock.now() - 1.0)
    try:
        result = tool(lambda: 1, name="one", schema={}, clock=clock).run()
    finally:
        DEADLINE.reset(token)
    assert result.error is not None
    assert (result.error.kind, result.attempts) == ("timeout", 0)


def _with(circuit: Circuit, func: Any, clock: ManualClock) -> Any:
    return made(described(func), FunctionWork(func), Policy(timeout=None), circuit=circuit,
                clock=clock)  # fmt: skip


def test_tools_of_one_server_share_a_breaker() -> None:
    clock, circuit = ManualClock(), Circuit("the server", consecutive=2, cooldown=5.0)

    def down() -> None:
        raise ConnectionError

    def other() -> int:
        return 1

    first, second = _with(circuit, down, clock), _with(circuit, other, clock)
    assert [first()["error"] for _ in range(2)] == ["failed", "failed"]
    refused = second()
    assert refused["error"] == "refused"
    assert refused["retry_after_seconds"] == 5.0
    assert "the server is not asked: 2 calls in a row failed" in refused["message"]
    clock.advance(5.0)
    assert second() == 1, "the probe closes it"
    assert second() == 1


def test_wrong_arguments_and_failures_of_the_tool_itself_open_no_breaker() -> None:
    clock, circuit = ManualClock(), Circuit("s", consecutive=1)

    def picky(a: int) -> int:
        raise ValueError("no")

    one = _with(circuit, picky, clock)
    for given in ({}, {"a": "x"}, {"a": 1}):
        assert one(**given)["error"] in ("arguments", "failed")
    assert circuit.state(clock.now()) == "closed"


def test_a_call_that_is_cancelled_gives_its_probe_back() -> None:
    clock, circuit = ManualClock(), Circuit("s", consecutive=1, cooldown=1.0)
    circuit.record(circuit.admit(0.0), False, 0.0)
    clock.advance(1.0)

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        call = asyncio.ensure_future(_with(circuit, hangs, clock).arun())
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    asyncio.run(main())
    circuit.admit(clock.now())  # the next is the probe, at once


def test_errors_are_told_without_stack_trace_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMS_TOKEN", "tok-9f8e7d6c")

    def leaks() -> None:
        raise RuntimeError(
            "GET https://ann:pa55word@host/x?api_key=abc123&n=1 with tok-9f8e7d6c failed\n"
            'password: "hunter22" Traceback (most recent call last)\n  File "/srv/app.py"'
        )

    told = tool(leaks)()["message"]
    for secret in ("pa55word", "abc123", "9f8e7d6c", "hunter22", "Traceback", "/srv/app.py"):
        assert secret not in told
    assert told.startswith("RuntimeError: GET https://[secret]@host/x?api_key=[secret]&n=1 with")
    assert tool(leaks, tells=False)()["message"] == "RuntimeError"


def test_long_texts_of_errors_are_cut() -> None:
    def long() -> None:
        raise ValueError("x" * 9_000)

    assert len(tool(long)()["message"]) < 600


@pytest.mark.parametrize("value", ["x" * 30, ["x" * 30], {"a": list(range(30))}])
def test_answers_beyond_the_size_are_cut_and_say_how_much(value: Any) -> None:
    result = tool(lambda: value, name="long", schema={}, most=10).run()
    text, _, note = result.value.partition("\n")
    assert len(text) == 10
    assert note == f"[cut: {result.left_out:,} of {10 + result.left_out:,} characters left out]"


def test_what_is_no_text_passes_as_it_is() -> None:
    table = object()
    assert capped(table, 1) == (table, 0)
    assert capped(12345678901234567890, 1) == (12345678901234567890, 0)


def test_the_context_of_the_caller_reaches_the_tool() -> None:
    token = WHO.set("caller")
    try:
        with dspy.context(tag="here"):
            both = tool(lambda: (WHO.get(), dspy.settings.tag), name="who", schema={})()
    finally:
        WHO.reset(token)
    assert both == ("caller", "here")


def test_without_timeout_a_function_runs_in_the_callers_thread() -> None:
    here = tool(threading.get_ident, name="here", schema={}, timeout=None)
    there = tool(threading.get_ident, name="there", schema={})
    assert here() == threading.get_ident() != there()


def test_programs_get_the_value_or_an_exception() -> None:
    one = tool(lambda a: 1 / a, name="inverse", schema={"properties": {"a": {"type": "number"}}})
    assert one.run(a=2).checked() == 0.5
    with pytest.raises(ToolFailed, match=r"inverse: ZeroDivisionError: division by zero") as caught:
        one.run(a=0).checked()
    assert caught.value.kind == "failed"


def test_a_copy_has_texts_of_its_own_and_shares_the_function() -> None:
    one = tool(lambda a: a, name="same", schema={"properties": {"a": {"description": "x"}}})
    two = copy.deepcopy(one)
    two.desc, two.args["a"]["description"] = "better", "y"
    assert (one.desc, one.args["a"]["description"], two(a=1)) == ("", "x", 1)
    told = two.format_as_litellm_function_call()["function"]
    assert told["description"] == "better"
    assert told["parameters"]["properties"]["a"]["description"] == "y"
    assert two.caller is one.caller


def test_dspys_own_ways_to_call_tools_go_through_the_policy() -> None:
    def fails() -> None:
        raise ValueError("no")

    calls = dspy.ToolCalls.from_dict_list([{"name": "fails", "args": {}}])
    assert calls.tool_calls[0].execute([tool(fails)]) == {
        "error": "failed",
        "message": "ValueError: no",
    }
    kept = dspy.Tool(fails, name="named", desc="Told.")
    assert (tool(kept).name, tool(kept).desc, tool(kept)()["error"]) == ("named", "Told.", "failed")


def test_bounds_that_make_no_sense_are_refused() -> None:
    for wrong in ({"timeout": 0}, {"timeout": -1}, {"attempts": 0}, {"most": 0}):
        with pytest.raises(UsageError):
            tool(lambda: 1, name="one", schema={}, **wrong)
    with pytest.raises(UsageError, match="is a tool already"):
        tool(tool(lambda: 1, name="one", schema={}))


def test_results_are_values_that_can_be_kept() -> None:
    result = tool(lambda: 1, name="one", schema={}).run()
    assert pickle.loads(pickle.dumps(result)) == result
