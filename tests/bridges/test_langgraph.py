"""A program is a node of a LangGraph graph, and a LangGraph graph is a program that compiles."""

from __future__ import annotations

import asyncio
import copy
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import dspy
import pytest
from tests.bridges.needs import QUIET, needs
from tests.bridges.world import compiled, demos_in, engine_of, examples, right, world_lm

import compilm
from compilm.bridges import langgraph as bridge
from compilm.errors import ProgramError
from compilm.programs.predictors import predictors, shape
from compilm.testing.engines import scripted_lm

langgraph = needs("langgraph.graph")
messages = needs("langchain_core.messages")

pytestmark = QUIET


class State(TypedDict, total=False):
    text: str
    label: str
    shade: str
    said: str


def linear(**nodes: Any) -> Any:
    """A graph of these nodes, one after the other."""
    made = langgraph.StateGraph(State)
    names = [langgraph.START, *nodes, langgraph.END]
    for name, run in nodes.items():
        made.add_node(name, run)
    for one, other in pairwise(names):
        made.add_edge(one, other)
    return made.compile()


def two_steps(*, sort: dspy.Module, tint: dspy.Module) -> Any:
    """The modules as nodes: what it gets is what it uses."""
    return linear(
        sorter=lambda state: {"label": sort(text=state["text"]).label},
        tinter=lambda state: {"shade": tint(label=state["label"]).shade},
    )


def program() -> Any:
    parts = {"sort": dspy.Predict("text -> label"), "tint": dspy.Predict("label -> shade")}
    return bridge.graph(two_steps, parts=parts, inputs="text", outputs="label, shade")


def shown(request: Any) -> int:
    """The demonstrations of a DSPy prompt."""
    return sum(message.role == "assistant" for message in request.messages)


def answer(request: Any) -> dict[str, str]:
    asked = request.messages[-1].text
    return {"label": "red"} if "[[ ## text ## ]]" in asked else {"shade": "dark"}


def arrived(found: Any) -> list[int]:
    lm = scripted_lm(answer)
    with dspy.context(lm=lm):
        found(text="text number 999")
    return [shown(request) for request in engine_of(lm).requests]


def test_a_program_is_a_node_that_reads_and_writes_the_keys_it_is_told() -> None:
    node = bridge.node(
        dspy.Predict("question -> answer"),
        inputs={"question": "text"},
        outputs={"answer": "said"},
    )
    lm = scripted_lm([{"answer": "four"}])
    for run in (node, node.runnable()):
        made = linear(ask=run)
        with dspy.context(lm=lm):
            assert made.invoke({"text": "2+2?"}) == {"text": "2+2?", "said": "four"}
            assert asyncio.run(made.ainvoke({"text": "2+2?"}))["said"] == "four"
            updates = list(made.stream({"text": "2+2?"}, stream_mode="updates"))
        assert updates == [{"ask": {"said": "four"}}]


def test_a_loaded_artifact_is_a_node(tmp_path: Path) -> None:
    predict = dspy.Predict("text -> label")
    predict.demos = [dspy.Example(text="a", label="red")]
    predict.save(tmp_path / "state.json")
    artifact = compilm.adopt(tmp_path / "state.json", dspy.Predict("text -> label"))
    lm = scripted_lm([{"label": "blue"}])
    runtime = compilm.load(artifact, dspy.Predict("text -> label"), roles={"default": lm})
    made = linear(sort=bridge.node(runtime).runnable())
    assert made.invoke({"text": "b"})["label"] == "blue"
    assert asyncio.run(made.ainvoke({"text": "b"}))["label"] == "blue"
    assert [shown(request) for request in engine_of(lm).requests] == [1, 1]


def test_a_node_says_which_key_the_state_lacks_and_which_inputs_nobody_told() -> None:
    made = linear(sort=bridge.node(dspy.Predict("question -> answer")))
    with pytest.raises(ProgramError, match="the state has no 'question', which Predict reads"):
        made.invoke({"text": "a"})
    with pytest.raises(ProgramError, match="Module does not tell its inputs: give inputs="):
        bridge.node(dspy.Module())


def test_demos_of_a_bootstrap_reach_the_prompts_of_every_node(tmp_path: Path) -> None:
    lm = scripted_lm(answer)
    train = [dspy.Example(text=f"text {n}", shade="dark").with_inputs("text") for n in range(6)]
    with dspy.context(lm=lm):
        optimizer = dspy.BootstrapFewShot(
            lambda example, found, trace=None: found.shade == example.shade,
            max_bootstrapped_demos=2,
            max_labeled_demos=0,
        )
        found = optimizer.compile(program(), trainset=train)
    found.save(tmp_path / "state.json")
    loaded = program()
    loaded.load(tmp_path / "state.json")
    stored = [len(each.demos) for each in predictors(found).values()]
    assert stored == [2, 2]
    carried = (found, found.deepcopy(), copy.deepcopy(found), loaded)
    assert [arrived(each) for each in carried] == [[2, 2]] * 4
    assert arrived(program()) == [0, 0]


def test_a_graph_of_plain_chat_calls_is_compiled_by_its_texts(tmp_path: Path) -> None:
    def sorting(*, classify: str, model: Any) -> Any:
        def sort(state: State) -> State:
            asked = [messages.SystemMessage(classify), messages.HumanMessage(state["text"])]
            return {"label": model.invoke(asked).content}

        return linear(sort=sort)

    def fresh() -> Any:
        texts = {"classify": "Sort the text."}
        return bridge.graph(sorting, texts=texts, inputs="text", outputs="label")

    lm = world_lm()
    result = compiled(fresh(), lm)
    assert result.gain.value > 0.2
    assert result.spent.calls == engine_of(lm).calls
    result.save(tmp_path / "artifact")
    served = compilm.load(tmp_path / "artifact", fresh(), roles={"default": lm})
    served(text="text number 999")
    (state,) = shape(result.program)
    asked = len(state.demos) + (state.nearest.k if state.nearest else 0)
    assert demos_in(engine_of(lm).requests[-1]) == asked > 0
    asyncio.run(served.acall(text="text number 998"))
    assert demos_in(engine_of(lm).requests[-1]) == asked


def test_what_a_node_raises_reaches_the_caller() -> None:
    def broken() -> Any:
        def node(state: State) -> State:
            raise KeyError("nothing there")

        return linear(node=node)

    made = bridge.graph(
        lambda classify: broken(), texts={"classify": "."}, inputs="text", outputs="label"
    )
    with pytest.raises(KeyError, match="nothing there"):
        made(text="a")
    assert right(examples(1)[0], dspy.Prediction(label="none")) == 0
