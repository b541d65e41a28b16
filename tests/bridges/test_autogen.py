"""An AutoGen agent or team is a program: its system messages are compiled, it asks our models."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
from dspy import lm15
from tests.bridges.needs import QUIET, needs
from tests.bridges.world import compiled, engine_of, world_lm

from compilm.bridges import autogen as bridge
from compilm.bridges.foreign import Text
from compilm.testing.engines import scripted_lm

agents = needs("autogen_agentchat.agents")
conditions = needs("autogen_agentchat.conditions")
teams = needs("autogen_agentchat.teams")

pytestmark = QUIET


def build(*, classify: str, model: Any) -> Any:
    return agents.AssistantAgent("sorter", model_client=model, system_message=classify)


def sorting() -> Any:
    texts = {"classify": "Sort the text."}
    return bridge.team(build, texts=texts, inputs="text", outputs="label")


def test_an_agent_is_compiled_by_its_system_message_and_metered() -> None:
    lm = world_lm()
    result = compiled(sorting(), lm)
    assert result.gain.value > 0.2
    assert result.spent.calls == engine_of(lm).calls


def test_a_team_has_a_step_for_each_text() -> None:
    def pair(*, draft: str, check: str, model: Any) -> Any:
        members = [
            agents.AssistantAgent("writer", model_client=model, system_message=draft),
            agents.AssistantAgent("checker", model_client=model, system_message=check),
        ]
        return teams.RoundRobinGroupChat(
            members, termination_condition=conditions.MaxMessageTermination(3)
        )

    program = bridge.team(pair, texts={"draft": "Write it.", "check": Text("Check it.")})
    with dspy.context(lm=scripted_lm(["a draft", "a better one"]), trace=[]):
        assert program(task="Say hello").answer == "a better one"
        steps = [(id(one), went, dict(came)) for one, went, came in dspy.settings.trace]
    draft, check = (id(program.texts[name]) for name in ("draft", "check"))
    assert [step[0] for step in steps] == [draft, check]
    assert steps[0][1:] == ({"request": "Say hello"}, {"response": "a draft"})
    assert steps[1][1:] == ({"request": "Say hello\na draft"}, {"response": "a better one"})


def test_it_runs_inside_a_loop_and_out_of_one() -> None:
    with dspy.context(lm=scripted_lm(["red"])):
        assert asyncio.run(sorting().acall(text="a")).label == "red"
        assert sorting()(text="a").label == "red"


class Caller:
    """An engine that calls a tool and then answers."""

    supports_function_calling = True
    supports_response_schema = supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.requests: list[lm15.Request] = []

    async def complete(self, request: lm15.Request) -> lm15.Response:
        self.requests.append(request)
        call = lm15.ToolCallPart("c1", "half", {"number": 9})
        said: Any = call if len(self.requests) == 1 else lm15.TextPart("4.5")
        finish: Any = "tool_call" if said is call else "stop"
        message = lm15.Message.assistant((said,))
        return lm15.Response("r", request.model, message, finish, lm15.Usage(3, 2))


def test_tools_of_an_agent_are_called_by_our_model() -> None:
    async def half(number: float) -> float:
        """Half of a number."""
        return number / 2

    engine = Caller()
    lm = dspy.LM(
        "scripted/caller",
        engine=scripted_lm(["unused"]).engine,
        async_engine=engine,
        cache=False,
        num_retries=0,
    )

    def calculating(*, style: str, model: Any) -> Any:
        return agents.AssistantAgent(
            "calculator",
            model_client=model,
            system_message=style,
            tools=[half],
            reflect_on_tool_use=True,
        )

    program = bridge.team(calculating, texts={"style": "Calculate."})
    with dspy.context(lm=lm):
        assert program(task="9/2?").answer == "4.5"
    request = engine.requests[-1]
    assert [tool.name for tool in engine.requests[0].tools] == ["half"]
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]
    assert "4.5" in str(request.messages[-1])
