"""Connections of the lean client in tasks: which is used, for how long, and what closes it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.runtime.engines.loopback import OK, Loopback, asked, client, in_turn, settled
from tests.runtime.engines.loopback import with_length as sized

from compilm.clock import ManualClock
from compilm.errors import ConfigError
from compilm.runtime.engines import lean
from compilm.runtime.engines.lean_pool import AGE, IDLE, STALE
from compilm.runtime.engines.lean_tasks import AsyncHttp
from compilm.runtime.engines.wire import WireFailure


async def call(http: AsyncHttp) -> bytes:
    return (await http.post(http.head("/", {}), b"{}")).data


async def lost(http: AsyncHttp) -> str:
    with pytest.raises(WireFailure) as caught:
        await call(http)
    return caught.value.note


def test_the_connection_used_last_is_used_first() -> None:
    async def run() -> None:
        served: list[int] = []

        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            mine = server.connections
            while True:
                await asked(reader)
                served.append(mine)
                writer.write(OK)

        async with Loopback(talk) as server, client(server.url) as http:
            await asyncio.gather(call(http), call(http), call(http))
            last = served[-1]
            served.clear()
            for _ in range(4):
                await call(http)
            assert served == [last] * 4
            assert server.connections == 3

    asyncio.run(run())


@pytest.mark.parametrize(("seconds", "opened"), [(IDLE - 1, 1), (IDLE, 2)])
def test_a_connection_that_nobody_uses_is_closed(seconds: float, opened: int) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with Loopback(in_turn(OK)) as server, client(server.url, clock=clock) as http:
            await call(http)
            clock.advance(seconds)
            if opened == 2:
                await server.left()  # without another call
            await call(http)
            assert server.connections == opened

    asyncio.run(run())


def test_the_sweep_leaves_what_is_in_use_or_was_lately() -> None:
    async def run() -> None:
        clock = ManualClock()
        async with Loopback(in_turn(OK)) as server, client(server.url, clock=clock) as http:
            await asyncio.gather(call(http), call(http))
            clock.advance(IDLE - 1)
            await call(http)
            clock.advance(1)  # one is idle for a minute, the other for a second
            await server.left()
            await call(http)
            assert server.connections == 2
            clock.advance(IDLE)
            await server.left()

    asyncio.run(run())


def test_a_connection_serves_for_a_while_and_no_longer() -> None:
    async def run() -> None:
        clock = ManualClock()
        async with Loopback(in_turn(OK)) as server, client(server.url, clock=clock) as http:
            for _ in range(int(AGE / (IDLE / 2))):
                await call(http)
                clock.advance(IDLE / 2)
            assert server.connections == 1
            await call(http)
            assert server.connections == 2

    asyncio.run(run())


def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used() -> None:
    async def run() -> None:
        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            server.requests.append(await asked(reader))
            writer.write(OK)

        async with Loopback(talk) as server, client(server.url) as http:
            for _ in range(3):  # at once: the loop has not seen the end yet
                assert await call(http) == b"yes"
            assert server.connections == len(server.requests) == 3

    asyncio.run(run())


@pytest.mark.parametrize("idle", [0.0, STALE])
@pytest.mark.parametrize("said", [b"", b"H"])
def test_only_what_met_a_stale_connection_is_sent_again_and_once(idle: float, said: bytes) -> None:
    """The server takes each second request of a connection, and closes it."""

    async def run() -> None:
        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            server.requests.append(await asked(reader))
            writer.write(OK)
            server.requests.append(await asked(reader))
            writer.write(said)

        clock = ManualClock()
        async with Loopback(talk) as server, client(server.url, clock=clock) as http:
            await call(http)
            clock.advance(idle)
            if idle and not said:
                assert await call(http) == b"yes"
                assert (server.connections, len(server.requests)) == (2, 3)
            else:
                assert await lost(http) == ("CutShort" if said else "Unanswered")
                assert (server.connections, len(server.requests)) == (1, 2)

    asyncio.run(run())


def test_a_fresh_connection_that_is_lost_is_an_error() -> None:
    async def run() -> None:
        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            server.requests.append(await asked(reader))

        async with Loopback(talk) as server, client(server.url) as http:
            assert await lost(http) == "Unanswered"
            assert len(server.requests) == 1

    asyncio.run(run())


def test_nobody_listens() -> None:
    async def run() -> None:
        async with Loopback(in_turn(OK)) as server:
            pass
        async with client(server.url, most=1) as http:
            for _ in range(2):
                assert await lost(http) == "ConnectionRefusedError"

    asyncio.run(run())


def test_there_are_never_more_connections_than_allowed() -> None:
    async def run() -> None:
        open_now = most = 0

        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            try:
                await in_turn(OK)(server, reader, writer)
            finally:
                open_now -= 1

        async with Loopback(talk) as server, client(server.url, most=2) as http:
            assert await asyncio.gather(*(call(http) for _ in range(20))) == [b"yes"] * 20
            assert (most, server.connections) == (2, 2)

    asyncio.run(run())


PHASES = {
    "the head": b"",
    "half a head": b"HTTP/1.1 200 O",
    "the body": sized(b"yes")[:-3],
    "the rest of the body": sized(b"yes")[:-1],
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("phase", PHASES)
def test_a_call_that_is_cancelled_closes_its_connection(phase: str, streamed: bool) -> None:
    async def run() -> None:
        said = asyncio.Event()

        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            if server.connections > 1:
                await in_turn(OK)(server, reader, writer)
            await asked(reader)
            writer.write(PHASES[phase])
            said.set()
            await asked(reader)

        async def stream(http: AsyncHttp) -> None:
            async with http.streamed(http.head("/", {}), b"") as exchange:
                await exchange.read()

        async with Loopback(talk) as server, client(server.url, most=1) as http:
            task = asyncio.ensure_future(stream(http) if streamed else call(http))
            behind = asyncio.ensure_future(call(http))  # waits for room
            gone = asyncio.ensure_future(call(http))
            await said.wait()
            await settled()
            gone.cancel()
            task.cancel()
            for each in (task, gone):
                with pytest.raises(asyncio.CancelledError):
                    await each
            await server.left()
            assert await behind == b"yes"
            assert await call(http) == b"yes"
            assert server.connections == 2

    asyncio.run(run())


def test_cancelled_at_any_step_nothing_is_lost_and_nothing_is_left() -> None:
    """At each turn of the loop that a call takes, connecting among them, it is cancelled once."""

    async def run() -> None:
        async with Loopback(in_turn(OK)) as server, client(server.url, most=1) as http:
            ends = set()
            for turns in range(40):
                await http.aclose()
                task = asyncio.ensure_future(call(http))
                await settled(turns)
                task.cancel()
                ends.add(str(*await asyncio.gather(task, return_exceptions=True)))
                assert await call(http) == b"yes"  # there is room, and a sound connection
            assert ends == {"", "b'yes'"}

    asyncio.run(run())


def test_closing_ends_what_is_under_way_and_the_client_can_be_used_again() -> None:
    async def run() -> None:
        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            await asked(reader)
            writer.write(OK)
            await asked(reader)
            asking.set()
            await asked(reader)

        asking = asyncio.Event()
        async with Loopback(talk) as server, client(server.url) as http:
            await call(http)
            task = asyncio.ensure_future(lost(http))
            await asking.wait()
            await http.aclose()
            assert await task == "Unanswered"
            assert await call(http) == b"yes"

    asyncio.run(run())


NOISE = """
import asyncio, gc, os
from compilm.clock import SYSTEM_CLOCK
from compilm.runtime.engines.lean_tasks import AsyncHttp
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer

ASK = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'

async def call(http):
    head = http.head("/v1/chat/completions", {"content-type": "application/json"})
    return (await http.post(head, ASK)).status

with FaultServer(ScriptedEngine(["yes"] * 9)) as server:
    http = AsyncHttp(server.url, 4, SYSTEM_CLOCK)
    print(asyncio.run(call(http)))  # closes nothing
    loop = asyncio.new_event_loop()
    print(loop.run_until_complete(call(http)))
    child = os.fork()
    if child == 0:  # the loop of the parent is not its own: it opens another connection
        status = asyncio.run(call(http))
        del http
        gc.collect()
        os._exit(0 if status == 200 else 1)
    print(os.waitpid(child, 0)[1], loop.run_until_complete(call(http)), server.connections)
    loop.run_until_complete(http.aclose())
    loop.close()
    asyncio.run(call(http))
    del http
    gc.collect()
"""


def test_loops_come_and_go_and_a_fork_leaves_the_parent_its_connections() -> None:
    command = [sys.executable, "-W", "error", "-c", NOISE]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.stdout.split(), done.stderr) == (["200", "200", "0", "200", "3"], "")


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b"])
def test_a_header_is_one_line(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lean(base_url="http://127.0.0.1:9", headers={"x-team": value})
    assert "x-team" in str(caught.value)
    assert value not in str(caught.value)
