"""LlamaIndex: its retrievers as ours, ours as its, its query engines as programs.

Needs `llama-index-core`: pip install 'compilm[bridges]'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import dspy
from dspy import lm15

from ..retrieval import Passage, Retriever, Where
from .asking import aask, ask
from .building import built
from .foreign import Foreign, Text
from .library import library
from .passages import kept, of_theirs

__all__ = ["Retrieved", "model", "query_engine", "retriever"]


class Retrieved:
    """A LlamaIndex retriever as a `compilm.retrieval.Retriever`.

    It decides itself how many it finds: the first `k` of them are taken. A filter (`where`) is
    applied to what it found.
    """

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """The best passages."""
        return kept(_passages(self._theirs.retrieve(query)), k, where)

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`, in a task."""
        return kept(_passages(await self._theirs.aretrieve(query)), k, where)


def retriever(ours: Retriever, *, k: int = 5, where: Where | None = None) -> Any:
    """A retriever of ours as LlamaIndex's `BaseRetriever`, for its query engines."""
    return _retriever_class()(ours, k, where)


def query_engine(
    build: Callable[..., Any],
    *,
    texts: Mapping[str, str | Text],
    inputs: str = "question",
    outputs: str = "answer",
) -> Foreign:
    """A query engine as a program: `build` gives the engine, from the texts, for each call.

    `build` gets each text by name, and as `model`, if it takes one, an LLM of LlamaIndex that
    asks the current role. The engine is asked the only input; its answer is the only output, and
    the texts it found are `passages`. A text goes into a `PromptTemplate` by
    `text.format(context_str="{context_str}", query_str="{query_str}")`, which gives a place back
    that an optimizer has dropped; braces of demonstrations are then read as places by LlamaIndex.
    """
    names = [each.strip() for each in outputs.split(",")]

    def read(response: Any) -> dict[str, Any]:
        found = [each.node.get_content() for each in response.source_nodes]
        return {names[0].partition(":")[0].strip(): str(response), "passages": found}

    def run(made: Any, given: Mapping[str, Any]) -> Any:
        return read(made.query(*given.values()))

    async def arun(made: Any, given: Mapping[str, Any]) -> Any:
        return read(await made.aquery(*given.values()))

    return built(build, run, arun, model, texts=texts, inputs=inputs, outputs=outputs)


def model(lm: dspy.LM | None = None, **settings: Any) -> Any:
    """An LLM of LlamaIndex that asks `lm`, or the LM of the context it is called in.

    It answers chats and completions; a stream is the whole answer at once. `settings` go into
    each request.
    """
    return _llm_class()(lm=lm, settings=settings)


@cache
def _llm_class() -> Any:
    theirs = _core("llms", "stand behind its models")

    class RoleLLM(theirs.CustomLLM):  # type: ignore[misc, name-defined]
        """An LLM of LlamaIndex over a `dspy.LM`."""

        lm: Any = None
        settings: Any = None

        @property
        def metadata(self) -> Any:
            return theirs.LLMMetadata(is_chat_model=True, model_name="compilm-role")

        def chat(self, messages: Any, **kwargs: Any) -> Any:
            return _chat(ask(self._body(messages, kwargs), self.lm))

        async def achat(self, messages: Any, **kwargs: Any) -> Any:
            return _chat(await aask(self._body(messages, kwargs), self.lm))

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
            return theirs.CompletionResponse(text=_text(ask(self._asked(prompt, kwargs), self.lm)))

        async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
            answer = await aask(self._asked(prompt, kwargs), self.lm)
            return theirs.CompletionResponse(text=_text(answer))

        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            whole = self.complete(prompt, formatted, **kwargs)
            yield theirs.CompletionResponse(text=whole.text, delta=whole.text)

        def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
            whole = self.chat(messages, **kwargs)
            yield theirs.ChatResponse(message=whole.message, delta=whole.message.content)

        def _body(self, messages: Any, rest: Mapping[str, Any]) -> dict[str, Any]:
            said = [{"role": str(m.role.value), "content": m.content} for m in messages]
            return {"messages": said, **(self.settings or {}), **rest}

        def _asked(self, prompt: str, rest: Mapping[str, Any]) -> dict[str, Any]:
            said = [{"role": "user", "content": prompt}]
            return {"messages": said, **(self.settings or {}), **rest}

    return RoleLLM


@cache
def _retriever_class() -> Any:
    base = _core("retrievers", "be one of its retrievers").BaseRetriever
    schema = _core("schema", "give it nodes")

    class OurRetriever(base):  # type: ignore[misc, valid-type]
        """A retriever of LlamaIndex over one of ours."""

        def __init__(self, ours: Retriever, k: int, where: Where | None) -> None:
            self._ours, self._k, self._where = ours, k, where
            super().__init__()

        def _retrieve(self, query_bundle: Any) -> list[Any]:
            return _nodes(schema, self._ours.search(query_bundle.query_str, self._k, self._where))

        async def _aretrieve(self, query_bundle: Any) -> list[Any]:
            found = await self._ours.asearch(query_bundle.query_str, self._k, self._where)
            return _nodes(schema, found)

    return OurRetriever


def _nodes(schema: Any, found: Sequence[Passage]) -> list[Any]:
    return [
        schema.NodeWithScore(
            node=schema.TextNode(id_=each.id, text=each.text, metadata=dict(each.metadata)),
            score=each.score,
        )
        for each in found
    ]


def _passages(found: Sequence[Any]) -> list[Passage]:
    return [
        of_theirs(one.node.get_content(), one.node.metadata, one.node.node_id, place, one.score)
        for place, one in enumerate(found)
    ]


def _chat(answer: lm15.Response) -> Any:
    theirs = _core("llms", "answer it")
    said = theirs.ChatMessage(role="assistant", content=_text(answer))
    return theirs.ChatResponse(message=said)


def _text(answer: lm15.Response) -> str:
    return answer.text or ""


def _core(part: str, purpose: str) -> Any:
    return library(f"llama_index.core.{part}", extra="bridges", purpose=purpose)
