"""Agents and teams as graphs: they use tools, share a state, and are compiled like any program."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import dspy
import pytest
from fastapi.testclient import TestClient
from tests.runtime.tracing.desk import Kept

from compilm.errors import ProgramError
from compilm.graphs import Graph, Member, agent, handoff, supervisor
from compilm.graphs.acting import fitting
from compilm.programs.predictors import predictors
from compilm.runtime.http.app import create_app
from compilm.testing.engines import scripted_lm
from compilm.tools import Tool, tool


def half(number: float) -> float:
    """Half of a number."""
    return number / 2


def calls(*asked: tuple[str, dict[str, Any]]) -> str:
    return json.dumps([{"name": name, "args": args} for name, args in asked])


def prompt(request: Any) -> str:
    return f"{request.system}\n" + "\n".join(str(each.text) for each in request.messages)


HALF_OF_9 = [
    {"thought": "I need half of 9.", "calls": calls(("half", {"number": 9}))},
    {"thought": "It is 4.5.", "calls": "[]"},
    {"answer": "4.5"},
]


def asked(program: dspy.Module, script: Any, **inputs: Any) -> tuple[Any, list[str]]:
    lm = scripted_lm(script)
    with dspy.context(lm=lm):
        said = program(**inputs)
    return said, [prompt(each) for each in lm.engine.requests]


def test_an_agent_uses_its_tools_and_answers_from_what_they_gave() -> None:
    said, prompts = asked(agent("question -> answer", [half]), HALF_OF_9, question="Half of 9?")
    assert (said.answer, list(said)) == ("4.5", ["answer"])
    assert "- half(number: number): Half of a number." in prompts[0]
    for seen in prompts[1:]:
        assert '"results": [4.5]' in seen.replace("\n", "")
    assert len(prompts) == 3


def test_an_agent_runs_in_a_task() -> None:
    async def main() -> Any:
        with dspy.context(lm=scripted_lm(HALF_OF_9)):
            return await agent("question -> answer", [half]).acall(question="Half of 9?")

    assert asyncio.run(main()).answer == "4.5"


def test_calls_of_one_turn_are_made_at_the_same_time() -> None:
    together = threading.Barrier(3)

    @tool
    def meet(place: int) -> int:
        together.wait(10)
        return place

    script = [
        {"thought": "All.", "calls": calls(*(("meet", {"place": n}) for n in range(3)))},
        *HALF_OF_9[1:],
    ]
    _, prompts = asked(agent("question -> answer", [meet]), script, question="?")
    assert '"results": [0, 1, 2]' in " ".join(prompts[1].split()).replace("[ ", "[")


def test_what_goes_wrong_with_a_tool_is_told_to_the_model() -> None:
    script = [
        {"thought": "?", "calls": calls(("half", {"number": "x"}), ("third", {}))},
        *HALF_OF_9[1:],
    ]
    said, prompts = asked(agent("question -> answer", [half]), script, question="?")
    assert '"error": "arguments"' in prompts[1]
    assert "there is no tool 'third'; there is half" in prompts[1]
    assert said.answer == "4.5"


def test_an_agent_that_never_ends_answers_after_its_last_turn() -> None:
    def endless(request: Any) -> Any:
        wants_calls = "`calls`" in prompt(request)
        return HALF_OF_9[0] if wants_calls else HALF_OF_9[2]

    said, prompts = asked(agent("question -> answer", [half], max_turns=3), endless, question="?")
    assert (said.answer, len(prompts)) == ("4.5", 4)


def test_an_agent_is_loaded_and_served_like_any_program() -> None:
    kept = Kept(lambda: agent("question -> answer", [half]), scripted_lm(HALF_OF_9))
    with TestClient(create_app(kept.runtime, name="halving")) as client:
        said = client.post("/v1/programs/halving", json={"question": "Half of 9?"})
    assert (said.status_code, said.json()["answer"]) == (200, "4.5")
    assert [span.name for span in kept.trace().spans if span.kind == "tool"] == ["half"]


def demo_prompts(program: dspy.Module) -> list[int]:
    """How often the mark of a demonstration is in each prompt."""
    _, prompts = asked(program, HALF_OF_9, question="Half of 9?")
    return [seen.count("a marked question") for seen in prompts]


def marked(program: Graph) -> Graph:
    choose, answer = predictors(program).values()
    steps = [{"thought": "t", "calls": [], "results": []}]
    choose.demos = [
        dspy.Example(question="a marked question", steps=steps, thought="done", calls=[])
    ]
    answer.demos = [dspy.Example(question="a marked question", steps=steps, answer="7")]
    return program


def test_every_demonstration_reaches_the_prompts_also_of_copies_and_after_a_save(
    tmp_path: Path,
) -> None:
    program = marked(agent("question -> answer", [half]))
    assert list(predictors(program)) == ["nodes.choose.choose", "nodes.answer"]
    assert demo_prompts(program) == [1, 1, 1]
    assert demo_prompts(program.deepcopy()) == [1, 1, 1]
    program.save(tmp_path / "agent.json")
    fresh = agent("question -> answer", [half])
    assert demo_prompts(fresh) == [0, 0, 0]
    fresh.load(tmp_path / "agent.json")
    assert demo_prompts(fresh) == [1, 1, 1]


def test_bootstrapped_demonstrations_of_an_agent_reach_its_prompts() -> None:
    def script(request: Any) -> Any:
        seen = prompt(request).rpartition("[[ ## question ## ]]")[2]
        if "`calls`" not in prompt(request):
            return HALF_OF_9[2]
        return HALF_OF_9[1] if '"results"' in seen else HALF_OF_9[0]

    train = [
        dspy.Example(question=f"a marked question {n}", answer="4.5").with_inputs("question")
        for n in range(2)
    ]
    boot = dspy.BootstrapFewShot(
        metric=lambda example, said, trace=None: example.answer == said.answer,
        max_bootstrapped_demos=2, max_labeled_demos=0,
    )  # fmt: skip
    with dspy.context(lm=scripted_lm(script)):
        compiled = boot.compile(agent("question -> answer", [half]), trainset=train)
    stored = {path: len(each.demos) for path, each in predictors(compiled).items()}
    assert min(stored.values()) >= 2
    lm = scripted_lm(script)
    with dspy.context(lm=lm):
        assert compiled(question="new").answer == "4.5"
    reached = [prompt(each).count("a marked question") for each in lm.engine.requests]
    assert reached == [stored["nodes.choose.choose"]] * 2 + [stored["nodes.answer"]]


def test_an_instruction_that_an_optimizer_wrote_keeps_the_tools_in_the_prompt() -> None:
    program = agent("question -> answer", [half])
    choose = program.nodes["choose"].choose
    choose.signature = choose.signature.with_instructions("Be brief.")
    _, prompts = asked(program, HALF_OF_9, question="?")
    assert "Be brief." in prompts[0]
    assert "- half(number: number)" in prompts[0]


def test_old_results_are_left_out_of_a_prompt_that_would_be_too_long() -> None:
    steps = [{"thought": str(n), "calls": [], "results": ["x" * 100]} for n in range(5)]
    kept = fitting(steps, most=300)
    assert [isinstance(step["results"], list) for step in kept] == [False, False, False, True, True]
    assert fitting(steps) == steps


def test_names_that_clash_are_refused() -> None:
    with pytest.raises(ProgramError, match="keeps its own steps"):
        agent("question, steps -> answer", [half])
    with pytest.raises(ProgramError, match="two tools are named half"):
        agent("question -> answer", [half, tool(half)])


def test_a_durable_run_is_told_which_agents_change_the_world() -> None:
    reads: Tool = tool(half, idempotent=True)
    assert agent("question -> answer", [reads]).policies["use"].effect is False
    assert agent("question -> answer", [reads, tool(half, name="other")]).policies["use"].effect
    assert agent("question -> answer", [half], effect=False).policies["use"].effect is False


def team() -> Graph:
    return supervisor(
        "question -> answer",
        {"search": dspy.Predict("question, task -> found"),
         "halve": agent("task -> halved", [half])},
        {"search": "finds passages", "halve": "halves numbers"},
    )  # fmt: skip


def test_a_supervisor_sends_workers_that_share_its_state() -> None:
    script = [
        {"next": "search", "task": "find the number"},
        {"found": "The number is 9."},
        {"next": "halve", "task": "halve 9"},
        *HALF_OF_9[:2],
        {"halved": "4.5"},
        {"next": "finish", "task": ""},
        {"answer": "4.5"},
    ]
    said, prompts = asked(team(), script, question="Half of the number?")
    assert said.answer == "4.5"
    assert "- halve: halves numbers" in prompts[0]
    assert '"found": "The number is 9."' in prompts[2], "the supervisor reads what was found"
    assert "halve 9" in prompts[3], "the agent reads its task"
    assert '"halved": "4.5"' in prompts[7], "and the answer is made of all notes"


def test_a_supervisor_ends_after_its_last_turn() -> None:
    def endless(request: Any) -> Any:
        text = prompt(request)
        if "`next`" in text:
            return {"next": "search", "task": "again"}
        return {"found": "f"} if "`found`" in text.partition("output")[2] else {"answer": "a"}

    worker = {"search": dspy.Predict("task -> found")}
    one = supervisor("question -> answer", worker, {"search": "finds"}, max_turns=2)
    said, prompts = asked(one, endless, question="?")
    assert (said.answer, len(prompts)) == ("a", 5)


def test_workers_that_nothing_is_known_of_are_refused() -> None:
    with pytest.raises(ProgramError, match="says nothing of search"):
        supervisor("question -> answer", {"search": dspy.Predict("task -> found")}, {})
    with pytest.raises(ProgramError, match="what worker 'search' writes is not known"):
        supervisor("question -> answer", {"search": lambda task: {}}, {"search": "finds"})


def desk() -> Graph:
    return handoff(
        "message -> answer",
        {"front": "Greet and route.", "claims": Member("Answer on claims.", [half])},
        max_turns=3,
    )


def test_members_hand_over_with_a_note_and_share_the_state() -> None:
    script = [
        {"answer": "", "note": "Wants half of 9.", "hand_to": "claims"},
        *HALF_OF_9[:2],
        {"answer": "4.5", "note": "", "hand_to": "nobody"},
    ]
    said, prompts = asked(desk(), script, message="Half of 9?")
    assert said.answer == "4.5"
    assert [note["by"] for note in said.notes] == ["front", "claims"]
    assert "Wants half of 9." in prompts[1]
    assert "Greet and route." in prompts[0]
    assert "Answer on claims." in prompts[1]


def test_members_that_hand_over_for_ever_end() -> None:
    script = [
        {"answer": "no", "note": "n", "hand_to": "b"},
        {"answer": "no", "note": "n", "hand_to": "a"},
    ] * 5
    pair = handoff("message -> answer", {"a": "A.", "b": "B."}, max_turns=4)
    said, prompts = asked(pair, script, message="?")
    assert (said.answer, len(prompts), len(said.notes)) == ("no", 4, 4)


TEAM = (
    [
        {"next": "search", "task": "find"},
        {"found": "9"},
        {"next": "halve", "task": "halve 9"},
        *HALF_OF_9[:2],
        {"halved": "4.5"},
        {"next": "finish", "task": ""},
        {"answer": "4.5"},
    ],
    ["decide.decide", "search", "decide.decide", "halve.nodes.choose.choose",
     "halve.nodes.choose.choose", "halve.nodes.answer", "decide.decide", "answer"],
)  # fmt: skip
DESK = (
    [
        {"answer": "", "note": "n", "hand_to": "claims"},
        *HALF_OF_9[:2],
        {"answer": "4.5", "note": "", "hand_to": "nobody"},
    ],
    ["front", "claims.nodes.choose.choose", "claims.nodes.choose.choose", "claims.nodes.answer"],
)


def with_marks(program: Graph) -> Graph:
    """Each predictor gets a demonstration that names its path."""
    plain = {"steps": [], "notes": [], "calls": [], "next": "finish", "hand_to": "nobody"}
    for path, each in predictors(program).items():
        fields = {name: plain.get(name, f"mark of {path}.") for name in each.signature.fields}
        each.demos = [dspy.Example(**fields)]
    return program


@pytest.mark.parametrize(("make", "run"), [(team, TEAM), (desk, DESK)], ids=["team", "desk"])
def test_demonstrations_of_teams_reach_their_predictors(
    make: Any, run: tuple[list[Any], list[str]], tmp_path: Path
) -> None:
    program, fresh = with_marks(make()), make()
    program.save(tmp_path / "team.json")
    fresh.load(tmp_path / "team.json")
    script, paths = run
    for one in (program, program.deepcopy(), fresh):
        _, prompts = asked(one, script, **{one.inputs[0]: "?"})
        assert len(prompts) == len(paths)
        for seen, path in zip(prompts, paths, strict=True):
            assert f"mark of nodes.{path}." in seen
