"""The peers: how one question is asked through each, set up as its own documentation says.

Each is made in a process of its own and asks the same: a system message, a question, temperature
0. `ours` and the `dspy` ones run a whole `dspy.Predict`, the others a bare call of a client. A peer
whose package is not installed raises `ImportError` when it is made, and is told as absent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .programs import artifact_of

__all__ = ["PEERS", "Client", "Setup"]

SYSTEM = "Answer the question with one word. " * 20
_KEY = "no-key"  # goes to loopback alone
_RETRIES = 2  # what the SDKs do by themselves


@dataclass(frozen=True, slots=True)
class Setup:
    """What a client is to do. Where a peer has no such thing, it goes without.

    urls: the providers in order of fallback, without `/v1`. timeout: seconds, of an attempt;
    deadline: of a call. rendering: prompts are made from memory. cache: `none`, `memory`, `sqlite` or `redis` (at `redis`).
    """

    urls: tuple[str, ...]
    timeout: float = 45.0
    deadline: float = 120.0
    concurrency: int = 256
    cache: str = "none"
    demos: int = 0
    rendering: bool = True
    redis: str | None = None
    folder: str = "."


@dataclass(frozen=True, slots=True)
class Client:
    """A question's answer in tasks, in threads, and streamed (the whole text); how it is closed."""

    ask: Callable[[str], Awaitable[str]]
    ask_sync: Callable[[str], str] | None = None
    stream: Callable[[str], Awaitable[str]] | None = None
    close: Callable[[], Awaitable[Any]] | None = None


def _messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def _stack(setup: Setup) -> Any:
    """The stack of `[runtime]` over the lean engine, one account for each provider."""
    import dspy

    from compilm.config import RuntimeSettings
    from compilm.runtime.engines import lean
    from compilm.runtime.stack import Provider, Stacks

    like = dspy.LM("openai/m", temperature=0.0, num_retries=0)
    chain = [
        Provider(like, lean("openai-chat", f"{url}/v1", api_key=_KEY), url, "m", "lean", False)
        for url in setup.urls
    ]
    settings = RuntimeSettings(
        concurrency=setup.concurrency,
        timeout=setup.timeout,
        deadline=setup.deadline,
        cache=setup.cache,
        cache_path=f"{setup.folder}/cache.db" if setup.cache == "sqlite" else None,
        redis_url=setup.redis if setup.cache == "redis" else None,
    )
    return Stacks(settings).over(*chain)


def _ours(setup: Setup) -> Client:
    from dspy import lm15

    from compilm import load

    program, artifact = artifact_of(setup.demos)
    stack = _stack(setup)
    runtime = load(artifact, program, roles={"default": stack.lm}, rendering=setup.rendering)

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
        "openai/m", api_base=f"{setup.urls[0]}/v1", api_key=_KEY, temperature=0.0, **options
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


def _openai(setup: Setup) -> Client:
    import openai

    options: dict[str, Any] = {"base_url": f"{setup.urls[0]}/v1", "api_key": _KEY}
    options["timeout"] = setup.timeout
    client, blocking = openai.AsyncOpenAI(**options), openai.OpenAI(**options)

    async def ask(question: str) -> str:
        found = await client.chat.completions.create(
            model="m", messages=_messages(question), temperature=0.0
        )
        return str(found.choices[0].message.content)

    def ask_sync(question: str) -> str:
        found = blocking.chat.completions.create(
            model="m", messages=_messages(question), temperature=0.0
        )
        return str(found.choices[0].message.content)

    async def stream(question: str) -> str:
        pieces = await client.chat.completions.create(
            model="m", messages=_messages(question), stream=True
        )
        return "".join([p.choices[0].delta.content or "" async for p in pieces if p.choices])

    return Client(ask, ask_sync, stream, client.close)


def _anthropic(setup: Setup) -> Client:
    import anthropic

    options: dict[str, Any] = {"base_url": setup.urls[0], "api_key": _KEY, "timeout": setup.timeout}
    client, blocking = anthropic.AsyncAnthropic(**options), anthropic.Anthropic(**options)

    def asked(question: str) -> Any:
        messages = [{"role": "user", "content": question}]
        return {"model": "m", "max_tokens": 100, "system": SYSTEM, "messages": messages}

    async def ask(question: str) -> str:
        return str((await client.messages.create(**asked(question))).content[0].text)

    def ask_sync(question: str) -> str:
        return str(blocking.messages.create(**asked(question)).content[0].text)

    async def stream(question: str) -> str:
        async with client.messages.stream(**asked(question)) as found:
            return str(await found.get_final_text())

    return Client(ask, ask_sync, stream, client.close)


def _litellm(setup: Setup) -> Client:
    import litellm

    cached = _litellm_cache(litellm, setup)
    options: dict[str, Any] = {"api_base": f"{setup.urls[0]}/v1", "api_key": _KEY, **cached}
    options |= {"timeout": setup.timeout, "num_retries": _RETRIES, "temperature": 0.0}

    async def ask(question: str) -> str:
        found = await litellm.acompletion("openai/m", _messages(question), **options)
        return str(found.choices[0].message.content)

    def ask_sync(question: str) -> str:
        found = litellm.completion("openai/m", _messages(question), **options)
        return str(found.choices[0].message.content)

    async def stream(question: str) -> str:
        found = await litellm.acompletion("openai/m", _messages(question), stream=True, **options)
        return "".join([piece.choices[0].delta.content or "" async for piece in found])

    return Client(ask, ask_sync, stream)


def _litellm_cache(litellm: Any, setup: Setup) -> dict[str, Any]:
    """Its own cache where one is wanted; one in memory stands for the file that it has not."""
    litellm.suppress_debug_info = True
    litellm.cache = None if setup.cache == "none" else litellm.Cache(type="local")
    return {} if setup.cache == "none" else {"caching": True}


def _router(setup: Setup) -> Client:
    import litellm

    names = [f"model-{place}" for place in range(len(setup.urls))]
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/m", "api_base": f"{url}/v1", "api_key": _KEY},
        }
        for name, url in zip(names, setup.urls, strict=True)
    ]
    cached = _litellm_cache(litellm, setup)
    router = litellm.Router(
        model_list=models,
        fallbacks=[{names[0]: names[1:]}] if names[1:] else [],
        num_retries=_RETRIES,
        timeout=setup.timeout,
        cache_responses=bool(cached),
    )

    async def ask(question: str) -> str:
        found = await router.acompletion(names[0], _messages(question), temperature=0.0, **cached)
        return str(found.choices[0].message.content)

    def ask_sync(question: str) -> str:
        found = router.completion(names[0], _messages(question), temperature=0.0, **cached)
        return str(found.choices[0].message.content)

    async def stream(question: str) -> str:
        found = await router.acompletion(names[0], _messages(question), stream=True)
        return "".join([piece.choices[0].delta.content or "" async for piece in found])

    return Client(ask, ask_sync, stream)


def _langchain(setup: Setup) -> Client:
    from langchain_core.caches import InMemoryCache
    from langchain_core.globals import set_llm_cache
    from langchain_openai import ChatOpenAI

    set_llm_cache(None if setup.cache == "none" else InMemoryCache())
    first, *others = [
        ChatOpenAI(
            model="m", base_url=f"{url}/v1", api_key=_KEY, timeout=setup.timeout, temperature=0.0
        )
        for url in setup.urls
    ]
    model: Any = first.with_fallbacks(others) if others else first

    async def ask(question: str) -> str:
        return str((await model.ainvoke(_messages(question))).content)

    async def stream(question: str) -> str:
        return "".join([str(piece.content) async for piece in model.astream(_messages(question))])

    return Client(ask, lambda q: str(model.invoke(_messages(q)).content), stream)


def _pydantic_ai(setup: Setup) -> Client:
    import openai
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    clients, models = [], []
    for url in setup.urls:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=_KEY, timeout=setup.timeout)
        clients.append(client)
        models.append(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)))
    model = FallbackModel(*models) if len(models) > 1 else models[0]
    agent: Any = Agent(model, instructions=SYSTEM, model_settings={"temperature": 0.0})

    async def ask(question: str) -> str:
        return str((await agent.run(question)).output)

    async def stream(question: str) -> str:
        async with agent.run_stream(question) as found:
            return str(await found.get_output())

    async def close() -> None:
        for client in clients:
            await client.close()

    return Client(ask, None, stream, close)


PEERS: dict[str, tuple[str, Callable[[Setup], Client]]] = {
    "ours": ("compilm, `dspy.Predict`, full stack", _ours),
    "dspy": ("DSPy, `dspy.Predict`, native engine", lambda s: _dspy(s, "lm15")),
    "dspy-litellm": ("DSPy, `dspy.Predict`, LiteLLM engine", lambda s: _dspy(s, "litellm")),
    "openai": ("openai SDK", _openai),
    "anthropic": ("anthropic SDK", _anthropic),
    "litellm": ("LiteLLM", _litellm),
    "router": ("LiteLLM Router, with fallback", _router),
    "langchain": ("LangChain, with fallbacks", _langchain),
    "pydantic-ai": ("pydantic-ai, FallbackModel", _pydantic_ai),
}
"""Name, and what people call it; how its client is made."""
