"""A store in Redis: shared by the processes of many machines, with an end for each value."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...clock import SYSTEM_CLOCK, Clock
from ...config.address import redis_place, redis_url
from ...errors import MissingExtra, UsageError
from .lease import Claim
from .rest import Rest

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = ["RedisStore"]

_TURN = ":turn"  # behind the key of a value: who is asking for it
# Whoever gives back a turn that has ended meanwhile must not take it from the next.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"


class RedisStore:
    """Values under `prefix` in the Redis at `url`, none above `age` seconds.

    `url` is redis://, rediss:// or unix://, without the password, which is given apart. Redis
    ends each value by its own clock, and drops others when its memory is full, as it is told to.
    Each wait is `patience` seconds at most; after a failure it is left alone for `rest` seconds
    and every method raises `Refused`. Safe under threads, tasks, several event loops and forks;
    at most `connections` for the threads, and for each loop. Values are bytes to it.

    Raises `MissingExtra` without redis-py, `ConfigError` for another address.

    >>> store = RedisStore("redis://127.0.0.1:1")    # where nobody is
    >>> for _ in range(2):
    ...     try:
    ...         store.get("a key")
    ...     except Exception as error:
    ...         print(type(error).__name__)
    ConnectionError
    Refused
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        prefix: str = "compilm:",
        age: float = 30 * 86_400.0,
        patience: float = 1.0,
        rest: float = 10.0,
        connections: int = 32,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not age > 0 or not patience > 0 or connections < 1:
            raise UsageError(
                f"a store of {age:g} s, waits of {patience:g} s and {connections} connections "
                "keeps nothing: give more of each, or leave the cache out"
            )
        try:
            from redis.exceptions import ResponseError
        except ImportError as error:
            raise MissingExtra("redis", extra="redis", purpose="keep answers in Redis") from error
        from ..engines.loops import PerLoop

        self._url, self.place = redis_url(url), redis_place(url)
        self._password, self._prefix, self._age = password, prefix, age
        self._patience, self._connections = patience, connections
        self._rest = Rest(f"the cache at {self.place}", rest, clock, well=(ResponseError,))
        self._sync = self._opened()
        # What a loop did not close it closes itself at its end: see `_keeper`.
        self._loops = PerLoop(lambda: _Opened(self._aopened()), drop=lambda _: None)

    def get(self, key: str) -> bytes | None:
        """The value, or `None` where there is none or its time is over."""
        with self._rest:
            return self._sync.get(self._prefix + key)  # type: ignore[return-value]  # bytes

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keep `value` for `ttl` seconds, at most for the store's age."""
        with self._rest:
            self._sync.set(self._prefix + key, value, px=self._span(ttl))

    def claim(self, key: str, token: str, seconds: float) -> Claim:
        """Take the turn for `key`, if nobody has it, and look once more at what is kept."""
        with self._rest, self._sync.pipeline(transaction=False) as both:
            return _claim(self._asked(both, key, token, seconds).execute())

    def release(self, key: str, token: str) -> None:
        """Give the turn back, if `token` still has it."""
        with self._rest:
            self._sync.eval(_RELEASE, 1, self._prefix + key + _TURN, token)

    async def aget(self, key: str) -> bytes | None:
        """As `get`, in a task."""
        with self._rest:
            async with asyncio.timeout(self._patience):
                client = await self._here()
                return await client.get(self._prefix + key)  # type: ignore[return-value]  # bytes

    async def aput(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """As `put`, in a task."""
        with self._rest:
            async with asyncio.timeout(self._patience):
                await (await self._here()).set(self._prefix + key, value, px=self._span(ttl))

    async def aclaim(self, key: str, token: str, seconds: float) -> Claim:
        """As `claim`, in a task."""
        with self._rest:
            async with (
                asyncio.timeout(self._patience),
                (await self._here()).pipeline(transaction=False) as both,
            ):
                return _claim(await self._asked(both, key, token, seconds).execute())

    async def arelease(self, key: str, token: str) -> None:
        """As `release`, in a task."""
        with self._rest:
            async with asyncio.timeout(self._patience):
                client: Any = await self._here()
                await client.eval(_RELEASE, 1, self._prefix + key + _TURN, token)

    def close(self) -> None:
        """Close the idle connections of threads; the next use opens others."""
        self._sync.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close the connections of this event loop too."""
        if (opened := self._loops.leave()) is not None:
            await opened.close()
        self.close()

    def _asked(self, both: Any, key: str, token: str, seconds: float) -> Any:
        """The turn first, then the value: what was kept before the turn was free is seen."""
        name = self._prefix + key
        both.set(name + _TURN, token, nx=True, px=_milliseconds(seconds))
        return both.get(name)

    def _span(self, ttl: float | None) -> int:
        return _milliseconds(self._age if ttl is None else min(ttl, self._age))

    def _opened(self) -> Redis:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        given = {**self._settings(), "socket_timeout": self._patience}
        pool = redis.BlockingConnectionPool.from_url(
            self._url, retry=Retry(NoBackoff(), 0), **given
        )
        return redis.Redis(connection_pool=pool)

    def _aopened(self) -> AsyncRedis:
        from redis import asyncio as tasks
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        given = {**self._settings(), "socket_timeout": None}  # each use is bounded as a whole
        pool = tasks.BlockingConnectionPool.from_url(
            self._url, retry=Retry(NoBackoff(), 0), **given
        )
        return tasks.Redis(connection_pool=pool)

    def _settings(self) -> dict[str, Any]:
        return {
            "protocol": 2,  # has all that is asked here, and costs less than 3
            "password": self._password,
            "socket_connect_timeout": self._patience,
            "max_connections": self._connections,
            "timeout": self._patience,
        }

    async def _here(self) -> AsyncRedis:
        """The client of the running loop."""
        opened = self._loops.here()
        if opened.keeper is None:
            opened.keeper = _keeper(opened.client)
            await anext(opened.keeper)
        return opened.client


@dataclass(slots=True)
class _Opened:
    """The client of one event loop, and what closes it when the loop ends."""

    client: AsyncRedis
    keeper: AsyncGenerator[None, None] | None = None

    async def close(self) -> None:
        if self.keeper is not None:
            await self.keeper.aclose()


async def _keeper(client: AsyncRedis) -> AsyncGenerator[None, None]:
    """Closes `client` when it is closed itself: `asyncio.run` and servers do that as they end.

    (`loop.shutdown_asyncgens`; connections that outlive their loop can be closed by nobody.)
    """
    try:
        yield
    finally:
        from redis.exceptions import RedisError

        with suppress(OSError, RedisError):  # whoever closes has no use for it any more
            await client.connection_pool.disconnect()


def _claim(found: list[Any]) -> Claim:
    taken, value = found
    return Claim(value, bool(taken))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
