"""The peers: how one question is asked through each, set up as its own documentation says.

Each is made in a process of its own and asks the same: a system message, a question, temperature
0. `ours` and the `dspy` ones run a whole `dspy.Predict`, the others a bare call of a client. A peer
whose package is not installed raises `ImportError` when it is made, and is told as absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .bare import (
    anthropic_sdk,
    langchain,
    litellm_router,
    litellm_sdk,
    openai_sdk,
    pydantic_agent,
)
from .client import KEY, SYSTEM, Client, Setup
from .programs import artifact_of

__all__ = ["PEERS", "Client", "Setup"]


def _stack(setup: Setup) -> Any:
    """The stack of `[runtime]` over the lean engine, one account for each provider."""
    import dspy

    from compilm.config import RuntimeSettings
    from compilm.runtime.engines import lean
    from compilm.runtime.stack import Provider, Stacks

    like = dspy.LM("openai/m", temperature=0.0, num_retries=0)
    chain = [
        Provider(like, lean("openai-chat", f"{url}/v1", api_key=KEY), url, "m", "lean", False)
        for url in setup.urls
    ]
    settings = RuntimeSettings(
        concurrency=setup.concurrency,
        timeout=setup.timeout,
        hedge=setup.hedge,
        deadline=setup.deadline,
        cache=setup.cache,
        cache_path=f"{setup.folder}/cache.db" if setup.cache == "sqlite" else None,
        redis_url=setup.redis if setup.cache == "redis" else None,
    )
    return Stacks(settings).over(*chain)


def _ours(setup: Setup) -> Client:
    from dspy import lm15

    from compilm import load
    from compilm.runtime.garbage import settle

    program, artifact = artifact_of(setup.demos)
    stack = _stack(setup)
    runtime = load(artifact, program, roles={"default": stack.lm}, rendering=setup.rendering)
    settle()  # as `compilm serve` does

    async def ask(question: str) -> str:
        return str((await runtime.acall(question=question)).answer)

    async def stream(question: str) -> str:
        asked = lm15.Request("openai/m", (lm15.Message.user(question),), system=SYSTEM)
        events = [event async for event in stack.pair.asynchronous.stream(asked)]
        return str(lm15.response_from_events(events).text)

    return Client(ask, lambda q: str(runtime(question=q).answer), stream, stack.aclose)


def _dspy(setup: Setup, engine: str) -> Client:
    import dspy

    program, _ = artifact_of(setup.demos)
    options = {"cache": setup.cache != "none", "timeout": setup.timeout, "engine": engine}
    lm = dspy.LM(
        "openai/m", api_base=f"{setup.urls[0]}/v1", api_key=KEY, temperature=0.0, **options
    )
    adapter = dspy.ChatAdapter()
    disk = {"disk_cache_dir": setup.folder} if setup.cache == "sqlite" else {}
    dspy.configure_cache(
        enable_disk_cache=setup.cache == "sqlite",
        enable_memory_cache=setup.cache == "memory",
        **disk,
    )

    def settings() -> Any:
        return dspy.context(lm=lm, adapter=adapter, disable_history=True, trace=None)

    async def ask(question: str) -> str:
        with settings():
            return str((await program.acall(question=question)).answer)

    def ask_sync(question: str) -> str:
        with settings():
            return str(program(question=question).answer)

    async def stream(question: str) -> str:
        with settings():
            async for piece in dspy.streamify(program, is_async_program=True)(question=question):
                if isinstance(piece, dspy.Prediction):
                    return str(piece.answer)
        raise RuntimeError("no prediction came")

    return Client(ask, ask_sync, stream, getattr(lm, "aclose", None))


PEERS: dict[str, tuple[str, Callable[[Setup], Client]]] = {
    "ours": ("compilm, `dspy.Predict`, full stack", _ours),
    "dspy": ("DSPy, `dspy.Predict`, native engine", lambda s: _dspy(s, "lm15")),
    "dspy-litellm": ("DSPy, `dspy.Predict`, LiteLLM engine", lambda s: _dspy(s, "litellm")),
    "openai": ("openai SDK", openai_sdk),
    "anthropic": ("anthropic SDK", anthropic_sdk),
    "litellm": ("LiteLLM", litellm_sdk),
    "router": ("LiteLLM Router, with fallback", litellm_router),
    "langchain": ("LangChain, with fallbacks", langchain),
    "pydantic-ai": ("pydantic-ai, FallbackModel", pydantic_agent),
}
"""Name, and what people call it; how its client is made."""
