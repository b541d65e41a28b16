"""Answers as the lean client reads them: every form, every cut, every excess."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from tests.runtime.engines.loopback import OK, Loopback, Talk, asked, client, in_turn, settled
from tests.runtime.engines.loopback import with_length as sized

from compilm.clock import SYSTEM_CLOCK
from compilm.runtime.engines import lean_parsing
from compilm.runtime.engines.lean_http import Exchange, SyncHttp
from compilm.runtime.engines.lean_tasks import AsyncHttp
from compilm.runtime.engines.wire import WireFailure

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BIG = bytes(range(256)) * 4096  # 1 MB
FORMS: dict[str, tuple[bytes, bytes, bool]] = {  # what comes, its body, may the connection go on
    "length": (OK, b"yes", True),
    "no body": (sized(b""), b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "chunked": (CHUNKED + b"2\r\nye\r\n1\r\ns\r\n0\r\n\r\n", b"yes", True),
    "chunk extensions": (CHUNKED + b'2;a=b\r\nye\r\n1;c="d;e"\r\ns\r\n0\r\n\r\n', b"yes", True),
    "trailers": (CHUNKED + b"3\r\nyes\r\n0\r\nx-sum: 7\r\n\r\n", b"yes", True),
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"yes", True),
    "103 before": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, b"yes", True),
    "no reason": (sized(b"yes", status=b"200"), b"yes", True),
    "close": (sized(b"yes", b"connection: close\r\n"), b"yes", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nyes", b"yes", False),
    "a megabyte": (sized(BIG), BIG, True),
    "a megabyte in chunks": (
        CHUNKED + b"".join(b"8000\r\n%b\r\n" % BIG[n : n + 32768] for n in range(0, 1 << 20, 32768))
        + b"0\r\n\r\n",
        BIG,
        True,
    ),
}  # fmt: skip


async def whole(http: AsyncHttp, body: bytes = b"{}") -> tuple[int, bytes]:
    answer = await http.post(http.head("/v1", {"accept": "a/b"}), body)
    return answer.status, answer.data


async def streamed(http: AsyncHttp, body: bytes = b"{}") -> tuple[int, bytes]:
    async with http.streamed(http.head("/v1", {"accept": "a/b"}), body) as exchange:
        return exchange.status, await exchange.read()


_THREADS: WeakKeyDictionary[AsyncHttp, SyncHttp] = WeakKeyDictionary()


async def in_thread(
    http: AsyncHttp, body: bytes, read: Callable[[Exchange], bytes]
) -> tuple[int, bytes]:
    """Ask the same address by the client's half for threads."""
    if http not in _THREADS:
        _THREADS[http] = SyncHttp(http._route.to.geturl(), 4, SYSTEM_CLOCK)
    sync = _THREADS[http]

    def ask() -> tuple[int, bytes]:
        head, end = sync.head("/v1", {"accept": "a/b"}), SYSTEM_CLOCK.now() + 20
        with sync.post(head, body, end) as exchange:
            return exchange.status, read(exchange)

    return await asyncio.to_thread(ask)


async def threaded(http: AsyncHttp, body: bytes = b"{}") -> tuple[int, bytes]:
    return await in_thread(http, body, Exchange.read)


async def threaded_stream(http: AsyncHttp, body: bytes = b"{}") -> tuple[int, bytes]:
    return await in_thread(http, body, lambda exchange: b"".join(exchange.chunks()))


ways = pytest.mark.parametrize("way", [whole, streamed, threaded, threaded_stream])


@ways
@pytest.mark.parametrize("packets", ["one", "many"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_answer_is_read_to_its_end(form: str, packets: str, way: Any) -> None:
    raw, body, goes_on = FORMS[form]
    step = 1 if len(raw) < 1000 else 4099
    pieces = [raw] if packets == "one" else [raw[n : n + step] for n in range(0, len(raw), step)]

    async def run() -> None:
        async with Loopback(in_turn(pieces)) as server, client(server.url) as http:
            for _ in range(2):
                assert await way(http) == (204 if form == "204" else 200, body)
            assert server.connections == (1 if goes_on else 2)

    asyncio.run(run())


def test_what_follows_a_body_is_no_header() -> None:
    raw = CHUNKED + b"3\r\nyes\r\n0\r\nretry-after: 99\r\n\r\n"

    async def run() -> None:
        async with Loopback(in_turn([raw])) as server, client(server.url) as http:
            answer = await http.post(http.head("/v1", {}), b"{}")
            assert answer.headers == {"transfer-encoding": "chunked"}

    asyncio.run(run())


@ways
def test_a_body_without_a_length_ends_with_the_connection(way: Any) -> None:
    async def run() -> None:
        talk = in_turn([b"HTTP/1.1 200 OK\r\n\r\nye", b"s"], close_after=1)
        async with Loopback(talk) as server, client(server.url) as http:
            assert [await way(http) for _ in range(2)] == [(200, b"yes")] * 2
            assert server.connections == 2

    asyncio.run(run())


@ways
def test_a_request_is_one_head_and_one_body_of_its_length(way: Any) -> None:
    async def run() -> None:
        async with Loopback(in_turn(OK)) as server, client(f"{server.url}/base/") as http:
            await way(http, BIG)
            host = f"127.0.0.1:{server.port}".encode()
            head = b"POST /base/v1 HTTP/1.1\r\nhost: %b\r\naccept: a/b\r\n" % host
            assert server.requests == [head + b"content-length: 1048576\r\n\r\n" + BIG]

    asyncio.run(run())


CUTS = {
    "nothing": (b"", "Unanswered"),
    "in the head": (b"HTTP/1.1 200 OK\r\ncont", "CutShort"),
    "after the head": (sized(b"yes")[:-3], "CutShort"),
    "in the body": (sized(b"yes")[:-1], "CutShort"),
    "between chunks": (CHUNKED + b"2\r\nye\r\n", "CutShort"),
    "in the last chunk": (CHUNKED + b"3\r\nyes\r\n0\r\n", "CutShort"),
}
WRONG = {
    "not HTTP": b"SSH-2.0-OpenSSH\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nyes!",
    "length and chunks": CHUNKED[:-2] + b"content-length: 3\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
    "a bad length": b"HTTP/1.1 200 OK\r\ncontent-length: three\r\n\r\nyes",
    "a bad chunk": CHUNKED + b"zz\r\nyes\r\n0\r\n\r\n",
    "a switch": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "a line that is no header": b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20000,
    "endless hints": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3000,
}


async def failed(way: Any, talk: Talk) -> WireFailure:
    """The failure of a call; the connection is closed, the next call is served by another."""
    async with Loopback(talk) as server, client(server.url, most=1) as http:
        with pytest.raises(WireFailure) as caught:
            await way(http)
        assert await way(http) == (200, b"yes")
        assert server.connections == 2
    return caught.value


def once(answer: bytes) -> Talk:
    """The first connection gets this and its end, the others are served."""

    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        if server.connections > 1:
            await in_turn(OK)(server, reader, writer)
        await asked(reader)
        writer.write(answer)
        await writer.drain()

    return talk


@ways
@pytest.mark.parametrize("cut", CUTS)
def test_an_answer_that_is_cut_short_is_none(cut: str, way: Any) -> None:
    failure = asyncio.run(failed(way, once(CUTS[cut][0])))
    assert (failure.kind, failure.note) == ("transport", CUTS[cut][1])


@ways
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_http_is_told_so(wrong: str, way: Any) -> None:
    failure = asyncio.run(failed(way, once(WRONG[wrong])))
    assert failure.kind == "malformed"


@ways
@pytest.mark.parametrize("raw", [OK, CHUNKED + b"3\r\nyes\r\n0\r\n\r\n"])
def test_a_body_has_a_bound(raw: bytes, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_parsing, "WHOLE", 2)

    async def run() -> None:
        async with Loopback(in_turn(raw)) as server, client(server.url) as http:
            with pytest.raises(WireFailure) as caught:
                await way(http)
            assert (caught.value.kind, caught.value.note) == ("malformed", "its body is too long")
            await server.left()

    asyncio.run(run())


@ways
@pytest.mark.parametrize("junk", [b"\x00\x01junk", OK, b"HTTP/1.1 200"])
@pytest.mark.parametrize("apart", [False, True])
def test_what_follows_an_answer_is_not_the_next_one(junk: bytes, apart: bool, way: Any) -> None:
    first = sized(b"first")

    async def run() -> None:
        async def talk(server: Loopback, reader: Any, writer: Any) -> None:
            await asked(reader)
            if server.connections > 1:
                writer.write(sized(b"second"))
            elif apart:
                writer.write(first)
                await settled(20)
                writer.write(junk)
            else:
                writer.write(first + junk)
            await asked(reader)

        async with Loopback(talk) as server, client(server.url) as http:
            assert await way(http) == (200, b"first")
            await settled()
            assert await way(http) == (200, b"second")
            assert server.connections == 2

    asyncio.run(run())


def test_a_server_waits_for_a_reader_that_is_slow() -> None:
    piece, pieces = b"x" * 65536, 500  # 32 MB: more than sockets hold
    sent = 0

    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        nonlocal sent
        while True:
            await asked(reader)
            size = len(piece) * pieces
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            for _ in range(pieces):
                writer.write(piece)
                await writer.drain()
                sent += 1

    async def run() -> None:
        async with Loopback(talk) as server, client(server.url) as http:
            async with http.streamed(http.head("/", {}), b"") as exchange:
                chunks = exchange.chunks()
                size = len(await anext(chunks))
                before = -1
                while before != sent:
                    before = sent
                    await settled(500)
                assert sent < pieces / 2
                async for chunk in chunks:
                    size += len(chunk)
            assert size == len(piece) * pieces
            async with http.streamed(http.head("/", {}), b"") as exchange:
                await anext(exchange.chunks())
                await settled(500)  # it waits for us, and we leave
            await server.left()

    asyncio.run(run())


def test_events_arrive_one_by_one() -> None:
    async def talk(server: Loopback, reader: Any, writer: Any) -> None:
        await asked(reader)
        writer.write(CHUNKED)
        for number in range(3):
            await heard.acquire()
            writer.write(b"2\r\n%d\n\r\n" % number)
        await heard.acquire()
        writer.write(b"0\r\n\r\n")
        await asked(reader)

    async def run() -> list[bytes]:
        nonlocal heard
        heard = asyncio.Semaphore(1)
        found = []
        async with (
            Loopback(talk) as server,
            client(server.url) as http,
            http.streamed(http.head("/", {}), b"") as exchange,
        ):
            async for chunk in exchange.chunks():
                found.append(chunk)
                heard.release()
        return found

    heard: asyncio.Semaphore
    assert asyncio.run(run()) == [b"0\n", b"1\n", b"2\n"]
