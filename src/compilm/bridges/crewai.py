"""CrewAI: a crew, or one agent, as a program whose roles, goals and tasks are compiled.

Needs `crewai`, which asks for an environment of its own: pip install 'compilm[crewai]'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import dspy

from ..programs.chat_form import chat_completion
from .asking import aask, ask
from .building import built
from .foreign import Foreign, Text
from .library import library

__all__ = ["crew", "model"]


def crew(
    build: Callable[..., Any],
    *,
    texts: Mapping[str, str | Text],
    inputs: str,
    outputs: str,
    read: Callable[[Any], Any] | None = None,
) -> Foreign:
    """A crew as a program: `build` gives a `Crew`, from the texts, anew for each call.

    `build` gets each text by name (an agent's role, goal or backstory, a task's description) and,
    as `model`, if it takes one, an LLM of CrewAI that asks the current role: give it to every
    agent. The crew starts with the inputs, which CrewAI puts into `{places}` of its texts.

    `read` makes the outputs of a `CrewOutput`; without it the output is its raw text. Each call
    begins without memory: CrewAI's memory and telemetry are the application's to switch.
    """
    take = read or _raw

    def run(made: Any, given: Mapping[str, Any]) -> Any:
        return take(made.kickoff(inputs=dict(given)))

    async def arun(made: Any, given: Mapping[str, Any]) -> Any:
        return take(await made.kickoff_async(inputs=dict(given)))

    return built(build, run, arun, model, texts=texts, inputs=inputs, outputs=outputs)


def model(lm: dspy.LM | None = None, **settings: Any) -> Any:
    """An LLM of CrewAI that asks `lm`, or the LM of the context it is called in.

    Tools are called natively where CrewAI hands their functions over, else their calls are given
    back to it. `settings` go into each request.
    """
    return _llm_class()(model="compilm-role", lm=lm, settings=settings)


def _raw(output: Any) -> str:
    return str(output.raw)


@cache
def _llm_class() -> Any:
    base = library("crewai", extra="crewai", purpose="stand behind its agents").BaseLLM

    class RoleLLM(base):  # type: ignore[misc, valid-type]
        """An LLM of CrewAI over a `dspy.LM`."""

        lm: Any = None
        settings: Any = None

        def call(self, messages: Any, tools: Any = None, *args: Any, **kwargs: Any) -> Any:
            answer = ask(self._body(messages, tools, kwargs), self.lm)
            return _answered(answer, args, kwargs)

        async def acall(self, messages: Any, tools: Any = None, *args: Any, **kwargs: Any) -> Any:
            answer = await aask(self._body(messages, tools, kwargs), self.lm)
            return _answered(answer, args, kwargs)

        def supports_function_calling(self) -> bool:
            """Whether tools go to the model as such."""
            return bool(getattr(self.lm, "supports_function_calling", False))

        def supports_stop_words(self) -> bool:
            """Stop words are part of a request."""
            return True

        def get_context_window_size(self) -> int:
            """Tokens; the role's model decides, and refuses what is too long."""
            return 200_000

        def _body(self, messages: Any, tools: Any, rest: Mapping[str, Any]) -> dict[str, Any]:
            said = [{"role": "user", "content": messages}] if isinstance(messages, str) else [
                {k: v for k, v in one.items() if k in _KEYS} for one in messages
            ]  # fmt: skip
            body = {"messages": said, **(self.settings or {})}
            if tools:
                body["tools"] = tools
            form = rest.get("response_model")
            if form is not None:
                body["response_format"] = _format(form)
            return body

    return RoleLLM


_KEYS = ("role", "content", "tool_calls", "tool_call_id", "name")


def _format(form: Any) -> dict[str, Any]:
    schema = {"name": form.__name__, "schema": form.model_json_schema()}
    return {"type": "json_schema", "json_schema": schema}


def _answered(answer: Any, args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """The text; for a tool call what its function gives, or the calls where none was given."""
    functions = given.get("available_functions") or (args[1] if len(args) > 1 else None)
    if answer.tool_calls:
        first = answer.tool_calls[0]
        if functions and first.name in functions:
            return functions[first.name](**dict(first.input))
        return chat_completion(answer)["choices"][0]["message"]["tool_calls"]
    form = given.get("response_model")
    text = answer.text or ""
    return form.model_validate(json.loads(text)) if form is not None else text
