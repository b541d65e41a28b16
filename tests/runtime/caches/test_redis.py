"""The store in Redis: the kit on a real server, and servers that are slow, gone or not ours."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from tests.runtime.conftest import RedisClock

from compilm.clock import ManualClock
from compilm.errors import ConfigError, MissingExtra, Refused, UsageError
from compilm.runtime.caches import RedisStore, Store
from compilm.testing.store_kit import LeasesKit

SECRET = "s3cret-word"
PATIENT = 60.0  # a machine with much else to do stands still for longer than the default


class TestRedisStore(LeasesKit):
    unit = 1000.0

    @pytest.fixture
    def clock(self, redis_clock: RedisClock) -> ManualClock:
        return redis_clock

    @pytest.fixture
    def store(self, clock: ManualClock, redis_url: str) -> Iterator[Store]:
        with closing(RedisStore(redis_url, patience=PATIENT, clock=clock)) as opened:
            yield opened


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    with closing(RedisStore(redis_url, patience=PATIENT)) as opened:
        yield opened


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """The server as somebody else sees it."""
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


def test_redis_ends_each_value_by_itself_and_none_outlives_the_age_of_the_store(
    store: RedisStore, server: redis.Redis
) -> None:
    store.put("a", b"a", ttl=60.0)
    store.put("b", b"b")
    store.put("c", b"c", ttl=1e12)
    store.put("d", b"d", ttl=1e-9)
    left = [server.ttl(f"compilm:{key}") for key in "abc"]
    assert 0 < left[0] <= 60
    assert all(29 * 86_400 < each <= 30 * 86_400 for each in left[1:])
    assert store.claim("e", "one", 5.0).is_mine
    assert 0 < server.pttl("compilm:e:turn") <= 5000


def test_stores_with_other_prefixes_are_apart(redis_url: str) -> None:
    one, two = (RedisStore(redis_url, prefix=prefix) for prefix in ("a:", "b:"))
    with closing(one), closing(two):
        one.put("k", b"one")
        assert one.claim("l", "t", 60.0).is_mine
        assert (two.get("k"), two.claim("l", "t", 60.0).is_mine) == (None, True)


def test_what_is_no_value_is_an_error_of_that_call_alone(
    store: RedisStore, server: redis.Redis
) -> None:
    server.lpush("compilm:k", "a list of somebody else")
    for _ in range(2):
        with pytest.raises(redis.ResponseError):
            store.get("k")
    store.put("k", b"ours")
    assert store.get("k") == b"ours"


OTHERS = 2  # connections of the fixtures


def open_here(server: redis.Redis, wanted: int) -> int:
    """How many connections the store has, as soon as the server has seen that some were closed."""
    for _ in range(5000):
        if len(server.client_list()) - OTHERS == wanted:
            break
    return len(server.client_list()) - OTHERS


def test_a_loop_closes_its_connections_as_it_ends(store: RedisStore, server: redis.Redis) -> None:
    async def many() -> int:
        await asyncio.gather(*(store.aget(str(n)) for n in range(200)))
        return len(server.client_list()) - OTHERS

    assert open_here(server, 0) == 0
    assert 32 >= asyncio.run(many()) > 0
    assert open_here(server, 0) == 0


@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_is_closed_has_no_connection_and_opens_again(
    way: str, store: RedisStore, server: redis.Redis
) -> None:
    async def used() -> list[int]:
        found = []
        for _ in range(2):
            store.put("k", b"v")
            assert await store.aget("k") == b"v"
            found.append(open_here(server, 2))
            await store.aclose()
            found.append(open_here(server, 0))
        return found

    if way == "async":
        assert asyncio.run(used()) == [2, 0, 2, 0]
    else:
        store.put("k", b"v")
        assert open_here(server, 1) == 1
        store.close()
        assert open_here(server, 0) == 0
        assert store.get("k") == b"v"


def test_a_cancelled_read_gives_nobody_the_answer_of_another(store: RedisStore) -> None:
    async def some() -> list[bytes | None]:
        for n in range(40):
            await store.aput(str(n), b"%d" % n)
        tasks = [asyncio.ensure_future(store.aget(str(n))) for n in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [await store.aget(str(n)) for n in range(40)]

    assert asyncio.run(some()) == [b"%d" % n for n in range(40)]


class TestTrouble:
    """After a failure it is left alone, and one use finds out whether it is well again."""

    def failing(self, store: RedisStore, way: str) -> Exception:
        with pytest.raises(Exception) as raised:
            store.get("k") if way == "sync" else asyncio.run(store.aget("k"))
        return raised.value

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_a_server_that_is_gone_is_left_alone_until_it_is_well(
        self, way: str, redis_folder: Any
    ) -> None:
        clock = ManualClock()
        away = redis_folder.with_name(f"away-{way}")
        redis_folder.rename(away)
        with closing(RedisStore(f"unix://{redis_folder}", rest=10.0, clock=clock)) as store:
            try:
                assert isinstance(self.failing(store, way), redis.ConnectionError)
                clock.advance(9.9)
                assert isinstance(error := self.failing(store, way), Refused)
                assert error.retry_after == pytest.approx(0.1)
                clock.advance(0.2)
                assert isinstance(self.failing(store, way), redis.ConnectionError)
                assert isinstance(self.failing(store, way), Refused)
            finally:
                away.rename(redis_folder)
            clock.advance(10.0)
            store.put("k", b"v")
            assert (store.get("k"), asyncio.run(store.aget("k"))) == (b"v", b"v")

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_a_server_that_stopped_in_the_middle_holds_nobody_up(
        self, way: str, redis_url: str, redis_process: tuple[subprocess.Popen[str], str]
    ) -> None:
        patient, store = (
            RedisStore(redis_url, patience=PATIENT),
            RedisStore(redis_url, patience=0.05),
        )
        with closing(store), closing(patient):
            patient.put("k", b"v")
            patient.put("l", b"w")
            redis_process[0].send_signal(signal.SIGSTOP)
            try:
                error = self.failing(store, way)
                assert isinstance(error, (TimeoutError, redis.TimeoutError))
                assert isinstance(self.failing(store, way), Refused)
            finally:
                redis_process[0].send_signal(signal.SIGCONT)
            assert (patient.get("l"), asyncio.run(patient.aget("k"))) == (b"w", b"v")

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_a_server_that_says_nothing_holds_nobody_up(self, way: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
            with closing(RedisStore(url, patience=0.05)) as store:
                error = self.failing(store, way)
        assert isinstance(error, (TimeoutError, redis.TimeoutError))

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_a_wrong_password_is_a_failure_that_does_not_tell_it(
        self, way: str, redis_url: str, server: redis.Redis
    ) -> None:
        server.acl_setuser("desk", enabled=True, passwords=[f"+{SECRET}"], keys="*",
                           categories=["+@all"])  # fmt: skip
        url = redis_url.replace("unix://", "unix://desk@")
        try:
            with closing(RedisStore(url, password=SECRET)) as store:
                store.put("k", b"v")
                assert asyncio.run(store.aget("k")) == b"v"
                assert SECRET not in f"{store!r} {store.place}"
            with closing(RedisStore(url, password=f"{SECRET}-not")) as store:
                error = self.failing(store, way)
            assert isinstance(error, redis.ConnectionError)
            assert SECRET not in str(error)
        finally:
            server.acl_deluser("desk")


@pytest.mark.parametrize(
    "url",
    [f"redis://:{SECRET}@host:6379/0", f"redis://host?password={SECRET}", f"http://{SECRET}",
     f"redis//:{SECRET}@host", f"redis://host:{SECRET}/0", "redis://", "unix://", ""],
)  # fmt: skip
def test_an_address_that_will_not_do_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"expected redis://|a password or options") as raised:
        RedisStore(url)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("bounds", [{"age": 0.0}, {"patience": 0.0}, {"connections": 0}])
def test_a_store_that_keeps_nothing_is_refused(bounds: Any) -> None:
    with pytest.raises(UsageError, match="keeps nothing"):
        RedisStore("redis://127.0.0.1:1", **bounds)


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.exceptions", None)
    with pytest.raises(MissingExtra, match=r"compilm\[redis\]"):
        RedisStore("redis://127.0.0.1:1")


FORKED = """
import os, sys
from compilm.runtime.caches import RedisStore
store = RedisStore(sys.argv[1])
store.put("k", b"of the parent")
child = os.fork()
if not child:
    for _ in range(100):
        assert store.get("k") == b"of the parent"
    store.put("l", b"of the child")
    os._exit(0)
for _ in range(100):
    assert store.get("k") == b"of the parent"
assert os.waitpid(child, 0)[1] == 0
print(store.get("l").decode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_process_has_connections_of_its_own(redis_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, redis_url],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "of the child\n", done.stderr
