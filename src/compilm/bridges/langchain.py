"""LangChain: its tools and retrievers as ours, its chains as programs, ours as a Runnable.

Needs `langchain-core`: pip install 'compilm[bridges]'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import dspy
from dspy import lm15

from ..programs.chat_form import chat_completion
from ..retrieval import Passage, Where
from ..tools import Tool
from ..tools import tool as our_tool
from .asking import aask, ask
from .building import built
from .calls import awaited, named
from .foreign import Foreign, Text
from .library import library
from .passages import kept, of_theirs

__all__ = ["Retrieved", "chain", "model", "runnable", "tool"]


def tool(theirs: Any, **policy: Any) -> Tool:
    """A LangChain tool as a tool of ours, for `dspy.ReAct` and for agents.

    Name, description and schema are its own; time limit, retries and size are as
    `compilm.tools.tool` has them (`timeout=`, `idempotent=`, ...). What it raises is told to the
    model.
    """
    schema = theirs.get_input_jsonschema()

    def call(**arguments: Any) -> Any:
        return theirs.invoke(arguments)

    async def acall(**arguments: Any) -> Any:
        return await theirs.ainvoke(arguments)

    # One that is written with a coroutine alone cannot be called from a thread.
    work = acall if getattr(theirs, "func", call) is None else call
    made: Tool = our_tool(
        work, name=theirs.name, description=theirs.description, schema=schema, **policy
    )
    return made


class Retrieved:
    """A LangChain retriever as a `compilm.retrieval.Retriever`.

    It decides itself how many it finds: the first `k` of them are taken. Ids are the documents'
    own, or their place among what was found. A filter (`where`) is applied to what it found.
    """

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """The best passages."""
        return kept(_passages(self._theirs.invoke(query)), k, where)

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`, in a task."""
        return kept(_passages(await self._theirs.ainvoke(query)), k, where)


def runnable(program: Any) -> Any:
    """A program, or a loaded `Runtime`, as a LangChain Runnable: a mapping in, a mapping out.

    It goes into chains (`prompt | runnable | parser`), batches and `ainvoke`. A program with one
    input also takes that input alone.
    """
    runnables = _base("runnables", "give it a program to run")

    def call(inputs: Any) -> dict[str, Any]:
        return dict(program(**named(program, inputs)).items())

    async def acall(inputs: Any) -> dict[str, Any]:
        return dict((await awaited(program, named(program, inputs))).items())

    return runnables.RunnableLambda(call, afunc=acall, name=type(program).__name__)


def chain(
    build: Callable[..., Any],
    *,
    texts: Mapping[str, str | Text] | None = None,
    inputs: str,
    outputs: str,
    parts: Mapping[str, dspy.Module] | None = None,
) -> Foreign:
    """A chain as a program: `build` gives a Runnable, from the texts, and is asked for each call.

    `build` gets each text (and part) by name, and as `model`, if it takes one, a chat model that
    asks the current role. The Runnable gets the inputs as a mapping. A message with `content`, a
    text or a mapping are an answer. Give a text as a message (`SystemMessage(text)`) rather than
    into a template, which would read the braces in it.
    """

    def run(made: Any, given: Mapping[str, Any]) -> Any:
        return _plain(made.invoke(dict(given)))

    async def arun(made: Any, given: Mapping[str, Any]) -> Any:
        return _plain(await made.ainvoke(dict(given)))

    declared = {"texts": texts, "inputs": inputs, "outputs": outputs, "parts": parts}
    return built(build, run, arun, model, **declared)  # type: ignore[arg-type]


def model(lm: dspy.LM | None = None, **settings: Any) -> Any:
    """A LangChain chat model that asks `lm`, or the LM of the context it is called in.

    Tools can be bound; a stream is the whole answer at once. `settings` go into each request.
    """
    return _chat_model()(lm=lm, settings=settings)


@cache
def _chat_model() -> Any:
    base = _base("language_models.chat_models", "stand behind its chat models").BaseChatModel
    convert = _base("utils.function_calling", "bind tools").convert_to_openai_tool

    class RoleChatModel(base):  # type: ignore[misc, valid-type]
        """A chat model of LangChain over a `dspy.LM`."""

        lm: Any = None
        settings: Any = None

        @property
        def _llm_type(self) -> str:
            return "compilm-role"

        def _generate(
            self,
            messages: Any,
            stop: Any = None,
            run_manager: Any = None,  # noqa: ARG002 - as its interface has it
            **kwargs: Any,
        ) -> Any:
            return _result(ask(_body(messages, stop, {**(self.settings or {}), **kwargs}), self.lm))

        async def _agenerate(
            self,
            messages: Any,
            stop: Any = None,
            run_manager: Any = None,  # noqa: ARG002 - as its interface has it
            **kwargs: Any,
        ) -> Any:
            return _result(
                await aask(_body(messages, stop, {**(self.settings or {}), **kwargs}), self.lm)
            )

        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            return self.bind(tools=[convert(each) for each in tools], **kwargs)

    return RoleChatModel


def _body(messages: Any, stop: Any, rest: Mapping[str, Any]) -> dict[str, Any]:
    convert = _base("messages", "read its messages").convert_to_openai_messages
    body = {"messages": convert(messages), **rest}
    return {**body, "stop": stop} if stop else body


def _result(answer: lm15.Response) -> Any:
    outputs = _base("outputs", "answer it")
    messages = _base("messages", "answer it")
    calls = [
        {"name": call.name, "args": dict(call.input), "id": call.id, "type": "tool_call"}
        for call in answer.tool_calls
    ]
    used = answer.usage
    counted = None
    if used is not None and used.input_tokens is not None:
        sent, got = used.input_tokens, used.output_tokens or 0
        counted = {"input_tokens": sent, "output_tokens": got, "total_tokens": sent + got}
    finish = chat_completion(answer)["choices"][0]["finish_reason"]
    told = {"model_name": answer.model, "finish_reason": finish}
    message = messages.AIMessage(
        content=answer.text or "",
        tool_calls=calls,
        usage_metadata=counted,
        response_metadata=told,
    )
    return outputs.ChatResult(generations=[outputs.ChatGeneration(message=message)])


def _plain(returned: Any) -> Any:
    """A message as its text; other answers as they are."""
    content = getattr(returned, "content", None)
    return content if isinstance(content, str) else returned


def _passages(documents: Sequence[Any]) -> list[Passage]:
    return [
        of_theirs(document.page_content, document.metadata, document.id, place)
        for place, document in enumerate(documents)
    ]


def _base(part: str, purpose: str) -> Any:
    return library(f"langchain_core.{part}", extra="bridges", purpose=purpose)
