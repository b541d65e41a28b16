"""A Redis server of this session, and a clock that it goes by too."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.servers import missing

from compilm.clock import ManualClock


@pytest.fixture(scope="session")
def redis_process(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that keeps nothing, on a socket in a folder of its own; and its address."""
    if shutil.which("redis-server") is None:
        missing("redis-server")
    path = tmp_path_factory.mktemp("redis") / "s"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""]
    command += ["--appendonly", "no", "--dir", str(path.parent), "--loglevel", "notice"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "eady to accept connections" in line:
            break
    else:
        pytest.fail("redis-server did not start")
    try:
        yield process, f"unix://{path}"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def redis_url(redis_process: tuple[subprocess.Popen[str], str]) -> Iterator[str]:
    """The address of a server that holds nothing."""
    import redis

    _, url = redis_process
    with closing(redis.Redis.from_url(url)) as client:
        client.flushall()
        yield url


class RedisClock(ManualClock):
    """A clock that takes what the server keeps along: each value ends so much earlier.

    The server's own time goes on meanwhile; who counts in thousands of seconds does not notice.
    """

    def __init__(self, url: str) -> None:
        super().__init__(start=1_000_000.0)
        self._url = url

    def advance(self, seconds: float) -> None:
        import redis

        super().advance(seconds)
        with closing(redis.Redis.from_url(self._url)) as client:
            for key in client.scan_iter():
                client.pexpire(key, int(client.pttl(key) - 1000 * seconds))


@pytest.fixture
def redis_clock(redis_url: str) -> RedisClock:
    """A clock that the server goes by."""
    return RedisClock(redis_url)


@pytest.fixture
def redis_folder(redis_url: str) -> Path:
    """Where the server's socket is."""
    return Path(redis_url.removeprefix("unix://"))
