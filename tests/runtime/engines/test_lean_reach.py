"""How the lean client in threads reaches an address: several addresses, TLS, proxies, one end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import closing as closed
from typing import Any

import pytest
from tests.runtime.engines.loopback import NAMED, OK, Loopback, in_turn, passing, settled

from compilm.clock import SYSTEM_CLOCK
from compilm.errors import ConfigError
from compilm.runtime.engines.lean_http import SyncHttp
from compilm.runtime.engines.lean_route import Route
from compilm.runtime.engines.wire import WireFailure


async def ask(url: str, times: int = 1, seconds: float = 20.0) -> list[bytes]:
    """Answers of one client, asked in a thread."""

    def asked() -> list[bytes]:
        with closed(SyncHttp(url, 1, SYSTEM_CLOCK)) as http:
            return [one(http) for _ in range(times)]

    def one(http: SyncHttp) -> bytes:
        end = SYSTEM_CLOCK.now() + seconds
        with http.post(http.head("/v1", {}), b"{}", end) as exchange:
            return exchange.read()

    return await asyncio.to_thread(asked)


async def lost(url: str, seconds: float = 20.0) -> str:
    with pytest.raises(WireFailure) as caught:
        await ask(url, seconds=seconds)
    return caught.value.kind


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who never takes a connection: the queue is full."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = server.getsockname()[1]
        for _ in range(2):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def named(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """A name whose addresses are these ports of this machine."""
    tcp = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    found = [(*tcp, ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_an_address_that_is_silent_leaves_time_for_the_next(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with Loopback(in_turn(OK)) as server:
            named(monkeypatch, silent, server.port)
            assert await ask("http://provider.example", seconds=1.0) == [b"yes"]

    asyncio.run(run())


def test_an_address_of_a_kind_that_is_not_here_is_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        async with Loopback(in_turn(OK)) as server:
            named(monkeypatch, server.port)
            (here,) = socket.getaddrinfo("provider.example", 80)
            none = (255, socket.SOCK_STREAM, 0, "", ("::1", server.port))
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [none, here])
            assert await ask("http://provider.example") == [b"yes"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "proxy", ["socks5://me:secret@localhost:1", "http://me:secret@localhost:x", "http://"]
)
def test_a_proxy_that_is_none_is_refused_with_words(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ConfigError, match="environment") as caught:
        SyncHttp("http://provider.example", 1, SYSTEM_CLOCK)
    assert "secret" not in str(caught.value)


def test_a_proxy_without_a_scheme_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    assert Route("http://provider.example").first == ("proxy.example", 3128)
    monkeypatch.setenv("http_proxy", "https://proxy.example")
    assert Route("http://provider.example").first == ("proxy.example", 443)


def test_silent_addresses_have_one_end_together(
    silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, *[silent] * 4)
    began = SYSTEM_CLOCK.now()
    assert asyncio.run(lost("http://provider.example", seconds=0.4)) == "timeout"
    assert SYSTEM_CLOCK.now() - began < 0.4 * 3  # each with the whole of it: 1.6 s


def test_a_name_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch)
    assert asyncio.run(lost("http://provider.example")) == "transport"


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def run() -> None:
        async with Loopback(in_turn(OK)) as server, Loopback(passing(server.port, heads)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:p%40ss@"))
            assert await ask("http://provider.example/base", times=2) == [b"yes"] * 2
            assert proxy.connections == 1
            await settled(200)

    asyncio.run(run())
    first = heads[0].split(b"\r\n")
    assert first[0] == b"POST http://provider.example/base/v1 HTTP/1.1"
    assert b"proxy-authorization: Basic " + b64encode(b"me:p@ss") in first


def test_what_is_sent_to_a_proxy_that_speaks_tls_is_hidden(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def run() -> None:
        async with Loopback(in_turn(OK)) as server:
            talk = passing(server.port, heads)
            async with Loopback(talk, context=trusted) as proxy:
                monkeypatch.setenv("http_proxy", f"https://{NAMED}:{proxy.port}")
                assert await ask("http://provider.example", times=2) == [b"yes"] * 2
                await settled(200)

    asyncio.run(run())
    assert heads[0].startswith(b"POST http://provider.example/v1 HTTP/1.1")


def test_tls_goes_through_a_tunnel(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def run() -> list[bytes]:
        async with Loopback(in_turn(OK), context=trusted) as server:
            async with Loopback(passing(server.port, heads)) as proxy:
                monkeypatch.setenv("https_proxy", f"http://me:you@{NAMED}:{proxy.port}")
                assert await ask(f"https://{NAMED}:4433/base", times=2) == [b"yes"] * 2
                await settled(200)
            return server.requests

    first, _ = asyncio.run(run())
    assert first.startswith(b"POST /base/v1 HTTP/1.1\r\nhost: localhost:4433\r\n")
    assert b"proxy-authorization" not in first
    [head] = heads
    assert head.startswith(b"CONNECT localhost:4433 HTTP/1.1\r\nhost: localhost:4433\r\n")
    assert b"proxy-authorization: Basic " + b64encode(b"me:you") in head


def test_tls_within_tls_is_refused_with_words(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    del trusted
    monkeypatch.setenv("https_proxy", f"https://{NAMED}:4433")
    with pytest.raises(ConfigError, match="await the call"):
        asyncio.run(ask("https://provider.example"))


@pytest.mark.parametrize(
    "said", [b"407 Proxy Authentication Required\r\n\r\n", b"x" * (1 << 17), b"", b"200"]
)
def test_a_proxy_that_refuses_is_an_error(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + said)
        await writer.drain()

    async def run() -> None:
        async with Loopback(talk) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            assert await lost(f"https://{NAMED}:4433") == "transport"

    asyncio.run(run())


def test_a_proxy_that_stops_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 yes\r\n")
        await asyncio.Event().wait()

    async def run() -> None:
        async with Loopback(talk) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            assert await lost(f"https://{NAMED}:4433", seconds=0.3) == "timeout"

    asyncio.run(run())


def test_a_server_that_never_shakes_hands_is_left_in_time(trusted: ssl.SSLContext) -> None:
    del trusted

    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        async with Loopback(talk) as server:
            assert await lost(f"https://{NAMED}:{server.port}", seconds=0.3) == "timeout"

    asyncio.run(run())
