"""The engine kit: what every provider engine does, over a real wire. Subclass and give `make`."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from email.utils import formatdate
from typing import Any

import pytest
from dspy import lm15

from ..engine import DEADLINE, EnginePair
from .engine_essence import ESSENCE, STATES, essence, full_request, shape_of
from .faults import FaultServer

__all__ = ["KEY", "PLAIN", "EngineKit", "every_way"]

KEY = "sk-kit-0123456789abcdef"
_PROMPT = "My secret diary says that the treasure lies under the old oak."
ASK = lm15.Request("m-1", (lm15.Message.user(_PROMPT),), config=lm15.Config(max_tokens=50))
PLAIN = lm15.Response(
    "id-1",
    "m-1",
    lm15.Message.assistant("Paris is the capital of France."),
    "stop",
    lm15.Usage(11, 7, cache_read_tokens=3),
    provider_data={"service_tier": "standard"},
)
_TIMEOUT = 20.0  # seconds; for tests that do not wait for it
_SHORT = 0.15  # for tests that do
_PATIENCE = 6.0  # a busy machine is late, but not by this much

_FAULTS = {
    "400": lm15.InvalidRequestError,
    "429": lm15.RateLimitError,
    "429-after": lm15.RateLimitError,
    "500": lm15.ServerError,
    "529": lm15.ServerError,
    "reset": lm15.TransportError,
    "truncated": lm15.TransportError,
    "bad-json": lm15.ServerError,
    "html": lm15.ServerError,
    "empty": lm15.ServerError,
    "unfinished": lm15.TransportError,
    "stream-error": lm15.ServerError,
}
Outcome = Any  # a response or the error


def every_way(pair: EnginePair, request: lm15.Request = ASK) -> list[Outcome]:
    """What comes of a request completed, streamed, and both in tasks: responses or errors."""

    def tried(way: Callable[[], Any]) -> Outcome:
        try:
            return way()
        except lm15.LM15Error as error:
            return error

    def streamed() -> Any:
        return lm15.materialize_response(pair.sync.stream(request), request)

    async def tasks() -> list[Outcome]:
        engine: Any = pair.asynchronous
        found: list[Outcome] = []
        for way in (lambda: engine.complete(request), lambda: _assembled(engine, request)):
            try:
                found.append(await way())
            except lm15.LM15Error as error:
                found.append(error)
        await engine.aclose()
        return found

    return [tried(lambda: pair.sync.complete(request)), tried(streamed), *asyncio.run(tasks())]


async def _assembled(engine: Any, request: lm15.Request) -> Any:
    events = [event async for event in engine.stream(request)]
    return lm15.materialize_response(iter(events), request)


class EngineKit:
    """Override `make` to give the engines for the server at `url`, with the key `KEY`.

    `ends_heads` is whether the synchronous engine bounds the wait for a head that drips.
    """

    wire = "openai-chat"
    ends_heads = True

    def make(self, url: str, **settings: Any) -> EnginePair:
        raise NotImplementedError("give the engines for the server at this address")

    @pytest.fixture
    def made(self) -> Iterator[Callable[..., tuple[FaultServer, EnginePair]]]:
        """Starts servers with engines at them; all are closed at the end."""
        opened: list[Any] = []

        def start(
            answer: Any = PLAIN, timeout: float = _TIMEOUT, **faults: Any
        ) -> tuple[FaultServer, EnginePair]:
            server = FaultServer(answer, **faults).__enter__()
            pair = self.make(server.url, timeout=timeout)
            opened.append((server, pair.sync))
            return server, pair

        yield start
        for server, engine in opened:
            engine.close()
            server.__exit__(None, None, None)

    def test_a_text_comes_back_the_same_in_all_four_ways(self, made: Any) -> None:
        server, pair = made()
        assert every_way(pair) == [PLAIN] * 4
        assert [each.body.get("stream", False) for each in server.seen] == [False, True] * 2

    @pytest.mark.parametrize("finish", ["stop", "length", "tool_call"])
    def test_tool_calls_thinking_and_citations_come_back(self, made: Any, finish: str) -> None:
        said = self.rich(finish)
        _, pair = made(said)
        assert every_way(pair) == [said] * 4

    def rich(self, finish: str) -> lm15.Response:
        """A response with every kind of part that this wire can tell."""
        kept = (lm15.ContinuationState(*STATES[self.wire]),) if self.wire in STATES else ()
        parts: list[Any] = [
            lm15.ThinkingPart("Let me look at the weather first.", kept),
            lm15.TextPart("I look. \u00e4\u4e2d\U0001f600"),
            lm15.CitationPart(url="http://a.example/1", title="A page"),
        ]
        if finish == "tool_call":
            parts.append(
                lm15.ToolCallPart("c1", "weather", {"city": "Z\u00fcrich", "days": [1, 2]})
            )
            parts.append(lm15.ToolCallPart("c2", "time", {}))
        usage = lm15.Usage(20, 30, 50, cache_read_tokens=5, reasoning_tokens=9)
        message = lm15.Message("assistant", tuple(parts))
        return lm15.Response("id-2", "m-1", message, finish, usage)

    def test_usage_that_is_not_reported_is_none(self, made: Any) -> None:
        bare = lm15.Response("1", "m-1", PLAIN.message, "stop", lm15.Usage())
        _, pair = made(bare)
        whole = [every_way(pair)[0], every_way(pair)[2]]
        assert [r.usage for r in whole] == [lm15.Usage()] * 2

    def test_an_unknown_model_in_the_answer_is_told(self, made: Any) -> None:
        _, pair = made(lm15.Response("1", "m-2", PLAIN.message, "stop", lm15.Usage(1, 1)))
        assert [r.model for r in every_way(pair)] == ["m-2"] * 4

    def test_roles_images_tools_and_results_reach_the_wire(self, made: Any) -> None:
        server, pair = made()
        pair.sync.complete(full_request())
        assert essence(server.seen[0].body, self.wire) == ESSENCE

    def test_a_schema_reaches_the_wire(self, made: Any) -> None:
        schema = {"type": "object", "properties": {}, "additionalProperties": False}
        wanted = {"type": "json_schema", "schema": schema, "name": "thing", "strict": True}
        server, pair = made()
        pair.sync.complete(
            lm15.Request("m-1", ASK.messages, config=lm15.Config(response_format=wanted))
        )
        assert shape_of(server.seen[0].body, self.wire) == wanted

    @pytest.mark.parametrize("fault", _FAULTS)
    def test_a_fault_is_one_error_of_one_attempt(self, made: Any, fault: str) -> None:
        server, pair = made(script=[fault])
        found = every_way(pair)
        assert [type(error) for error in found] == [_FAULTS[fault]] * 4
        assert server.counts == {fault: 4}
        status = int(fault[:3]) if fault[:3].isdigit() else None
        assert [error.status for error in found] == [status] * 4
        assert status is None or [error.request_id for error in found] == ["req-1"] * 4

    @pytest.mark.parametrize("said", ["3", "2.5", "date", "soon"])
    def test_retry_after_is_seconds_however_it_is_said(self, made: Any, said: str) -> None:
        header = formatdate(time.time() + 100, usegmt=True) if said == "date" else said
        _, pair = made(script=["429-after"], retry_after=header)
        waits = [error.retry_after for error in every_way(pair)]
        if said == "date":
            assert all(60 < wait <= 100 for wait in waits)
        else:
            assert waits == [None if said == "soon" else float(said)] * 4

    @pytest.mark.parametrize("fault", ["hang", "drip", "drip-head"])
    def test_no_wait_outlasts_the_timeout(self, made: Any, fault: str) -> None:
        server, pair = made(script=["ok", "ok", "ok", "ok", fault], pace=0.02)
        every_way(pair)  # what an SDK makes at its first call is not what is measured
        if fault == "drip-head" and not self.ends_heads:
            pytest.skip("the SDK bounds each read of a head, not the head")
        short: Any = self.make(server.url, timeout=_SHORT)
        began = time.monotonic()
        found = every_way(short)
        assert [type(error) for error in found] == [lm15.TimeoutError] * 4
        assert time.monotonic() - began < 4 * _SHORT + _PATIENCE
        short.sync.close()

    def test_no_wait_outlasts_the_deadline_not_even_a_stream_that_goes_on(self, made: Any) -> None:
        server, pair = made(script=["ok", "ok", "ok", "ok", "slow"], pace=0.05)
        every_way(pair)
        began = time.monotonic()
        token = DEADLINE.set(began + 0.2)
        try:
            with pytest.raises(lm15.TimeoutError):
                list(pair.sync.stream(ASK))
        finally:
            DEADLINE.reset(token)
        assert time.monotonic() - began < _PATIENCE
        assert server.counts["slow"] == 1

    def test_a_cancelled_task_closes_its_connection(self, made: Any) -> None:
        server, pair = made(script=["hang"])

        async def cancelled() -> None:
            engine: Any = pair.asynchronous
            task = asyncio.ensure_future(engine.complete(ASK))
            async with asyncio.timeout(_PATIENCE):
                while not server.seen:
                    await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.left.acquire, timeout=_PATIENCE)
            await engine.aclose()

        asyncio.run(cancelled())
        assert server.gone == 1

    def test_a_stream_that_is_closed_closes_its_connection(self, made: Any) -> None:
        server, pair = made(script=["slow"], pace=0.25)  # seconds go by until its end
        with closing(pair.sync.stream(ASK)) as events:
            assert next(events).type == "start"

        async def twin() -> None:
            engine: Any = pair.asynchronous
            async with aclosing(engine.stream(ASK)) as events:
                assert (await anext(events)).type == "start"
            await asyncio.to_thread(server.left.acquire, timeout=_PATIENCE)
            await engine.aclose()

        asyncio.run(twin())
        assert server.left.acquire(timeout=_PATIENCE)

    def test_calls_in_a_row_share_a_connection(self, made: Any) -> None:
        server, pair = made()
        for _ in range(4):
            pair.sync.complete(ASK)
            list(pair.sync.stream(ASK))
        assert len(server.seen) == 8
        assert server.connections <= self.most_connections

    most_connections = 1

    def test_a_connection_that_died_while_idle_is_not_used(self, made: Any) -> None:
        server, pair = made(script=["ok", "truncated", "ok"])
        assert pair.sync.complete(ASK) == PLAIN
        with pytest.raises(lm15.TransportError):
            pair.sync.complete(ASK)
        assert pair.sync.complete(ASK) == PLAIN
        assert len(server.seen) == 3

    def test_many_at_once_get_each_their_own_answer(self, made: Any) -> None:
        server, pair = made(_Echo())

        def request(number: int) -> lm15.Request:
            return lm15.Request("m", (lm15.Message.user(f"n{number}"),), config=ASK.config)

        found: dict[int, Any] = {}

        def one(number: int) -> None:
            found[number] = pair.sync.complete(request(number)).text

        threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def tasks() -> list[Any]:
            engine: Any = pair.asynchronous
            answers = await asyncio.gather(*[engine.complete(request(n)) for n in range(32)])
            await engine.aclose()
            return [answer.text for answer in answers]

        assert found == {number: f"n{number}" for number in range(16)}
        assert asyncio.run(tasks()) == [f"n{number}" for number in range(32)]
        assert len(server.seen) == 48

    @pytest.mark.parametrize("fault", ["400", "bad-json", "hang"])
    def test_no_error_and_no_repr_tells_key_or_prompt(self, made: Any, fault: str) -> None:
        server, _ = made(_Blabbing() if fault == "400" else PLAIN, script=[fault])
        short: Any = self.make(server.url, timeout=_SHORT)
        for error in every_way(short):
            chain, told = error, ""
            while chain is not None:
                told += f"{chain!s} {chain!r} {vars(chain)}"
                chain = chain.__cause__ or chain.__context__
            assert KEY not in told
            assert "treasure" not in told
        for engine in (short.sync, short.asynchronous):
            assert KEY not in f"{engine!r} {engine.dump_state()} {pickle.dumps(engine)!r}"
        short.sync.close()

    def test_an_engine_is_itself_however_it_is_copied(self, made: Any) -> None:
        _, pair = made()
        for engine in (pair.sync, pair.asynchronous):
            assert copy.deepcopy(engine) is engine
            assert copy.copy(engine) is engine

    def test_a_saved_engine_answers_with_the_key_of_the_environment(
        self, made: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, pair = made()
        monkeypatch.setenv(pair.sync.dump_state()["key_env"], KEY)
        again = type(pair.sync).load_state(pair.sync.dump_state())
        pickled = pickle.loads(pickle.dumps(pair.sync))  # noqa: S301 (its own)
        assert again.complete(ASK) == pickled.complete(ASK) == PLAIN
        assert repr(again) == repr(pair.sync)
        for seen in server.seen:
            assert KEY in (seen.headers.get("x-api-key") or seen.headers["authorization"])
        again.close()
        pickled.close()


class _Echo:
    def complete(self, request: lm15.Request) -> lm15.Response:
        said = lm15.Message.assistant(request.messages[-1].text or "")
        return lm15.Response("1", request.model, said, "stop", lm15.Usage(1, 1))

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))


class _Blabbing(_Echo):
    """A provider whose error repeats the prompt and the key."""

    def complete(self, request: lm15.Request) -> lm15.Response:
        said = request.messages[-1].text
        raise lm15.InvalidRequestError(f"cannot read {said!r} of {KEY}", status=400)
