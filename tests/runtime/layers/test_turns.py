"""Turns: of several that share a store one asks for an answer, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from dspy import lm15
from tests.runtime.layers.caching import Broken, streamed

from compilm.clock import ManualClock
from compilm.engine import EnginePair, Layer, stack
from compilm.runtime.caches import MemoryStore, Store
from compilm.runtime.caches.lease import KEY, Claim
from compilm.runtime.layers.cache import Cache, usage_of
from compilm.runtime.layers.coalesce import Coalesce
from compilm.runtime.layers.deadline import within
from compilm.runtime.layers.turns import Turns
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request
from compilm.testing.store_kit import LeasesKit

both = pytest.mark.parametrize("how", [ask, aask])


class Leasing(MemoryStore):
    """A store in memory that gives turns as a shared one does, and knows what it did."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.turns, self.did, self._turn = MemoryStore(clock=clock), list[str](), threading.Lock()

    def claim(self, key: str, token: str, seconds: float) -> Claim:
        with self._turn:
            is_mine = self.turns.get(key) is None
            if is_mine:
                self.turns.put(key, token.encode(), seconds)
        self.did.append("turn" if is_mine else "wait")
        return Claim(self.get(key), is_mine)

    def release(self, key: str, token: str) -> None:
        self.did.append("release")
        if self.turns.get(key) == token.encode():
            self.turns.put(key, b"", -1.0)

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        self.did.append("put")
        super().put(key, value, ttl)

    async def aclaim(self, key: str, token: str, seconds: float) -> Claim:
        return self.claim(key, token, seconds)

    async def arelease(self, key: str, token: str) -> None:
        self.release(key, token)


class TestLeasing(LeasesKit):
    """What stands for a shared store here does what one does."""

    @pytest.fixture
    def store(self, clock: ManualClock) -> Store:
        return Leasing(clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> Leasing:
    return Leasing(clock)


class Process:
    """The layers of one process over a store: its engine, its cache, its pair."""

    def __init__(self, store: Any, clock: Any, reply: Any = None, **turns: Any) -> None:
        self.engine, self.cache = CountingEngine(reply), Cache(store)
        layers = self.cache, Coalesce(clock), Turns(store, self.cache, clock, **turns)
        self.pair = stack(self.engine.pair, *layers)


class TestTurns(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        clock = ManualClock()
        cache = Cache(Leasing(clock))
        return Turns(Leasing(clock), cache, clock)


class TestTurnsBelowACache(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        clock = ManualClock()
        store = Leasing(clock)
        cache = Cache(store)
        return lambda inner: cache(Turns(store, cache, clock)(inner))

    def test_a_stream_is_the_events_of_the_engine(
        self, pair: EnginePair, engine: CountingEngine
    ) -> None:
        """Only the first time: the cache has a test of its own for the second."""
        wanted = list(CountingEngine().pair.sync.stream(request("yes")))
        assert list(pair.sync.stream(request("yes"))) == wanted
        assert engine.closed == 1


@both
def test_who_has_the_turn_keeps_the_answer_before_it_gives_the_turn_back(
    how: Any, store: Leasing, clock: ManualClock
) -> None:
    one = Process(store, clock)
    assert how(one.pair, request()).text == "hi"
    assert (store.did, one.cache.counts.writes) == (["turn", "put", "release"], 1)
    assert how(one.pair, request()).text == "hi"
    assert (len(store.did), one.engine.calls) == (3, 1)


def test_another_process_waits_for_the_answer_and_takes_it(
    store: Leasing, clock: ManualClock
) -> None:
    one, two = Process(store, clock), Process(store, clock)

    async def both_ask() -> list[Any]:
        one.engine.gate = asyncio.Event()
        first = asyncio.ensure_future(one.pair.asynchronous.complete(request()))
        while not one.engine.inside:
            await asyncio.sleep(0)
        calls = [asyncio.ensure_future(two.pair.asynchronous.complete(request())) for _ in "123"]
        while len(clock.slept) < 4 and not calls[0].done():
            await asyncio.sleep(0)
        one.engine.gate.set()
        return await asyncio.gather(first, *calls)

    answers = asyncio.run(both_ask())
    assert [answer.text for answer in answers] == ["hi"] * 4
    assert (one.engine.calls, two.engine.calls) == (1, 0)
    assert [usage_of(answer) is None for answer in answers] == [True, False, False, False]
    assert (two.cache.counts.misses, two.cache.counts.shared, two.cache.counts.writes) == (3, 1, 0)
    assert store.did.count("put") == 1


class Moving(ManualClock):
    """A clock whose third sleep lets something happen first."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self.happens = happens

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if len(self.slept) == 3:
            self.happens()


@pytest.mark.parametrize("ends", ["hi", lm15.ServerError("down")], ids=["answer", "failure"])
def test_a_thread_waits_for_another_process_and_asks_if_that_one_failed(ends: Any) -> None:
    inside, let_go, found = threading.Event(), threading.Event(), list[Any]()

    def reply(_: Any) -> Any:
        inside.set()
        let_go.wait()
        return ends

    def first() -> None:
        try:
            found.append(ask(one.pair, request()).text)
        except lm15.ServerError:
            found.append("failed")

    clock = Moving(lambda: (let_go.set(), thread.join()))
    store = Leasing(clock)
    one, two = Process(store, clock, reply), Process(store, clock)
    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    assert ask(two.pair, request()).text == "hi"
    assert found == (["hi"] if ends == "hi" else ["failed"])
    assert two.engine.calls == (0 if ends == "hi" else 1)
    assert len(clock.slept) == 3


@both
@pytest.mark.parametrize(
    ("patience", "lease", "seconds", "waited"),
    [(10.0, 5.0, 60.0, 5.0), (3.0, 5.0, 60.0, 3.0), (10.0, 5.0, 1.0, 1.0)],
    ids=["the turn ends", "patience ends", "the deadline is near"],
)
def test_a_turn_that_nobody_gives_back_holds_nobody_up_for_long(
    how: Any, patience: float, lease: float, seconds: float, waited: float,
    store: Leasing, clock: ManualClock,
) -> None:  # fmt: skip
    one = Process(store, clock, patience=patience, lease=lease)
    dead = Process(store, clock, lambda _: KeyboardInterrupt(), lease=lease)
    release, store.release = store.release, lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        ask(dead.pair, request())
    store.release = release  # type: ignore[method-assign]
    with within(seconds, clock):
        assert how(one.pair, request()).text == "hi"
    assert waited <= clock.now() <= waited + 0.25
    assert one.engine.calls == 1
    assert max(clock.slept) <= 0.25


def test_64_tasks_in_each_of_three_processes_are_one_call(
    store: Leasing, clock: ManualClock
) -> None:
    all_of_them = [Process(store, clock) for _ in range(3)]

    async def everyone() -> list[Any]:
        pairs = [each.pair for each in all_of_them for _ in range(64)]
        return await asyncio.gather(*(pair.asynchronous.complete(request()) for pair in pairs))

    assert {answer.text for answer in asyncio.run(everyone())} == {"hi"}
    assert sum(each.engine.calls for each in all_of_them) == 1
    assert store.did.count("put") == 1


class BrokenLeases(Broken):
    """A store that can do nothing, and should give turns."""

    def claim(self, key: str, token: str, seconds: float) -> Claim:
        raise OSError(f"gone: {key} {token} {seconds}")

    def release(self, key: str, token: str) -> None:
        raise OSError(f"gone: {key} {token}")

    async def aclaim(self, key: str, token: str, seconds: float) -> Claim:
        return self.claim(key, token, seconds)

    async def arelease(self, key: str, token: str) -> None:
        self.release(key, token)


@both
def test_a_store_that_fails_fails_no_call(how: Any, clock: ManualClock) -> None:
    one = Process(BrokenLeases(), clock)
    assert [how(one.pair, request()).text for _ in range(2)] == ["hi", "hi"]
    assert (one.engine.calls, one.cache.counts.failures) == (2, 6)
    assert clock.slept == []


@both
def test_a_turn_that_cannot_be_given_back_fails_no_call(
    how: Any, store: Leasing, clock: ManualClock
) -> None:
    def gone(key: str, token: str) -> None:
        raise OSError(f"gone: {key} {token}")

    store.release = gone  # type: ignore[method-assign]
    one = Process(store, clock)
    assert how(one.pair, request()).text == "hi"
    assert one.cache.counts.failures == 1


@both
def test_what_is_kept_and_cannot_be_read_is_asked(
    how: Any, store: Leasing, clock: ManualClock
) -> None:
    one = Process(store, clock)
    get, store.get = store.get, lambda _: b"foreign"  # type: ignore[method-assign]
    assert how(one.pair, request()).text == "hi"
    store.get = get  # type: ignore[method-assign]
    assert (one.engine.calls, store.did) == (1, ["turn", "put", "release"])


def test_streams_and_what_is_not_kept_take_no_turn(store: Leasing, clock: ManualClock) -> None:
    one = Process(store, clock)
    assert streamed(one.pair, request("a")) == "a"
    ask(one.pair, request("b", temperature=1.0))
    assert store.did == ["put"]


def test_a_blocking_call_in_a_loop_waits_for_nobody(store: Leasing, clock: ManualClock) -> None:
    """Whoever has the turn may be a task of that loop."""
    one, two = Process(store, clock), Process(store, clock)

    async def mixed() -> str:
        one.engine.gate = asyncio.Event()
        first = asyncio.ensure_future(one.pair.asynchronous.complete(request()))
        while not one.engine.inside:
            await asyncio.sleep(0)
        second = ask(two.pair, request()).text
        one.engine.gate.set()
        return second + (await first).text

    assert asyncio.run(mixed()) == "hihi"
    assert (clock.slept, two.engine.calls) == ([], 1)


@both
def test_what_is_asked_below_has_no_key(how: Any, store: Leasing, clock: ManualClock) -> None:
    """An engine that asks another stack must not wait for the turn that its own call has."""
    seen: list[Any] = []
    one = Process(store, clock, lambda asked: seen.append(KEY.get()) or asked.messages[-1].text)
    how(one.pair, request())
    assert seen == [None]


ASKS = """
import sys
import dspy
from compilm.assemble import stacks_from
from compilm.config import RoleSettings, RuntimeSettings
role = RoleSettings(("openai/m",), f"{sys.argv[1]}/v1", key_env="TURNS_KEY", engine="lean")
runtime = RuntimeSettings(cache="redis", redis_url=sys.argv[2])
stack = stacks_from({"default": role}, runtime)["default"]
ask = dspy.Predict("question -> answer")
print("ready", flush=True)
for line in sys.stdin:
    with dspy.context(lm=stack.lm):
        print(ask(question=line.strip()).answer, flush=True)
stack.close()
"""


def test_real_processes_ask_once_for_what_all_want_at_once(redis_url: str) -> None:
    with FaultServer(ScriptedEngine([{"answer": "4"}]), latency=0.3) as server:
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TURNS_KEY": "k",
        }  # fmt: skip
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", ASKS, server.url, redis_url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for _ in range(2)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
        for question in ("one?", "two?"):
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write(f"{question}\n")
                worker.stdin.flush()
            assert [worker.stdout.readline() for worker in workers if worker.stdout] == ["4\n"] * 2
        told = [worker.communicate()[1] for worker in workers]
    assert told == ["", ""]
    assert len(server.seen) == 2
