"""The official SDK asks a role: its answers, its errors, its settings, and no second retry."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import httpx
import openai
import pytest
from dspy import lm15
from tests.bridges.world import LABELS, compiled, engine_of, examples, label_of, world_lm

import compilm
from compilm.bridges.asking import ask
from compilm.bridges.foreign import Foreign
from compilm.bridges.openai import async_client, client, transport
from compilm.clock import ManualClock
from compilm.errors import BudgetExceeded, CallFailed, ConfigError, DeadlineExceeded
from compilm.journal import MemoryJournal
from compilm.testing.engines import ScriptedEngine, scripted_lm
from compilm.testing.wire import WireServer

ASKED: list[Any] = [{"role": "user", "content": "2+2?"}]


def test_settings_of_the_call_hold_and_the_roles_fill_in() -> None:
    lm = scripted_lm(["4"], temperature=0.3, max_tokens=50)
    client(lm).chat.completions.create(model="any", messages=ASKED)
    client(lm).chat.completions.create(
        model="any", messages=ASKED, temperature=1.0, max_completion_tokens=7, seed=3
    )
    first, second = (request.config for request in engine_of(lm).requests)
    assert (first.temperature, first.max_tokens, first.seed) == (0.3, 50, None)
    assert (second.temperature, second.max_tokens, second.seed) == (1.0, 7, 3)
    assert engine_of(lm).requests[0].model == lm.model


def test_the_model_is_the_one_of_the_call_or_the_one_that_was_given() -> None:
    fixed, free = client(scripted_lm(["fixed"])), client()
    with dspy.context(lm=scripted_lm(["free"])):
        answers = [
            one.chat.completions.create(model="any", messages=ASKED) for one in (fixed, free)
        ]
    assert [one.choices[0].message.content for one in answers] == ["fixed", "free"]
    with pytest.raises(openai.BadRequestError, match="a bridged call has no model"):
        free.chat.completions.create(model="any", messages=ASKED)
    with pytest.raises(ConfigError, match="pass lm=, or call inside dspy"):
        ask({"messages": ASKED})


def test_it_answers_in_tasks_and_streams_whole() -> None:
    async def answered() -> list[str | None]:
        reached = async_client(scripted_lm(["4"]))
        whole = await reached.chat.completions.create(model="any", messages=ASKED)
        stream = await reached.chat.completions.create(
            model="any", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        pieces = [chunk async for chunk in stream]
        assert pieces[-1].usage is not None
        return [whole.choices[0].message.content, pieces[0].choices[0].delta.content]

    assert asyncio.run(answered()) == ["4", "4"]


def test_tools_go_there_and_calls_come_back() -> None:
    class Caller(ScriptedEngine):
        supports_function_calling = True

        def complete(self, request: lm15.Request) -> lm15.Response:
            self.requests.append(request)
            message = lm15.Message.assistant((lm15.ToolCallPart("c1", "half", {"number": 9}),))
            return lm15.Response("r", request.model, message, "tool_call", lm15.Usage(3, 2))

    engine = Caller(["unused"])
    lm = dspy.LM("scripted/caller", engine=engine, cache=False, num_retries=0)
    half: Any = {"type": "function", "function": {"name": "half", "parameters": {"type": "object"}}}
    for stream in (False, True):
        found: Any = client(lm).chat.completions.create(
            model="any", messages=ASKED, tools=[half], stream=stream
        )
        choice = (next(iter(found)) if stream else found).choices[0]
        (call,) = (choice.delta if stream else choice.message).tool_calls
        assert (call.function.name, call.function.arguments) == ("half", '{"number": 9}')
        assert choice.finish_reason == "tool_calls"
    assert [tool.name for tool in engine.requests[0].tools] == ["half"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (lm15.RateLimitError("slow down"), openai.RateLimitError),
        (lm15.AuthError("no"), openai.AuthenticationError),
        (lm15.ServerError("down"), openai.APIStatusError),
        (lm15.InvalidRequestError("what?"), openai.BadRequestError),
        (BudgetExceeded("the day's is gone"), openai.RateLimitError),
        (DeadlineExceeded("too late"), openai.APIStatusError),
    ],
)
def test_a_failure_is_the_sdks_own_error_and_is_not_tried_again(
    error: Exception, raised: type[Exception]
) -> None:
    lm = scripted_lm([error])
    again = httpx.Client(transport=transport(lm))
    theirs = openai.OpenAI(
        base_url="http://any.invalid/v1", api_key="none", http_client=again, max_retries=5
    )
    for reached in (client(lm), theirs):
        with pytest.raises(raised):
            reached.chat.completions.create(model="any", messages=ASKED)
    assert engine_of(lm).calls == 2


def test_what_it_does_not_answer_it_says() -> None:
    with pytest.raises(openai.NotFoundError, match="only chat completions are answered here"):
        client().models.list()
    with pytest.raises(openai.BadRequestError, match="a bridged call has one answer"):
        client(scripted_lm(["4"])).chat.completions.create(model="any", messages=ASKED, n=2)


def sorting(reached: openai.OpenAI) -> Foreign:
    def sort(text: str, *, classify: str) -> str:
        rows: list[Any] = [
            {"role": "system", "content": classify},
            {"role": "user", "content": text},
        ]
        found = reached.chat.completions.create(model="any", messages=rows)
        return found.choices[0].message.content or ""

    return Foreign(sort, texts={"classify": "Sort."}, inputs="text", outputs="label")


def test_a_budget_of_calls_is_a_ceiling_for_the_sdk_too() -> None:
    lm = world_lm()
    result = compiled(sorting(client()), lm, budget=compilm.Budget(calls=150))
    assert result.spent.calls == engine_of(lm).calls <= 150


def test_a_second_run_pays_for_nothing() -> None:
    lm, journal = world_lm(), MemoryJournal()
    first = compiled(sorting(client()), lm, journal=journal, level=0)
    paid = engine_of(lm).calls
    again = compiled(sorting(client()), lm, journal=journal, level=0)
    assert engine_of(lm).calls == paid > 0
    assert again.gain == first.gain


def test_failed_calls_of_the_sdk_are_no_wrong_answers() -> None:
    def reply(request: lm15.Request) -> Any:
        return lm15.ServerError("down")

    with pytest.raises(CallFailed, match="a model call failed on every one of"):
        compiled(sorting(client()), scripted_lm(reply), level=0, clock=ManualClock())


def test_a_bare_sdk_on_a_provider_is_compiled_as_well() -> None:
    """Nothing between the function and the wire: the same steps, the same gain."""
    with WireServer(engine_of(world_lm())) as server:
        bare = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0)
        result = compiled(sorting(bare), scripted_lm(["unused"]))
        bare.close()
    assert result.gain.value > 0.2
    assert server.asked.total() > 100
    (demo, *_) = result.program.texts["classify"].demos or [examples(1)[0]]
    assert demo.label == label_of(demo.text) in LABELS
