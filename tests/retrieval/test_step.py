"""Retrieval as a step: what a program sees, and that optimizers reach the predictors inside."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import dspy
import pytest

import compilm
from compilm.artifact import write
from compilm.errors import UsageError
from compilm.programs.dspy_state import adopt
from compilm.programs.predictors import predictors
from compilm.retrieval import Bm25, FaissIndex, HashedNgrams, Passage, Reranker, Retrieve
from compilm.testing.engines import scripted_lm
from compilm.testing.retriever_kit import PASSAGES

DEMO = {"query": "DEMO-QUERY", "passages": "[1] DEMO-PASSAGE\n[2] other", "best": [2]}
ANSWER_DEMO = {"context": "DEMO-CONTEXT", "question": "DEMO-QUESTION", "answer": "DEMO-ANSWER"}


class Desk(dspy.Module):
    """Looks up passages, and answers from them."""

    def __init__(self, retriever: Any) -> None:
        super().__init__()
        self.look = Retrieve(retriever, k=2, reranker=Reranker(), depth=4)
        self.answer = dspy.Predict("context, question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        found = self.look(query=question)
        answer = self.answer(context=found.context, question=question).answer
        return dspy.Prediction(answer=answer, sources=found.sources)

    async def aforward(self, question: str) -> dspy.Prediction:
        found = await self.look.acall(query=question)
        answer = (await self.answer.acall(context=found.context, question=question)).answer
        return dspy.Prediction(answer=answer, sources=found.sources)


def filled(index: Any = None) -> Any:
    index = index if index is not None else Bm25()
    index.add(PASSAGES)
    return index


def prompts(lm: dspy.LM) -> list[str]:
    return [
        "\n".join(part.text for message in request.messages for part in message.parts)
        for request in lm.engine.requests
    ]


def test_a_step_gives_texts_a_context_and_sources() -> None:
    found = Retrieve(filled(), k=2)(query="reason in a denial letter, or appeal")
    assert [each["id"] for each in found.sources] == ["denial", "appeal"]
    assert found.passages == [each["text"] for each in found.sources]
    assert found.context.splitlines()[1] == f"[2] {found.passages[1]}"
    source = found.sources[0]
    assert (source["document"], source["start"], source["end"]) == ("guide", 10, 58)
    assert source["metadata"] == {"plan": "gold", "page": 3.5, "old": True}


def test_conditions_of_the_step_and_of_the_call_hold_together() -> None:
    step = Retrieve(filled(), k=4, where={"plan": "gold"})
    query = "denial appeal claims fax"
    assert {each["id"] for each in step(query=query).sources} == {"denial", "appeal"}
    found = step(query=query, where={"page": 1}).sources
    assert [each["id"] for each in found] == ["appeal"]
    found = asyncio.run(step.acall(query=query, where={"page": 1})).sources
    assert [each["id"] for each in found] == ["appeal"]


@pytest.mark.parametrize(("k", "depth"), [(0, 5), (6, 5)])
def test_a_step_that_finds_nothing_is_refused(k: int, depth: int) -> None:
    with pytest.raises(UsageError, match="from 1 to depth"):
        Retrieve(Bm25(), k, depth=depth)


def test_a_reranker_orders_what_was_found_deeper() -> None:
    lm = scripted_lm([{"best": [3]}])
    step = Retrieve(filled(), k=1, reranker=Reranker(), depth=3)
    query = "denial appeal claims fax"
    third = Bm25.search(step.retriever, query, 3)[2].id
    with dspy.context(lm=lm):
        assert step(query=query).sources[0]["id"] == third
        assert asyncio.run(step.acall(query=query)).sources[0]["id"] == third
    assert len(prompts(lm)) == 2
    assert all("[3] " in prompt and "[4] " not in prompt for prompt in prompts(lm))


@pytest.mark.parametrize("best", [[], [0, 9, -1], [1, 1]])
def test_an_answer_without_sense_changes_nothing(best: list[int]) -> None:
    passages = [Passage("a", "One."), Passage("b", "Two.")]
    with dspy.context(lm=scripted_lm([{"best": best}])):
        found = Reranker()(query="q", passages=passages).passages
    assert [each.id for each in found] == ["a", "b"]


def test_one_passage_needs_no_model() -> None:
    passages = [Passage("a", "One.")]
    assert Reranker()(query="q", passages=passages).passages == passages
    assert asyncio.run(Reranker().acall(query="q", passages=[])).passages == []


def test_predictors_are_found_under_their_paths() -> None:
    assert list(predictors(Desk(filled()))) == ["look.reranker.rank", "answer"]


@pytest.mark.parametrize("index", [Bm25, lambda: FaissIndex(HashedNgrams(128))])
def test_demonstrations_reach_the_prompts_of_a_copy_and_of_a_loaded_one(
    index: Any, tmp_path: Path
) -> None:
    desk = Desk(filled(index()))
    desk.look.reranker.rank.demos = [dspy.Example(DEMO)]
    desk.answer.demos = [dspy.Example(ANSWER_DEMO)]
    desk.save(tmp_path / "state.json")
    loaded = Desk(filled(index()))
    loaded.load(tmp_path / "state.json")
    for program in (copy.deepcopy(desk), desk.deepcopy(), loaded):
        lm = scripted_lm(lambda r: {"best": [1]} if "best" in str(r) else {"answer": "yes"})
        with dspy.context(lm=lm):
            program(question="denial reason of an appeal")
            asyncio.run(program.acall(question="denial reason of an appeal"))
        rank, answer = prompts(lm)[:2]
        assert prompts(lm)[2:] == [rank, answer]
        assert "DEMO-PASSAGE" in rank
        assert "DEMO-CONTEXT" in answer
        assert "[1] A denial letter" in answer
    assert copy.deepcopy(desk).look.retriever is desk.look.retriever


def test_an_artifact_is_served_with_its_index_beside_it(tmp_path: Path) -> None:
    desk = Desk(filled())
    desk.look.reranker.rank.demos = [dspy.Example(DEMO)]
    desk.save(tmp_path / "state.json")
    write(adopt(tmp_path / "state.json", desk), tmp_path / "build")
    digest = desk.look.retriever.save(tmp_path / "build" / "index")
    lm = scripted_lm(lambda r: {"best": [1]} if "best" in str(r) else {"answer": "yes"})
    index = Bm25.load(tmp_path / "build" / "index", digest=digest)
    runtime = compilm.load(tmp_path / "build", Desk(index), roles={"default": lm})
    assert runtime(question="denial reason of an appeal").sources[0]["id"] == "denial"
    assert "DEMO-PASSAGE" in prompts(lm)[0]


def ranks_when_shown(request: Any) -> dict[str, Any]:
    """A model that ranks a third of the topics well, and all once a prompt shows how."""
    text = "\n".join(part.text for part in request.messages[-1].parts)
    lines = [line for line in text.splitlines() if line.startswith("[") and "topic" in line.lower()]
    good = [number for number, line in enumerate(lines, start=1) if "Rain" in line]
    topic = int(text.partition(" t")[2].split()[0])
    return {"best": good if len(request.messages) > 1 or topic % 3 == 0 else []}


def gold_first(example: Any, prediction: Any, trace: Any = None) -> float:
    """Whether the first passage is the one that is wanted."""
    return float(prediction.sources[0]["id"] == example.gold)


@pytest.fixture
def topics() -> Retrieve:
    """A step whose index always finds the wrong passage first, and a data set for it."""
    index = Bm25()
    for n in range(60):
        index.add([Passage(f"dull-{n}", f"Topic t{n} t{n} in short.")])
        index.add([Passage(f"good-{n}", f"Rain falls on topic t{n}, and at more length.")])
    return Retrieve(index, k=1, reranker=Reranker(), depth=4)


TOPICS = [dspy.Example(query=f"on t{n}", gold=f"good-{n}").with_inputs("query") for n in range(60)]


def test_a_compile_improves_the_order_by_demonstrations(topics: Retrieve) -> None:
    result = compilm.compile(
        topics,
        gold_first,
        trainset=TOPICS[:20],
        valset=TOPICS[20:40],
        testset=TOPICS[40:],
        level=1,
        budget=compilm.Budget(rollouts=400),
        roles={"default": scripted_lm(ranks_when_shown)},
        seed=0,
    )
    assert result.verdict == "proven"
    assert result.gain.value > 0.5
    assert result.program.reranker.rank.demos


def test_an_optimizer_of_dspy_reaches_the_reranker(topics: Retrieve) -> None:
    with dspy.context(lm=scripted_lm(ranks_when_shown)):
        optimizer = dspy.BootstrapFewShot(gold_first, max_labeled_demos=0)
        compiled = optimizer.compile(topics, trainset=TOPICS[:20])
        scores = [gold_first(one, compiled(**one.inputs())) for one in TOPICS[40:]]
    assert compiled.reranker.rank.demos
    assert sum(scores) == len(scores)
    assert compiled.retriever is topics.retriever


def test_what_is_no_retriever_no_passage_no_embedder_is_told() -> None:
    from compilm.retrieval import Bm25, Document, FaissIndex, HashedNgrams

    with pytest.raises(UsageError, match="not in a list: give an index"):
        Retrieve([])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not a Document: add\(chunked\(documents\)\)"):
        Bm25().add([Document("a", "One.")])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="where is \\['gold'\\]"):
        Bm25().search("one", where=["gold"])  # type: ignore[arg-type]
    for wrong in ("all-MiniLM-L6-v2", HashedNgrams):
        with pytest.raises(UsageError, match="is no embedder: give HashedNgrams"):
            FaissIndex(wrong)  # type: ignore[arg-type]
