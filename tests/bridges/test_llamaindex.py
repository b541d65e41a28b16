"""LlamaIndex's retrievers and query engines are ours, and our retrievers and models are its."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import dspy
from tests.bridges.needs import QUIET, needs
from tests.bridges.world import engine_of

import compilm
from compilm.bridges import llamaindex as bridge
from compilm.bridges.foreign import Text
from compilm.programs.predictors import applied, shape
from compilm.retrieval import Bm25, Passage, Retriever
from compilm.testing.engines import scripted_lm

core = needs("llama_index.core")
llms = needs("llama_index.core.llms")
schema = needs("llama_index.core.schema")
retrievers = needs("llama_index.core.retrievers")
engines = needs("llama_index.core.query_engine")

pytestmark = QUIET

PASSAGES = (
    Passage("a", "Appeals take 30 days.", {"year": 2026}),
    Passage("b", "A fax is fine.", {"year": 2020}),
)


def bm25() -> Bm25:
    index = Bm25()
    index.add(PASSAGES)
    return index


class Fixed(retrievers.BaseRetriever):  # type: ignore[misc, name-defined]
    """Finds the same for any query."""

    def _retrieve(self, query_bundle: Any) -> list[Any]:
        return [
            schema.NodeWithScore(
                node=schema.TextNode(id_=each.id, text=each.text, metadata=dict(each.metadata)),
                score=0.5,
            )
            for each in PASSAGES
        ]


def test_a_retriever_is_one_of_ours() -> None:
    ours = bridge.Retrieved(Fixed())
    assert isinstance(ours, Retriever)
    found = ours.search("appeal", where={"year": 2026})
    assert [(each.id, each.text, each.score) for each in found] == [("a", PASSAGES[0].text, 0.5)]
    assert [each.id for each in asyncio.run(ours.asearch("appeal", k=1))] == ["a"]


def test_our_retriever_is_one_of_its() -> None:
    theirs = bridge.retriever(bm25(), k=1)
    (found,) = theirs.retrieve("how long do appeals take?")
    assert (found.node.node_id, found.node.get_content()) == ("a", PASSAGES[0].text)
    assert found.score > 0
    (again,) = asyncio.run(theirs.aretrieve("may I send a fax?"))
    assert again.node.node_id == "b"


def build(*, answering: str, model: Any) -> Any:
    template = core.PromptTemplate(
        answering.format(context_str="{context_str}", query_str="{query_str}")
    )
    return engines.RetrieverQueryEngine.from_args(
        bridge.retriever(bm25(), k=1), llm=model, text_qa_template=template
    )


def asking(text: str = "Answer from this:\n{context_str}\nQuestion: {query_str}") -> Any:
    texts = {"answering": Text(text, "question -> answer")}
    return bridge.query_engine(build, texts=texts)


def test_a_query_engine_is_a_program_that_tells_what_it_found() -> None:
    lm = scripted_lm(["30 days"])
    with dspy.context(lm=lm):
        found = asking()(question="how long do appeals take?")
        later = asyncio.run(asking().acall(question="how long do appeals take?"))
    assert (found.answer, found.passages) == ("30 days", [PASSAGES[0].text])
    assert later.answer == "30 days"
    asked = engine_of(lm).requests[0].messages[-1].text
    assert asked.strip() == (
        "Answer from this:\nyear: 2026\n\nAppeals take 30 days.\n"
        "Question: how long do appeals take?"
    )


def test_passage_and_question_arrive_in_a_text_that_an_optimizer_wrote() -> None:
    """It has no places any more, so they are added to it."""
    program = asking()
    (state,) = shape(program)
    rewritten = applied(program, {state.path: replace(state, instructions="Answer briefly.")})
    lm = scripted_lm(["30 days"])
    with dspy.context(lm=lm):
        rewritten(question="how long do appeals take?")
    asked = engine_of(lm).requests[0].messages[-1].text
    assert asked.startswith("Answer briefly.\n\ncontext_str: year: 2026")
    assert asked.endswith("query_str: how long do appeals take?")


def test_a_query_engine_is_compiled_by_its_text() -> None:
    def reply(request: Any) -> str:
        asked = request.messages[-1].text or ""
        assert "Appeals take 30 days." in asked
        is_easy = int(re.findall(r"type (\d+)", asked)[-1]) % 3 == 0
        return "30 days" if is_easy or "answer: 30 days" in asked else "who knows"

    questions = [f"how long do appeals of type {n} take?" for n in range(60)]
    data = [dspy.Example(question=q, answer="30 days").with_inputs("question") for q in questions]
    lm = scripted_lm(reply)
    result = compilm.compile(
        asking(),
        lambda example, found, trace=None: found.answer == example.answer,
        trainset=data[:15],
        valset=data[15:35],
        testset=data[35:],
        level=1,
        budget=compilm.Budget(rollouts=150),
        roles={"default": lm},
        concurrency=4,
    )
    assert result.gain.value > 0.5
    assert result.spent.calls == engine_of(lm).calls


def test_the_model_answers_chats_and_completions_and_streams_whole() -> None:
    model = bridge.model(scripted_lm(["hi"]))
    said = [llms.ChatMessage(role="user", content="hello")]
    assert model.chat(said).message.content == "hi"
    assert asyncio.run(model.achat(said)).message.content == "hi"
    assert model.complete("hello").text == "hi"
    assert asyncio.run(model.acomplete("hello")).text == "hi"
    assert [each.delta for each in model.stream_complete("hello")] == ["hi"]
    assert [each.delta for each in model.stream_chat(said)] == ["hi"]
