"""The public face as a type checker sees it: read by mypy in `make types`, never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import dspy

import compilm
from compilm import errors
from compilm.api import Progress
from compilm.graphs import Event, Graph, Runs, Threads, agent
from compilm.graphs.records import Status
from compilm.journal import Journal, MemoryJournal, Record
from compilm.optimizers.plan import Range
from compilm.optimizers.rollout import Rollout
from compilm.prices import Prices
from compilm.tools import McpServer, Tool, ToolResult, call_all, tool


def right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return float(example.label == prediction.label)


def compiling(program: dspy.Module, examples: list[dspy.Example], lm: dspy.LM) -> None:
    assert_type(compilm.compile(program, right, trainset=examples), compilm.CompileResult)
    compilm.compile(
        program,
        compilm.Metric(right),
        trainset=examples,
        valset=examples,
        testset=examples,
        level=2,
        optimizer="dspy.COPRO",
        optimizer_options={"breadth": 5},
        budget=compilm.Budget(rollouts=1000, calls=2000, tokens=10**6, usd=5.0, seconds=60.0),
        roles={"default": lm, "proposer": lm},
        seed=0,
        concurrency=32,
        journal="runs.db",
        freeze=("judge",),
        name="desk",
        reference="app:Desk",
        progress="plain",
        track="sqlite:///mlflow.db",
        allow_leaks=True,
        prices=Prices({"openai/llama": {"input": 0.2, "output": 0.6}}),
    )


def what_may_be_given(
    program: dspy.Module, data: compilm.DataSet, journal: Journal, progress: Progress
) -> None:
    compilm.compile(program, right, trainset=data, journal=Path("runs.db"), progress=progress)
    compilm.compile(program, "exact(label)", trainset=tuple(data), journal=journal)
    compilm.compile(program, right, trainset=data[:20], valset=data[20:], journal=MemoryJournal())


def what_may_not(program: dspy.Module, data: compilm.DataSet) -> None:
    """Each ignored error is one: mypy warns of an ignore that is not needed."""
    compilm.compile(program, right)  # type: ignore[call-arg]
    compilm.compile(program, right, data)  # type: ignore[call-arg]
    compilm.compile(program, right, trainset=data, level="2")  # type: ignore[arg-type]
    compilm.compile(program, right, trainset=data, progress="loud")  # type: ignore[arg-type]
    compilm.compile(program, right, trainset=data, budget=1000)  # type: ignore[arg-type]


def the_result(result: compilm.CompileResult) -> None:
    assert_type(result.verdict, str)
    assert_type(result.gain, compilm.Estimate)
    assert_type(result.baseline, Mapping[str, compilm.Estimate | None])
    assert_type(result.compiled["test"], compilm.Estimate | None)
    assert_type(result.spent, compilm.Spent)
    assert_type(result.artifact, compilm.Artifact)
    assert_type(result.notes, tuple[str, ...])
    assert_type(result.finished, bool)
    assert_type(result.journal, Journal | None)
    assert_type(result.save("build/desk"), Path)
    assert_type(result.to_json(), dict[str, Any])
    result.verdict = "proven"  # type: ignore[misc]


def figures(gain: compilm.Estimate, spent: compilm.Spent, budget: compilm.Budget) -> None:
    assert_type(gain.value, float)
    assert_type((gain.low, gain.high), tuple[float, float])
    assert_type(gain.n, int)
    assert_type(spent.calls, int)
    assert_type(spent.usd, float | None)
    assert_type(budget.rollouts, int | None)
    assert_type(compilm.Budget.parse("1000rollouts"), compilm.Budget)


def planning(program: dspy.Module, data: compilm.DataSet) -> None:
    plan = compilm.plan(program, right, trainset=data)
    assert_type(plan, compilm.Plan)
    assert_type(plan.rollouts, Range)
    assert_type(plan.calls.high, float)
    assert_type(plan.usd, Range | None)
    assert_type(plan.minimum_detectable, float)


def evaluating(program: dspy.Module, data: compilm.DataSet, lm: dspy.LM) -> None:
    found = compilm.evaluate(program, right, data, against=program, roles={"default": lm})
    assert_type(found, compilm.Evaluation)
    assert_type(found.score, compilm.Estimate)
    assert_type(found.gain, compilm.Estimate | None)
    assert_type(found.rollouts, tuple[Rollout, ...])
    assert_type(found.rollouts[0].score, compilm.Score)
    assert_type(found.missing, int)
    assert_type(found.stop, str)


def serving(program: dspy.Module, lm: dspy.LM) -> None:
    runtime = compilm.load("build/desk", program, roles={"default": lm})
    assert_type(runtime, compilm.Runtime)
    assert_type(compilm.load(Path("build/desk"), allow=["app.desk:Desk"]), compilm.Runtime)
    assert_type(compilm.load(runtime.artifact, program), compilm.Runtime)
    assert_type(runtime.artifact.digest, str)
    assert_type(runtime.inputs, tuple[str, ...])
    runtime(message="hello")
    runtime("hello")  # type: ignore[call-arg]


async def serving_in_a_loop(runtime: compilm.Runtime) -> None:
    await runtime.acall(message="hello")


def other_artifacts(program: dspy.Module) -> None:
    assert_type(compilm.adopt("state.json", program), compilm.Artifact)


def journals() -> None:
    journal = compilm.open_journal("runs.db")
    for record in journal.read("run", kinds=["note"]):
        assert_type(record, Record)
    journal.close()


def graphs(step: dspy.Module) -> None:
    graph = compilm.Graph(
        nodes={
            "a": step,
            "b": compilm.Node(lambda x: {"y": x}, timeout=1.0, retries=1, fallback="a"),
            "c": compilm.Map(step, over="xs", into="ys", concurrency=4),
        },
        edges={"a": compilm.Choice("x", {1: "b"}, compilm.END), "b": ("a", "c"), "c": compilm.END},
        start="a",
        merge={"y": "list", "z": sum},
    )
    assert_type(graph.inputs, tuple[str, ...])
    assert_type(graph.outline().mermaid(), str)
    paused = compilm.Paused("Is it fine?")
    assert_type(paused.to_json(), dict[str, Any])
    graph.resume(paused, fine=True)
    for event in graph.stream(x=1):
        assert_type(event, Event)
    runs = Runs(graph, compilm.open_journal(None))
    assert_type(runs.paused(), list[str])
    assert_type(runs.look("r").status, Status)
    assert_type(Threads(graph, runs.journal).look("t").messages, list[dict[str, Any]])
    raise compilm.Pause("Is it fine?", draft="text")


def tools_of_a_program(server: McpServer) -> None:
    half = tool(len, timeout=2.0)
    assert_type(half, Tool)
    assert_type(tool(name="half")(len), Tool)
    assert_type(half.run(number=3), ToolResult)
    assert_type(call_all([half, *server.tools()], [{"name": "half"}]), tuple[ToolResult, ...])
    assert_type(agent("question -> answer", [half, server, len]), Graph)


def refusals() -> None:
    try:
        raise errors.BudgetExceeded("the budget is used up")
    except errors.CompilmError as error:
        assert_type(error.exit_code, int)
    assert_type(compilm.__version__, str)
