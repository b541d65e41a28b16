"""A role's models as configured, over true wires: who is asked how often, and for how long."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm import assemble, evaluate
from compilm.clock import ManualClock
from compilm.config import RoleSettings, RuntimeSettings
from compilm.errors import ConfigError
from compilm.programs.models import as_engine, identity
from compilm.runtime.caches import SQLiteStore
from compilm.runtime.stack import Provider, Stacks
from compilm.testing.engines import ScriptedEngine, scripted_lm
from compilm.testing.faults import FaultServer

engines = pytest.mark.parametrize("engine", ["dspy", "lean", "sdk"])
ways = pytest.mark.parametrize("way", ["sync", "async"])
ASK = dspy.Predict("question -> answer")
AT_ONCE = {"retry_after": "0"}  # a rate limit that ends at once: retries that do not wait


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts fault servers, which answer "4" or "5" and so on to a question."""
    monkeypatch.setenv("STACK_KEY", "k")
    with ExitStack() as opened:

        def start(*script: str, answer: str = "4", **more: Any) -> FaultServer:
            server = FaultServer(ScriptedEngine([{"answer": answer}]), script=script, **more)
            return opened.enter_context(server)

        yield start


def role(engine: str, *servers: FaultServer) -> RoleSettings:
    """The servers as one chain; the second speaks the other wire."""
    spoken = [("openai/first", "/v1"), ("anthropic/second", "")][: len(servers)]
    return RoleSettings(
        model=tuple(model for model, _ in spoken),
        base_url=tuple(s.url + path for s, (_, path) in zip(servers, spoken, strict=True)),
        key_env=("STACK_KEY",) * len(servers),
        max_tokens=50,
        engine=engine,
    )


def asked(settings: RoleSettings, runtime: RuntimeSettings, way: str = "sync") -> str:
    stack = assemble.stacks_from({"default": settings}, runtime)["default"]

    async def awaited() -> Any:
        try:
            return await ASK.acall(question="2+2?")
        finally:
            await stack.aclose()

    with closing(stack), dspy.context(lm=stack.lm):
        answered = ASK(question="2+2?") if way == "sync" else asyncio.run(awaited())
    return str(answered.answer)


@engines
@ways
@pytest.mark.parametrize("fault", ["500", "429-after", "reset", "bad-json"])
def test_a_failing_first_costs_one_attempt_before_the_second_is_asked(
    serve: Any, engine: str, way: str, fault: str
) -> None:
    first, second = serve(fault, retry_after="30"), serve("ok", answer="5")
    within = RuntimeSettings(deadline=29.0)  # the thirty seconds that the first wants are not there
    assert asked(role(engine, first, second), within, way) == "5"
    assert (len(first.seen), len(second.seen)) == (1, 1)
    assert (first.seen[0].body["model"], second.seen[0].body["model"]) == ("first", "second")


@engines
@ways
def test_the_responses_api_answers_a_program(serve: Any, engine: str, way: str) -> None:
    server = serve("ok", answer="5")
    settings = replace(role(engine, server), api="responses")
    assert asked(settings, RuntimeSettings(), way) == "5"
    assert [seen.path for seen in server.seen] == ["/v1/responses"]
    assert server.seen[0].body["max_output_tokens"] == 50


@engines
@ways
def test_attempts_at_the_wire_are_those_of_the_policy(serve: Any, engine: str, way: str) -> None:
    server = serve("429-after", **AT_ONCE)
    with pytest.raises(dspy.LMRateLimitError):
        asked(role(engine, server), RuntimeSettings(attempts=3), way)
    assert len(server.seen) == 3


@engines
def test_a_chain_is_asked_a_round_for_each_attempt(serve: Any, engine: str) -> None:
    servers = [serve("429-after", **AT_ONCE), serve("429-after", **AT_ONCE)]
    with pytest.raises(dspy.LMError, match="none of 2 answered"):
        asked(role(engine, *servers), RuntimeSettings(attempts=2))
    assert [len(server.seen) for server in servers] == [2, 2]


@engines
@ways
@pytest.mark.parametrize("fault", ["drip", "hang"])
def test_no_provider_outlasts_the_deadline_however_it_drips(
    serve: Any, engine: str, way: str, fault: str
) -> None:
    server = serve("ok", fault, pace=0.05)
    asked(role(engine, server), RuntimeSettings())  # what a first call sets up is not measured
    began = time.monotonic()
    with pytest.raises(dspy.LMTimeoutError):
        asked(role(engine, server), RuntimeSettings(deadline=0.4), way)
    assert time.monotonic() - began < 6.0  # it would take a minute
    assert server.counts[fault] == 1


def test_a_dead_first_is_soon_left_alone_and_each_model_has_one_circuit(serve: Any) -> None:
    first, second = serve("500"), serve("ok")
    settings = RuntimeSettings(breaker=2)
    shared = {"default": role("lean", first, second), "judge": role("lean", first, second)}
    stacks = assemble.stacks_from(shared, settings)
    for n in range(4):
        for stack in stacks.values():
            with dspy.context(lm=stack.lm):
                ASK(question=f"{n}?")
    for stack in stacks.values():
        stack.close()
    assert (len(first.seen), len(second.seen)) == (2, 8)


@engines
def test_a_compile_asks_the_first_alone_with_its_own_retries_only(serve: Any, engine: str) -> None:
    """The stack has 9 attempts, breaker and fallback; what evaluates has 3 attempts."""
    first, second = serve("429-after", "429-after", "ok", **AT_ONCE), serve("ok", answer="5")
    settings = RuntimeSettings(attempts=9, breaker=1)
    stack = assemble.stacks_from({"default": role(engine, first, second)}, settings)["default"]
    rows = [dspy.Example(question="2+2?", answer="4").with_inputs("question")]
    with closing(stack):
        found = evaluate(ASK, "exact(answer)", rows, roles={"default": stack.lm}, attempts=3)
    assert (found.score.value, found.spent.calls) == (1.0, 3)
    assert (len(first.seen), len(second.seen)) == (3, 0)


def test_a_compile_never_meets_the_cache(serve: Any, tmp_path: Path) -> None:
    server = serve("ok")
    path = tmp_path / "cache.db"
    settings = RuntimeSettings(cache="sqlite", cache_path=str(path))
    rows = [dspy.Example(question="2+2?", answer="4").with_inputs("question")]
    stack = assemble.stacks_from({"default": role("lean", server)}, settings)["default"]
    with closing(stack), dspy.context(lm=stack.lm):
        assert ASK(question="2+2?").answer == "4"  # this is kept, and a compile does not find it
        found = evaluate(ASK, "exact(answer)", rows, roles={"default": stack.lm})
        assert (found.spent.calls, len(server.seen)) == (1, 2)
        ASK(question="2+2?")
    assert len(server.seen) == 2
    with closing(SQLiteStore(path)) as store:
        assert len(store) == 1


def test_what_a_program_asked_is_found_by_another_process_in_its_file(
    serve: Any, tmp_path: Path
) -> None:
    server, settings = serve("ok"), RuntimeSettings(cache="sqlite", cache_path=str(tmp_path / "c"))
    for way in ("sync", "async", "sync"):  # each builds stacks of its own, as a process would
        assert asked(role("lean", server), settings, way) == "4"
    assert len(server.seen) == 1
    assert asked(replace(role("lean", server), temperature=1.0), settings) == "4"
    assert asked(replace(role("lean", server), max_tokens=51), settings) == "4"
    assert len(server.seen) == 3


def test_models_that_are_asked_elsewhere_or_are_other_objects_share_no_answers(serve: Any) -> None:
    servers = [serve("ok", answer=str(n)) for n in range(2)]
    roles = {str(n): role("lean", server) for n, server in enumerate(servers)}
    stacks = assemble.stacks_from(roles, RuntimeSettings(cache="memory"))
    shared = Stacks(RuntimeSettings(cache="memory"))
    same = [scripted_lm([{"answer": str(n)}]) for n in range(2)]
    for _ in range(2):
        for number, made in enumerate((*stacks.values(), *map(shared.over, same))):
            with dspy.context(lm=made.lm):
                assert ASK(question="2+2?").answer == str(number % 2)
    for stack in stacks.values():
        stack.close()
    assert [len(server.seen) for server in servers] == [1, 1]


def test_limits_per_minute_hold_for_an_account_whoever_asks() -> None:
    clock = ManualClock()
    stacks = Stacks(RuntimeSettings(requests_per_minute=6), clock)
    lm = scripted_lm([{"answer": "4"}])
    one = Provider(lm, as_engine(lm), "the account")
    for made in (stacks.over(one), stacks.over(one)):
        with dspy.context(lm=made.lm):
            ASK(question="2+2?")
    assert sum(clock.slept) == pytest.approx(10.0)


@pytest.mark.parametrize("model", ["openai/gpt-5-mini", "openai/gpt-4o-mini", "anthropic/claude-x"])
def test_answers_that_were_paid_for_without_a_stack_are_known_with_one(model: str) -> None:
    limit = {"max_tokens": 20_000} if "gpt-5" in model else {"max_tokens": 90, "temperature": 0.3}
    plain = dspy.LM(model, api_base="http://127.0.0.1:1/v1", **limit)
    made = Stacks().over(plain).lm
    assert identity(made) == identity(plain)
    assert identity(made) != identity(Stacks().over(dspy.LM(model, **limit)).lm)
    assert identity(made.copy(temperature=1.0)) == identity(plain.copy(temperature=1.0))


def test_a_stack_says_its_layers_in_their_order() -> None:
    settings = RuntimeSettings(
        concurrency=8, timeout=5, deadline=9, attempts=2, requests_per_minute=60
    )
    made = Stacks(settings).over(dspy.LM("openai/a"), dspy.LM("anthropic/b"))
    assert [name for name, _ in made.lines] == [
        "deadline", "coalesce", "retry", "fallback", "hedge",
        *["breaker", "limiter", "timeout", "price", "provider"] * 2,
    ]  # fmt: skip
    assert "limiter    2. 8 at once, 60 requests a minute" in str(made)
    assert (made.lm.model, made.lm.fallbacks) == ("openai/a", ("anthropic/b",))
    with pytest.raises(ConfigError, match="a stack needs a model"):
        Stacks().over()


def test_a_stack_says_whether_and_where_it_keeps_answers() -> None:
    for settings, line in [
        ({"cache": "memory"}, "cache      an answer serves for 86400 s, in memory"),
        ({"cache": "sqlite", "cache_ttl": 60.0, "cache_path": "a/b"},
         "cache      an answer serves for 60 s, in a/b"),
        ({}, "deadline   120 s for a call in all"),
    ]:  # fmt: skip
        first, *_ = str(Stacks(RuntimeSettings(**settings)).over(dspy.LM("openai/a"))).splitlines()
        assert first == line
    with pytest.raises(ConfigError, match="expected none, memory, sqlite or redis"):
        Stacks(RuntimeSettings(cache="disk"))


SECRET = "s3cret-word"


def test_a_stack_over_redis_says_where_and_never_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "redis://desk@cache.internal:7000/1"
    settings = RuntimeSettings(cache="redis", redis_url=url, redis_password_env="REDIS_WORD")
    with pytest.raises(ConfigError, match="'REDIS_WORD', which is not set"):
        Stacks(settings)
    monkeypatch.setenv("REDIS_WORD", SECRET)
    made = Stacks(settings).over(dspy.LM("openai/a"))
    assert str(made).splitlines()[:4] == [
        "cache      an answer serves for 86400 s, in Redis at cache.internal:7000/1",
        "deadline   120 s for a call in all",
        "coalesce   equal calls in flight are one",
        "turns      one process asks, others wait up to 10 s for its answer",
    ]
    assert SECRET not in f"{made} {made!r} {settings!r}"
    with pytest.raises(ConfigError, match=r"set runtime\.redis_url"):
        Stacks(RuntimeSettings(cache="redis"))
    with pytest.raises(ConfigError, match="a password or options") as raised:
        Stacks(RuntimeSettings(cache="redis", redis_url=f"redis://:{SECRET}@cache.internal"))
    assert SECRET not in str(raised.value)


@ways
def test_what_is_kept_in_redis_is_found_by_another_process_and_a_redis_that_is_gone_fails_nobody(
    way: str, serve: Any, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    server, settings = serve("ok"), RuntimeSettings(cache="redis", redis_url=redis_url)
    for _ in range(2):  # each builds stacks of its own, as a process would
        assert asked(role("lean", server), settings, way) == "4"
    assert len(server.seen) == 1
    gone = replace(settings, redis_url=f"{redis_url}-gone")
    with caplog.at_level(logging.WARNING, logger="compilm"):
        assert asked(role("lean", server), gone, way) == "4"
    assert len(server.seen) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "the cache fails (ConnectionError) and calls are made without it; this is said once"
    ]


LIGHT = """
import sys, dspy
from compilm import assemble
from compilm.config import RoleSettings
role = RoleSettings(model=("openai/m",), base_url=sys.argv[1], max_tokens=9, engine="lean")
with dspy.context(lm=assemble.roles_from({"default": role})["default"]):
    print(dspy.Predict("question -> answer")(question="2+2?").answer)
heavy = ["openai", "anthropic", "litellm", "numpy", "mlflow", "pandas", "datasets", "aiohttp"]
print([name for name in [*heavy, "compilm.optimizers", "compilm.metrics"] if name in sys.modules])
"""


def test_a_served_lean_chain_imports_no_sdk(serve: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, f"{serve('ok').url}/v1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == ["4", "[]"], done.stderr


def test_while_the_first_wants_a_pause_the_second_is_asked_and_nobody_waits() -> None:
    clock = ManualClock()
    limited = dspy.LMRateLimitError(model="a/first", message="slow", retry_after=30.0)
    first = scripted_lm([limited, {"answer": "1"}], model="a/first")
    second = scripted_lm([{"answer": "2"}], model="b/second")
    stack = Stacks(RuntimeSettings(), clock).over(first, second)
    answers = []
    with dspy.context(lm=stack.lm):
        for n in range(4):
            answers.append(ASK(question=f"{n}?").answer)
            assert clock.now() == 0.0
        clock.advance(30.0)
        answers.append(ASK(question="last?").answer)
    assert (answers, first.engine.calls, second.engine.calls) == (["2"] * 4 + ["1"], 2, 4)


def test_with_one_account_alone_a_pause_is_waited_for() -> None:
    clock = ManualClock()
    limited = dspy.LMRateLimitError(model="a/first", message="slow", retry_after=7.0)
    only = scripted_lm([limited, {"answer": "1"}], model="a/first")
    with dspy.context(lm=Stacks(RuntimeSettings(), clock).over(only).lm):
        assert ASK(question="why?").answer == "1"
    assert (clock.now(), only.engine.calls) == (7.0, 2)
