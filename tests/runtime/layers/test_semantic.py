"""The semantic cache: a near question gets the answer that was kept, and nothing else does."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.runtime.layers.caching import CALL, WAYS, WHOLE, Answering, listed, sampled, ways

from compilm.clock import ManualClock
from compilm.config import RuntimeSettings
from compilm.engine import EnginePair, Layer, stack
from compilm.errors import UsageError
from compilm.runtime.caches import MemoryStore
from compilm.runtime.layers.billing import tenant
from compilm.runtime.layers.cache import Cache
from compilm.runtime.layers.ledger import Ledger
from compilm.runtime.layers.semantic import Semantic, near_of
from compilm.runtime.near import Embedding, Shelves
from compilm.runtime.stack import Stacks
from compilm.testing.engines import scripted_lm
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request

ASKED, NEAR, FAR = "What's the fee for 40 euros?", "Hi, what is THE fee for 40 euros", "Who is it?"


def semantic(**options: Any) -> Semantic:
    return Semantic(Shelves(), threshold=0.9, **options)


class TestSemantic(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return semantic()


class Failing:
    """An embedder that can do nothing, and counts."""

    name = "failing"
    calls = 0

    def embed(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        raise OSError(f"the network is gone, and {texts} with it")

    async def aembed(self, texts: Sequence[str]) -> Any:
        return self.embed(texts)


class TestSemanticWhoseEmbedderFails(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return semantic(embedder=Failing())


@ways
def test_whatever_way_it_was_asked_near_ones_get_it_by_every_way(way: Any) -> None:
    engine, layer = CountingEngine(), semantic()
    pair = layer(engine.pair)
    assert way(pair, request(ASKED)) == ASKED
    for each in WAYS:
        assert each(pair, request(NEAR)) == ASKED
    assert way(pair, request(FAR)) == FAR
    assert (engine.calls, layer.counts.hits, layer.counts.misses) == (2, 4, 2)
    assert layer.counts.writes == 2


def test_an_answer_says_that_it_was_near_and_cost_nothing() -> None:
    pair = semantic()(CountingEngine().pair)
    first, second = ask(pair, request(ASKED)), aask(pair, request(NEAR))
    assert (near_of(first), second.usage.total_tokens) == (None, 0)
    told = near_of(second)
    assert told is not None
    assert told["similarity"] > 0.999
    assert told["question"].startswith("sha256:")
    events = asyncio.run(listed(pair, request(NEAR)))
    assert near_of(events[-1]) == told


def test_the_ledger_counts_it_as_a_hit_and_the_exact_cache_does_not_keep_it() -> None:
    ledger, store = Ledger(), MemoryStore()
    engine = CountingEngine()
    pair = stack(engine.pair, ledger.calls("default", ["a/b"]), Cache(store), semantic())
    for text in (ASKED, NEAR, NEAR):
        ask(pair, request(text))
    total = ledger.book().total
    assert (total.calls, total.hits, engine.calls, len(store)) == (3, 2, 1, 1)


def test_a_near_question_in_another_frame_is_asked() -> None:
    shelves, engine = Shelves(), CountingEngine()
    whose: list[dict[str, Any]] = [{}, {"tenant": "t"}, {"artifact": "t"}, {"source": "t"}]
    whose.append({"embedder": Embedding("ones", lambda texts: [[1.0] * 512 for _ in texts])})
    demo = lm15.Message.user("a"), lm15.Message.assistant("b")
    frames = [lambda text: request(text), lambda text: request(text, max_tokens=5)]
    frames += [lambda text: replace(request(text), system="be brief")]
    frames += [lambda text: replace(request(text), model="kit/other")]
    frames += [lambda text: replace(request(text), messages=(*demo, lm15.Message.user(text)))]
    for text in (ASKED, NEAR):
        for each in whose:
            pair = Semantic(shelves, threshold=0.9, **each)(engine.pair)
            for frame in frames:
                for sample in ({}, {"rollout_id": 1}, {"rollout_id": 2}, {"index": 1}):
                    with sampled(**sample):
                        assert ask(pair, frame(text)).text == ASKED
    assert engine.calls == len(whose) * len(frames) * 4


def test_the_tenant_of_the_context_sees_its_own_answers_alone() -> None:
    engine = CountingEngine()
    pair = semantic()(engine.pair)
    for whose, text in (("acme", ASKED), ("other", NEAR), ("acme", NEAR)):
        with tenant(whose):
            ask(pair, request(text))
    assert engine.calls == 2


@ways
def test_a_fresh_or_unnamed_sample_is_asked_and_not_kept(way: Any) -> None:
    engine, layer = CountingEngine(), semantic()
    pair = layer(engine.pair)
    with sampled(is_fresh=True):
        way(pair, request(ASKED))
    way(pair, request(NEAR, temperature=1.0))
    assert (engine.calls, layer.counts.writes, layer.counts.hits) == (2, 0, 0)


TOOL = lm15.FunctionTool(name="look", parameters={"type": "object", "properties": {}})
IMAGE = lm15.Message.user(
    (lm15.TextPart(ASKED), lm15.ImagePart(data="aGk=", media_type="image/png"))
)


@pytest.mark.parametrize(
    "asked",
    [
        replace(request(ASKED), tools=(TOOL,)),
        replace(request(ASKED), messages=(IMAGE,)),
        replace(
            request(ASKED), messages=(IMAGE, lm15.Message.assistant("b"), lm15.Message.user(ASKED))
        ),
        replace(request(ASKED), messages=(lm15.Message.user(ASKED), lm15.Message.assistant("a"))),
        request("Was kostet das?"),
        request(ASKED + " again" * 200),
    ],
    ids=["tools", "image", "image before", "assistant last", "not English", "long"],
)
def test_where_nothing_may_be_near_it_is_asked_each_time(asked: Any) -> None:
    engine, layer = CountingEngine(lambda _: "an answer"), semantic()
    pair = layer(engine.pair)
    assert [ask(pair, asked).text, aask(pair, asked).text] == ["an answer"] * 2
    assert (engine.calls, layer.counts.apart, layer.counts.writes) == (2, 2, 0)


@pytest.mark.parametrize(
    "response",
    [
        replace(WHOLE, finish_reason="length"),
        replace(WHOLE, finish_reason="tool_call", message=lm15.Message.assistant((CALL,))),
        replace(WHOLE, message=lm15.Message.assistant((lm15.RefusalPart("no"),))),
        replace(WHOLE, message=lm15.Message.assistant((lm15.TextPart("y" * 70_000),))),
    ],
    ids=["cut off", "tool call", "refusal", "large"],
)
def test_what_is_not_worth_it_is_not_kept(response: Any) -> None:
    engine = Answering(response)
    pair = semantic()(engine.pair)
    assert [ask(pair, request(text)) for text in (ASKED, NEAR)] == [response] * 2
    assert engine.calls == 2


def test_an_answer_serves_until_its_time_is_over() -> None:
    clock, engine = ManualClock(), CountingEngine()
    layer = Semantic(Shelves(clock=clock), threshold=0.9, ttl=60.0, clock=clock)
    pair = layer(engine.pair)
    for seconds in (0.0, 59.0, 2.0):
        clock.advance(seconds)
        ask(pair, request(NEAR))
    assert engine.calls == 2


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        (ASKED.replace("40", "41"), "numbers"),
        ("What isn't the fee for 40 euros?", "negations"),
        ("What's the limit for 40 euros?", "words"),
    ],
)
def test_what_is_refused_is_counted_by_its_guard(text: str, guard: str) -> None:
    # By this embedder all questions are one: only guards can tell them apart.
    layer = semantic(embedder=Embedding("ones", lambda texts: [[1.0] for _ in texts]))
    engine = CountingEngine()
    pair = layer(engine.pair)
    assert [ask(pair, request(each)).text for each in (ASKED, text)] == [ASKED, text]
    assert (engine.calls, layer.counts.hits, layer.counts.refused) == (2, 0, {guard: 1})


def test_an_embedder_that_fails_is_left_alone_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, failing, engine = ManualClock(), Failing(), CountingEngine()
    layer = semantic(embedder=failing, clock=clock)
    pair = layer(engine.pair)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert ask(pair, request(ASKED)).text == aask(pair, request(ASKED)).text == ASKED
    assert (failing.calls, engine.calls, layer.counts.failures) == (1, 6, 6)
    assert [record.message for record in caplog.records] == [
        "the semantic cache fails (OSError), calls are made without it; this is said once"
    ]
    clock.advance(10.0)
    ask(pair, request(ASKED))
    assert failing.calls == 2


def test_a_slow_embedder_does_not_hold_up_the_event_loop() -> None:
    async def main() -> list[str]:
        free = asyncio.Event()

        async def embed(texts: list[str]) -> Any:
            await free.wait()
            return [[1.0] for _ in texts]

        pair = semantic(embedder=Embedding("slow", lambda _: None, embed))(CountingEngine().pair)
        waiting = asyncio.ensure_future(pair.asynchronous.complete(request(ASKED)))
        other = await pair.asynchronous.complete(request("x"))  # nothing to embed
        free.set()
        return [other.text, (await waiting).text]

    assert asyncio.run(main()) == ["x", ASKED]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="no cosine"):
        Semantic(Shelves(), threshold=threshold)


class Both(dspy.Signature):
    """Answer by the notes."""

    notes: str = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


FORMS = {
    "chat": (dspy.ChatAdapter(), lambda n: {"answer": str(n)}),
    "json": (dspy.JSONAdapter(), lambda n: json.dumps({"answer": str(n)})),
    "xml": (dspy.XMLAdapter(), lambda n: f"<answer>{n}</answer>"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_program_is_answered_where_each_input_is_near(form: str) -> None:
    adapter, said = FORMS[form]
    lm = scripted_lm([said(n) for n in range(9)])
    settings = RuntimeSettings(semantic={"threshold": 0.9}, cache="memory")
    stacked = Stacks(settings).over(lm)
    assert [name for name, _ in stacked.lines][:4] == ["cache", "deadline", "semantic", "coalesce"]

    def told(notes: str, question: str) -> str:
        return str(dspy.Predict(Both)(notes=notes, question=question).answer)

    with dspy.context(lm=stacked.lm, adapter=adapter):
        assert told("The fee is 4 euros.", ASKED) == "0"
        assert told("the fee is 4 euros", NEAR) == "0"
        assert told("The fee is 5 euros.", NEAR) == "1"
        assert told("A-17 " * 400, ASKED) == "2"  # too long to be near: it must be equal
        assert told("A-17 " * 400, NEAR) == "2"
        assert told("A-18 " * 400, NEAR) == "3"


def test_behind_the_exact_cache_streams_and_calls_mean_the_same_sample() -> None:
    engine = CountingEngine()
    pair: EnginePair = stack(engine.pair, Cache(MemoryStore()), semantic())
    for way, text in zip(
        WAYS, (ASKED, NEAR, "what's the fee for 40 euros", ASKED + "?"), strict=True
    ):
        with sampled():
            assert way(pair, request(text)) == ASKED
    assert engine.calls == 1
