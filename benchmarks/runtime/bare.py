"""Clients that make a bare call: no prompt is rendered, no answer is parsed."""

from __future__ import annotations

from typing import Any

from .client import KEY, SYSTEM, Client, Setup

__all__ = [
    "anthropic_sdk",
    "langchain",
    "litellm_router",
    "litellm_sdk",
    "openai_sdk",
    "pydantic_agent",
]

_RETRIES = 2  # what the SDKs do by themselves


def _messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def openai_sdk(setup: Setup) -> Client:
    """The official SDK."""
    import openai

    options: dict[str, Any] = {"base_url": f"{setup.urls[0]}/v1", "api_key": KEY}
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


def anthropic_sdk(setup: Setup) -> Client:
    """The official SDK of the other wire."""
    import anthropic

    options: dict[str, Any] = {"base_url": setup.urls[0], "api_key": KEY, "timeout": setup.timeout}
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


def litellm_sdk(setup: Setup) -> Client:
    """Its function for one model."""
    import litellm

    cached = _litellm_cache(litellm, setup)
    options: dict[str, Any] = {"api_base": f"{setup.urls[0]}/v1", "api_key": KEY, **cached}
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


def litellm_router(setup: Setup) -> Client:
    """Its router; the second provider is a fallback."""
    import litellm

    names = [f"model-{place}" for place in range(len(setup.urls))]
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/m", "api_base": f"{url}/v1", "api_key": KEY},
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


def langchain(setup: Setup) -> Client:
    """A chat model; the second provider is a fallback."""
    from langchain_core.caches import InMemoryCache
    from langchain_core.globals import set_llm_cache
    from langchain_openai import ChatOpenAI

    set_llm_cache(None if setup.cache == "none" else InMemoryCache())
    first, *others = [
        ChatOpenAI(
            model="m", base_url=f"{url}/v1", api_key=KEY, timeout=setup.timeout, temperature=0.0
        )
        for url in setup.urls
    ]
    model: Any = first.with_fallbacks(others) if others else first

    async def ask(question: str) -> str:
        return str((await model.ainvoke(_messages(question))).content)

    async def stream(question: str) -> str:
        return "".join([str(piece.content) async for piece in model.astream(_messages(question))])

    return Client(ask, lambda q: str(model.invoke(_messages(q)).content), stream)


def pydantic_agent(setup: Setup) -> Client:
    """An agent without tools; the second provider is a fallback."""
    import openai
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    clients, models = [], []
    for url in setup.urls:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, timeout=setup.timeout)
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
