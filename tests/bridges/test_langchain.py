"""LangChain's tools, retrievers and chains are ours; our programs and models are its."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.bridges.needs import QUIET, needs
from tests.bridges.world import compiled, engine_of, world_lm

from compilm.bridges import langchain as bridge
from compilm.errors import ProgramError
from compilm.retrieval import Retriever
from compilm.testing.engines import scripted_lm

documents = needs("langchain_core.documents")
messages = needs("langchain_core.messages")
parsers = needs("langchain_core.output_parsers")
retrievers = needs("langchain_core.retrievers")
runnables = needs("langchain_core.runnables")
tools = needs("langchain_core.tools")

pytestmark = QUIET


@tools.tool
def half(number: float) -> float:
    """Half of a number."""
    return number / 2


def test_a_tool_keeps_its_name_texts_and_schema() -> None:
    ours = bridge.tool(half)
    assert (ours.name, ours.desc) == ("half", "Half of a number.")
    assert ours.args["number"]["type"] == "number"
    assert ours(number=3) == asyncio.run(ours.acall(number=3)) == 1.5
    assert ours(number="three")["error"] == "arguments"


def test_a_tool_with_a_coroutine_alone_works_from_a_thread() -> None:
    async def double(number: int) -> int:
        """Twice a number."""
        return number * 2

    ours = bridge.tool(tools.StructuredTool.from_function(coroutine=double), timeout=5)
    assert ours(number=4) == asyncio.run(ours.acall(number=4)) == 8


def test_react_calls_a_tool_of_langchain() -> None:
    steps = [
        {"next_thought": "halve", "next_tool_name": "half", "next_tool_args": '{"number": 9}'},
        {"next_thought": "done", "next_tool_name": "finish", "next_tool_args": "{}"},
        {"reasoning": "halved", "answer": "4.5"},
    ]
    lm = scripted_lm(steps)
    with dspy.context(lm=lm):
        found = dspy.ReAct("question -> answer", tools=[bridge.tool(half)])(question="9/2?")
    assert found.answer == "4.5"
    assert found.trajectory["observation_0"] == 4.5


class Fixed(retrievers.BaseRetriever):  # type: ignore[misc, name-defined]
    """Finds the same for any query."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
        return [
            documents.Document("Appeals take 30 days.", metadata={"year": 2026}, id="a"),
            documents.Document("Fax is fine.", metadata={"year": 2020, "path": ["x"]}),
        ]


def test_a_retriever_is_one_of_ours() -> None:
    ours = bridge.Retrieved(Fixed())
    assert isinstance(ours, Retriever)
    found = ours.search("appeal")
    assert [(each.id, each.text) for each in found] == [
        ("a", "Appeals take 30 days."),
        ("1", "Fax is fine."),
    ]
    assert [each.id for each in asyncio.run(ours.asearch("appeal", k=1))] == ["a"]
    assert [each.id for each in ours.search("appeal", where={"year": 2020})] == ["1"]


def test_a_program_is_a_runnable_of_a_chain() -> None:
    made = bridge.runnable(dspy.Predict("question -> answer"))
    chained = made | runnables.RunnableLambda(lambda found: found["answer"].upper())
    with dspy.context(lm=scripted_lm([{"answer": "four"}])):
        assert made.invoke({"question": "2+2?"}) == {"answer": "four"}
        assert chained.invoke("2+2?") == "FOUR"
        assert asyncio.run(chained.ainvoke({"question": "2+2?"})) == "FOUR"
        assert chained.batch(["2+2?", "3+1?"]) == ["FOUR", "FOUR"]
    with pytest.raises(ProgramError, match="takes a mapping of its inputs, not str"):
        bridge.runnable(dspy.Predict("a, b -> c")).invoke("alone")


def test_a_chain_is_compiled_by_its_texts_and_metered() -> None:
    def build(*, classify: str, model: Any) -> Any:
        def asked(given: dict[str, str]) -> list[Any]:
            return [messages.SystemMessage(classify), messages.HumanMessage(given["text"])]

        return runnables.RunnableLambda(asked) | model | parsers.StrOutputParser()

    program = bridge.chain(build, texts={"classify": "Sort."}, inputs="text", outputs="label")
    lm = world_lm()
    result = compiled(program, lm)
    assert result.gain.value > 0.2
    assert result.spent.calls == engine_of(lm).calls
    with dspy.context(lm=lm):
        assert asyncio.run(result.program.acall(text="text number 1")).label


class Caller:
    """An engine that calls a tool and then answers."""

    supports_function_calling = True
    supports_response_schema = supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.requests: list[lm15.Request] = []

    def complete(self, request: lm15.Request) -> lm15.Response:
        self.requests.append(request)
        call = lm15.ToolCallPart("c1", "half", {"number": 9})
        said: Any = call if len(self.requests) == 1 else lm15.TextPart("4.5")
        finish: Any = "tool_call" if said is call else "stop"
        message = lm15.Message.assistant((said,))
        return lm15.Response("r", request.model, message, finish, lm15.Usage(3, 2))


def test_the_model_carries_tool_calls_there_and_back() -> None:
    engine = Caller()
    lm = dspy.LM("scripted/caller", engine=engine, cache=False, num_retries=0)
    bound = bridge.model(lm, temperature=0.5).bind_tools([half])
    asked: list[Any] = [messages.HumanMessage("9/2?")]
    first = bound.invoke(asked)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("half", {"number": 9})
    assert first.usage_metadata["total_tokens"] == 5
    last = bound.invoke([*asked, first, half.invoke(call)])
    assert last.content == "4.5"
    request = engine.requests[-1]
    assert [tool.name for tool in request.tools] == ["half"]
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]
    assert request.config.temperature == 0.5
