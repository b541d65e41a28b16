"""The look-ups of a traced program: each a span, and in a replay what was found then."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from tests.runtime.tracing.desk import Kept

from compilm.errors import CallFailed
from compilm.retrieval import Bm25, Passage, Retrieve
from compilm.runtime.load import load
from compilm.runtime.tracing.names import attributes_of, name_of
from compilm.runtime.tracing.replay import Replay
from compilm.testing.engines import scripted_lm


class Looking(dspy.Module):
    """Looks up, and answers."""

    def __init__(self, retriever: Any = None) -> None:
        super().__init__()
        self.look = Retrieve(
            index() if retriever is None else retriever, k=1, where={"plan": "gold"}
        )
        self.ask = dspy.Predict("context, question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        context = self.look(query=question).context
        return dspy.Prediction(
            answer=f"{self.ask(context=context, question=question).answer} {context}"
        )

    async def aforward(self, question: str) -> dspy.Prediction:
        context = (await self.look.acall(query=question)).context
        answer = (await self.ask.acall(context=context, question=question)).answer
        return dspy.Prediction(answer=f"{answer} {context}")


class Broken(Bm25):
    """Fails when it is asked."""

    def search(self, *asked: Any, **more: Any) -> Any:
        raise OSError("gone")


def index() -> Bm25:
    made = Bm25()
    made.add([Passage("a", "Appeals take 30 days.", {"plan": "gold"})])
    return made


def kept(program: Any = Looking, **settings: Any) -> Kept:
    return Kept(program, scripted_lm([{"answer": "So:"}]), **settings)


@pytest.mark.parametrize("in_task", [False, True])
def test_a_look_up_is_a_span_with_what_was_asked_and_found(in_task: bool) -> None:
    one = kept()
    if in_task:
        asyncio.run(one.runtime.acall(question="appeals?"))
    else:
        one.runtime(question="appeals?")
    trace = one.trace()
    (span,) = [each for each in trace.spans if each.kind == "retrieval"]
    asked = {"query": "appeals?", "k": 1, "where": {"plan": "gold"}}
    assert span.texts["inputs"] == asked
    assert [each["id"] for each in span.texts["outputs"]] == ["a"]
    assert (span.error, name_of(span)) == (None, "retrieval Bm25")
    assert attributes_of(trace, span)["gen_ai.operation.name"] == "retrieval"


def test_where_only_numbers_are_kept_no_text_is() -> None:
    one = kept(keeps="numbers")
    one.runtime(question="appeals?")
    (span,) = [each for each in one.trace().spans if each.kind == "retrieval"]
    assert not span.texts


def test_a_look_up_that_fails_is_told_with_its_kind_and_fails_the_call() -> None:
    one = kept(lambda: Looking(Broken()))
    with pytest.raises(OSError, match="gone"):
        one.runtime(question="appeals?")
    trace = one.trace()
    (span,) = [each for each in trace.spans if each.kind == "retrieval"]
    assert span.error == "OSError"
    replay = Replay(trace)
    runtime = load(one.runtime.artifact, one.runtime.program, roles=replay.roles)
    with replay.offline(), pytest.raises(CallFailed, match="OSError"):
        runtime(**replay.inputs)


def test_a_replay_finds_what_was_found_though_the_index_has_changed() -> None:
    one = kept()
    first = one.runtime(question="appeals?").answer
    replay = Replay(one.trace())
    runtime = load(one.runtime.artifact, Looking(Broken()), roles=replay.roles)
    runtime.program.look.retriever.__class__ = type("Bm25", (Broken,), {})  # by the same name
    with replay.offline():
        assert runtime(**replay.inputs).answer == first
        assert replay.missing == 0
        with pytest.raises(CallFailed, match="not in the trace"):
            runtime.program.look(query="another")
    assert replay.missing == 1
