"""How the lean client in tasks reaches an address: names, several addresses, TLS, proxies."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from typing import Any

import pytest
from tests.runtime.engines.loopback import NAMED, OK, Loopback, client, in_turn, passing, settled

from compilm.runtime.engines import lean_dial
from compilm.runtime.engines.lean_dial import first_of
from compilm.runtime.engines.lean_tasks import AsyncHttp
from compilm.runtime.engines.wire import WireFailure


async def call(http: AsyncHttp) -> bytes:
    return (await http.post(http.head("/v1", {}), b"{}")).data


async def lost(http: AsyncHttp) -> str:
    with pytest.raises(WireFailure) as caught:
        await call(http)
    assert caught.value.kind == "transport"
    return caught.value.note


def test_a_name_is_looked_up_once_for_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = socket.getaddrinfo

    def counted(host: Any, *args: Any, **named: Any) -> Any:
        looked.append(host)
        return real(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", counted)

    async def run() -> None:
        async with Loopback(in_turn(OK)) as server:
            looked.clear()
            async with client(f"http://{NAMED}:{server.port}") as http:
                assert await asyncio.gather(*(call(http) for _ in range(8))) == [b"yes"] * 8
            assert server.connections == 8
            assert looked == [NAMED]

    asyncio.run(run())


def test_a_name_that_is_none_is_told_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, answers = socket.getaddrinfo, [socket.gaierror(-2, "not known")]

    def fails_once(host: Any, *args: Any, **named: Any) -> Any:
        if host == NAMED and answers:
            raise answers.pop()
        return real(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", fails_once)

    async def run() -> None:
        async with Loopback(in_turn(OK)) as server:
            async with client(f"http://{NAMED}:{server.port}") as http:
                assert await lost(http) == "gaierror"
                assert await call(http) == b"yes"
            async with client(f"http://{'a' * 70}.example:{server.port}") as http:
                assert await lost(http) in {"OSError", "gaierror"}

    asyncio.run(run())


@pytest.mark.parametrize("stagger", [0.0, 30.0])
def test_the_first_address_that_answers_is_taken(stagger: float) -> None:
    async def run() -> None:
        async with Loopback(in_turn(OK)) as dead:
            pass
        async with Loopback(in_turn(OK)) as server:
            addresses = [(socket.AF_INET, ("127.0.0.1", port)) for port in (dead.port, server.port)]
            for turned in (addresses, addresses[::-1], [addresses[1]] * 3):
                won = await first_of(turned, stagger)
                assert won.getpeername()[1] == server.port
                won.close()
            with pytest.raises(ConnectionRefusedError):
                await first_of([addresses[0]] * 2, stagger)
            with pytest.raises(OSError, match="no address"):
                await first_of([], stagger)

    asyncio.run(run())


def test_an_address_that_does_not_answer_is_not_waited_for() -> None:
    """A listener whose queue is full lets nobody in, and says nothing."""

    async def run() -> None:
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        async with Loopback(in_turn(OK)) as server:
            mute = (socket.AF_INET, full.getsockname())
            won = await first_of([mute, (socket.AF_INET, ("127.0.0.1", server.port))], 0.01)
            assert won.getpeername()[1] == server.port
            won.close()
            task = asyncio.ensure_future(first_of([mute, mute], 0.0))
            await settled()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for each in (full, *waiting):
            each.close()

    asyncio.run(run())


def test_tls_names_the_host_and_speaks_http_1(trusted: ssl.SSLContext) -> None:
    names: list[Any] = []
    trusted.sni_callback = lambda _, name, __: names.append(name)
    spoken: list[Any] = []

    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await in_turn(OK)(server, reader, writer)

    async def run() -> None:
        async with Loopback(talk, context=trusted) as server:
            async with client(f"https://{NAMED}:{server.port}") as http:
                for _ in range(3):
                    assert await call(http) == b"yes"
                assert (names, spoken, server.connections) == ([NAMED], ["http/1.1"], 1)
            async with client(server.url) as http:  # a number is not in the certificate
                assert await lost(http) == "SSLCertVerificationError"

    asyncio.run(run())


def test_a_certificate_of_nobody_is_refused(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")

    async def run() -> None:
        async with (
            Loopback(in_turn(OK), context=trusted) as server,
            client(f"https://{NAMED}:{server.port}") as http,
        ):
            assert await lost(http) == "SSLCertVerificationError"

    asyncio.run(run())


def test_a_handshake_that_is_cancelled_or_cut_leaves_nothing(trusted: ssl.SSLContext) -> None:
    async def mute(server: Loopback, reader: Any, writer: Any) -> None:
        if server.connections == 1:
            await reader.read(1)
            return
        met.set()
        while await reader.read(1 << 16):
            pass
        server.ended.release()

    met: asyncio.Event

    async def run() -> None:
        nonlocal met
        met = asyncio.Event()
        async with (
            Loopback(mute) as server,
            client(f"https://{NAMED}:{server.port}", most=1) as http,
        ):
            assert await lost(http)
            task = asyncio.ensure_future(call(http))
            await met.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.left()

    asyncio.run(run())


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def run() -> None:
        async with Loopback(in_turn(OK)) as server, Loopback(passing(server.port, heads)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:p%40ss@"))
            async with client("http://provider.example/base") as http:
                assert [await call(http) for _ in range(2)] == [b"yes"] * 2
            assert (proxy.connections, len(server.requests)) == (1, 2)
            first = heads[0].split(b"\r\n")
            assert first[:2] == [
                b"POST http://provider.example/base/v1 HTTP/1.1",
                b"host: provider.example",
            ]
            assert b"proxy-authorization: Basic " + b64encode(b"me:p@ss") in first
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with client(server.url) as http:
                assert await call(http) == b"yes"
            assert proxy.connections == 1

    asyncio.run(run())


@pytest.mark.parametrize("secured", [False, True])
def test_tls_goes_through_a_tunnel(
    trusted: ssl.SSLContext, secured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def run() -> None:
        async with Loopback(in_turn(OK), context=trusted) as server:
            talk = passing(server.port, heads)
            async with Loopback(talk, context=trusted if secured else None) as proxy:
                scheme = "https" if secured else "http"
                monkeypatch.setenv("https_proxy", f"{scheme}://me:you@{NAMED}:{proxy.port}")
                async with client(f"https://{NAMED}:4433/base") as http:
                    assert [await call(http) for _ in range(2)] == [b"yes"] * 2
                await settled(200)
        assert len(server.requests) == 2
        assert server.requests[0].startswith(b"POST /base/v1 HTTP/1.1\r\nhost: localhost:4433\r\n")
        assert b"proxy-authorization" not in server.requests[0]
        [head] = heads
        assert head.startswith(b"CONNECT localhost:4433 HTTP/1.1\r\nhost: localhost:4433\r\n")
        assert b"proxy-authorization: Basic " + b64encode(b"me:you") in head

    asyncio.run(run())


@pytest.mark.parametrize(
    "said", [b"407 Proxy Authentication Required", b"x" * (1 << 17), b"", b"200"]
)
def test_a_proxy_that_refuses_is_an_error(
    trusted: ssl.SSLContext, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + said + (b"\r\n\r\n" if len(said) < 100 and said else b""))
        await writer.drain()

    async def run() -> None:
        async with Loopback(talk) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            async with client(f"https://{NAMED}:4433", most=1) as http:
                for _ in range(2):
                    assert await lost(http)
                assert proxy.connections == 2

    asyncio.run(run())


def test_what_is_asked_of_a_loop_that_ends_is_not_asked_for_ever() -> None:
    assert lean_dial.spread([], 3) == []

    async def run() -> None:
        async with client(f"http://{NAMED}:9") as http:
            task = asyncio.ensure_future(call(http))
            await settled(3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
