"""AutoGen: an agent, or a team, as a program whose system messages are compiled.

Needs `autogen-agentchat`: pip install 'compilm[autogen]'.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import cache
from typing import Any

import dspy
from dspy import lm15

from ..programs.finished import finished
from .asking import aask
from .building import built
from .foreign import Foreign, Text
from .library import library

__all__ = ["model", "team"]


def team(
    build: Callable[..., Any],
    *,
    texts: Mapping[str, str | Text],
    inputs: str = "task",
    outputs: str = "answer",
    read: Callable[[Any], Any] | None = None,
) -> Foreign:
    """An agent or a team as a program: `build` gives it, from the texts, anew for each call.

    `build` gets each text by name (the system message of an agent) and, as `model`, if it takes
    one, a `ChatCompletionClient` that asks the current role. It runs on the only input as its
    task; of several it is given `name: value` lines.

    `read` makes the outputs of the `TaskResult`; without it the output is the text of the last
    message.
    """
    take = read or _last

    async def arun(made: Any, given: Mapping[str, Any]) -> Any:
        return take(await made.run(task=_task(given)))

    def run(made: Any, given: Mapping[str, Any]) -> Any:
        return finished(arun(made, given))

    return built(build, run, arun, model, texts=texts, inputs=inputs, outputs=outputs)


def model(lm: dspy.LM | None = None, **settings: Any) -> Any:
    """A `ChatCompletionClient` that asks `lm`, or the LM of the context it is called in.

    Tools and JSON go to the model as such; a stream is the whole answer at once. `settings` go
    into each request.
    """
    return _client_class()(lm, settings)


def _last(result: Any) -> str:
    return str(result.messages[-1].to_text())


def _task(given: Mapping[str, Any]) -> str:
    if len(given) == 1:
        return str(next(iter(given.values())))
    return "\n".join(f"{name}: {value}" for name, value in given.items())


class _Client:
    """What a model client of AutoGen does, over a `dspy.LM`."""

    def __init__(self, lm: dspy.LM | None, settings: Mapping[str, Any]) -> None:
        self._lm, self._settings = lm, dict(settings)
        self._last = self._total = _usage(0, 0)

    async def create(self, messages: Any, **rest: Any) -> Any:
        """The whole answer."""
        answer = await aask({**_body(messages, rest), **self._settings}, self._lm)
        found = _result(answer)
        self._last, total = found.usage, self._total
        self._total = _usage(
            total.prompt_tokens + found.usage.prompt_tokens,
            total.completion_tokens + found.usage.completion_tokens,
        )
        return found

    async def create_stream(self, messages: Any, **rest: Any) -> AsyncGenerator[Any, None]:
        """The whole answer in one piece, and then as a result."""
        found = await self.create(messages, **rest)
        if isinstance(found.content, str):
            yield found.content
        yield found

    async def close(self) -> None:
        """Nothing is open: the role has the connections."""

    def actual_usage(self) -> Any:
        """Tokens of the last answer."""
        return self._last

    def total_usage(self) -> Any:
        """Tokens of all answers."""
        return self._total

    def count_tokens(self, messages: Any, **_: Any) -> int:
        """About: a token for four characters."""
        return sum(len(str(message.content)) for message in messages) // 4

    def remaining_tokens(self, messages: Any, **rest: Any) -> int:
        """Never the reason to stop: the role's model refuses what is too long."""
        return 200_000 - self.count_tokens(messages, **rest)

    @property
    def model_info(self) -> Any:
        """What AutoGen may ask of it."""
        able = ("function_calling", "json_output", "structured_output", "multiple_system_messages")
        return {"family": "unknown", "vision": False, **dict.fromkeys(able, True)}

    @property
    def capabilities(self) -> Any:
        """The older name of `model_info`."""
        return self.model_info


@cache
def _client_class() -> Any:
    theirs = _models("stand behind its agents").ChatCompletionClient
    return type("RoleClient", (_Client, theirs), {})


def _usage(sent: int, got: int) -> Any:
    return _models("count tokens").RequestUsage(sent, got)


def _body(messages: Sequence[Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": [row for one in messages for row in _rows(one)]}
    tools = [getattr(tool, "schema", tool) for tool in rest.get("tools") or ()]
    if tools:
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in tools]
        choice = rest.get("tool_choice", "auto")
        named = getattr(choice, "name", None)
        body["tool_choice"] = {"type": "function", "function": {"name": named}} if named else choice
    form = rest.get("json_output")
    if isinstance(form, type):
        schema = {"name": form.__name__, "schema": form.model_json_schema()}  # type: ignore[attr-defined]
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form:
        body["response_format"] = {"type": "json_object"}
    return {**body, **(rest.get("extra_create_args") or {})}


def _rows(message: Any) -> list[dict[str, Any]]:
    """One of AutoGen's messages, as rows of a chat request."""
    kind, content = message.type, message.content
    if kind == "FunctionExecutionResultMessage":
        return [
            {"role": "tool", "tool_call_id": one.call_id, "content": one.content} for one in content
        ]
    if kind == "AssistantMessage" and not isinstance(content, str):
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in content
        ]
        return [{"role": "assistant", "content": None, "tool_calls": calls}]
    role = {"SystemMessage": "system", "UserMessage": "user"}.get(kind, "assistant")
    text = content if isinstance(content, str) else "\n".join(map(str, content))
    return [{"role": role, "content": text}]


def _result(answer: lm15.Response) -> Any:
    core = _models("answer it")
    used = answer.usage
    sent, got = (used.input_tokens or 0, used.output_tokens or 0) if used else (0, 0)
    content: Any = answer.text or ""
    finish = {"stop": "stop", "length": "length"}.get(answer.finish_reason, "unknown")
    if answer.tool_calls:
        call = library("autogen_core", extra="autogen", purpose="answer it").FunctionCall
        content = [
            call(id=one.id, name=one.name, arguments=json.dumps(dict(one.input)))
            for one in answer.tool_calls
        ]
        finish = "function_calls"
    usage = _usage(sent, got)
    return core.CreateResult(finish_reason=finish, content=content, usage=usage, cached=False)


def _models(purpose: str) -> Any:
    return library("autogen_core.models", extra="autogen", purpose=purpose)
