"""`dspy.LM` objects as engines, engines as `dspy.LM` objects, and their exchange inside a program.

A compile meters every model a program can reach: each `dspy.LM` becomes an engine (one attempt),
layers go around it, and a `RoleLM` made of the result takes its place in a copy of the program.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import dspy
from dspy import lm15

# DSPy exports no public (de)serializer for its request and response values; this line and one in
# requests.py are the only places that reach for the vendored one.
from dspy._vendor.lm15.serde import (
    message_to_dict,
    request_to_dict,
    response_from_dict,
    response_to_dict,
)

from .. import canonical
from ..engine import SAMPLE, EnginePair, Sample
from ..errors import RunStopped
from . import straight

__all__ = [
    "NOTICE",
    "RoleLM",
    "as_engine",
    "exchange",
    "identity",
    "is_embedded",
    "is_infrastructure",
    "is_lost",
    "request_digest",
    "response_from_json",
    "response_to_json",
    "role_lm",
    "sampled",
]

EMBEDDED = "embedded/"
NOTICE = "embedded, not a language model"
_LOST = (
    lm15.TimeoutError, lm15.TransportError, dspy.LMTimeoutError, dspy.LMTransportError,
    TimeoutError, ConnectionError, dspy.LMUnexpectedError,
)  # fmt: skip
_GARBLED = (lm15.StreamAssemblyError, dspy.LMStreamAssemblyError)
_UNREAD = (lm15.ProviderError, dspy.LMProviderError)  # themselves: their subclasses say more
# Messages that were lately digested, with their canonical JSON: demonstrations, call after call.
_TEXTS: dict[int, tuple[lm15.Message, str]] = {}
_MOST_TEXTS, _LONGEST_TEXT = 1024, 16_384
_CONNECTION = frozenset(
    {
        "api_base",
        "api_key",
        "api_version",
        "azure_ad_token_provider",
        "base_url",
        "custom_llm_provider",
        "extra_headers",
        "extra_query",
        "headers",
        "organization",
        "project",
        "timeout",
    }
)


def is_embedded(lm: dspy.LM) -> bool:
    """Whether this is the embedded engine, which is not a language model.

    >>> is_embedded(dspy.LM("openai/gpt-5-mini"))
    False
    """
    return str(lm.model).startswith(EMBEDDED)


def identity(lm: dspy.LM) -> str:
    """What makes two LMs answer differently, as one digest: model, address, settings; no keys.

    >>> a, b = dspy.LM("openai/m", api_key="k1"), dspy.LM("openai/m", api_key="k2")
    >>> identity(a) == identity(b)
    True
    """
    settings = {key: value for key, value in lm.kwargs.items() if key not in _CONNECTION}
    asked = lm.like if isinstance(lm, RoleLM) and lm.attempt is not None else lm
    address = asked.kwargs.get("api_base") or asked.kwargs.get("base_url")
    engine = getattr(asked, "engine", "auto")
    state = engine.dump_state() if hasattr(engine, "dump_state") else type(engine).__qualname__
    parts = [lm.model, lm.model_type, address, sorted((k, repr(v)) for k, v in settings.items())]
    return canonical.digest([*parts, engine if isinstance(engine, str) else state])


def request_digest(request: lm15.Request) -> str:
    """The digest of everything a request asks.

    >>> from dspy.lm15 import Message, Request
    >>> request_digest(Request(model="m", messages=(Message.user("hi"),)))[:10]
    'sha256:7e6'
    """
    *before, last = request.messages
    body = request_to_dict(replace(request, messages=(last,)))
    texts = {name: canonical.dumps(value) for name, value in body.items()}
    messages = [*map(_message_text, before), texts["messages"][1:-1]]
    texts["messages"] = f"[{','.join(messages)}]"
    told = ",".join(f'"{name}":{texts[name]}' for name in sorted(texts))
    return canonical.text_digest(f"{{{told}}}")


def _message_text(message: lm15.Message) -> str:
    """The canonical JSON of a message; what is rendered once stands in many requests."""
    known = _TEXTS.get(id(message))
    if known is not None and known[0] is message:
        return known[1]
    text = canonical.dumps(message_to_dict(message))
    is_text = all(type(part) is lm15.TextPart for part in message.parts)  # others can change
    if is_text and len(text) <= _LONGEST_TEXT:
        if len(_TEXTS) >= _MOST_TEXTS:
            _TEXTS.clear()
        _TEXTS[id(message)] = message, text
    return text


def response_to_json(response: lm15.Response) -> dict[str, Any]:
    """A response as plain JSON, for the journal."""
    return dict(response_to_dict(response))


def response_from_json(body: dict[str, Any]) -> lm15.Response:
    """The response that `response_to_json` wrote down."""
    return response_from_dict(body)


def is_infrastructure(error: BaseException) -> bool:
    """Whether a failed call says nothing about the prompt: limits, outages, transport, surprises.

    A prompt that is too long, or that asks what the model cannot do, is the program's failure.

    >>> is_infrastructure(lm15.RateLimitError("slow down"))
    True
    >>> is_infrastructure(lm15.ContextLengthError("too long"))
    False
    """
    own = (
        dspy.ContextWindowExceededError,
        dspy.LMInvalidRequestError,
        dspy.LMUnsupportedFeatureError,
        lm15.ContextLengthError,
        lm15.InvalidRequestError,
        lm15.UnsupportedFeatureError,
    )
    return isinstance(error, Exception) and not isinstance(error, own)


def is_lost(error: BaseException) -> bool:
    """Whether a call was sent and did not come back: late, cut off, unreadable, given up by us.

    Nobody knows what the provider bills for it.

    >>> is_lost(lm15.TimeoutError("late")), is_lost(lm15.RateLimitError("slow down"))
    (True, False)
    """
    if not isinstance(error, Exception):
        return not isinstance(error, RunStopped)  # by which it was not sent
    is_garbled = isinstance(error, _GARBLED) or type(error) in _UNREAD
    is_status = 400 <= (getattr(error, "status", None) or 0) < 500
    return isinstance(error, _LOST) or (is_garbled and not is_status)


class _LMEngine:
    """One attempt at a request by somebody's `dspy.LM`, over that LM's own connection."""

    def __init__(self, lm: dspy.LM) -> None:
        self._lm = lm.copy(num_retries=0)

    def _options(self) -> dict[str, Any]:
        sample = SAMPLE.get() or Sample()
        # DSPy's cache stays out: it cannot tell the samples of one call apart, and a budget
        # counts what is sent. A compile keeps every answer in its journal instead.
        options: dict[str, Any] = {"cache": False}
        if sample.rollout_id is not None:
            options["rollout_id"] = sample.rollout_id
        return options

    def _seeded(self, request: lm15.Request) -> lm15.Request:
        """The embedded engine draws its variety from the seed alone."""
        sample = SAMPLE.get()
        drawn = request.config.temperature and request.config.seed is None and sample is not None
        if not (drawn and is_embedded(self._lm)) or sample is None:
            return request
        from dataclasses import replace

        seed = 1 + 1009 * (sample.rollout_id or 0) + sample.index
        return replace(request, config=replace(request.config, seed=seed))

    def complete(self, request: lm15.Request) -> lm15.Response:
        asked = self._seeded(request)
        if straight.is_straight(self._lm, asked):
            return straight.ask(self._lm, asked)
        return self._lm(asked, **self._options())

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        yield from lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        self._lm.close()


class _AsyncLMEngine:
    def __init__(self, engine: _LMEngine) -> None:
        self._engine = engine

    async def complete(self, request: lm15.Request) -> lm15.Response:
        engine = self._engine
        return await engine._lm.acall(engine._seeded(request), **engine._options())

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        await self._engine._lm.aclose()


def as_engine(lm: dspy.LM) -> EnginePair:
    """`lm` as an engine pair: one attempt a call, errors as DSPy classifies them.

    Of an LM over a stack of policies it is one attempt at its first provider: whoever asks for an
    engine has policies of its own, and two retries would multiply.
    """
    if isinstance(lm, RoleLM) and lm.attempt is not None:
        return lm.attempt
    engine = _LMEngine(lm)
    return EnginePair(engine, _AsyncLMEngine(engine))


class RoleLM(dspy.LM):
    """The LM of a role: its engine is a stack, and each call tells it which sample is meant.

    `like` is the LM it asks as. Where the stack has policies of its own, `attempt` is one attempt
    at its first provider, and `fallbacks` names the models that are asked after that one. A call
    or a copy with `cache=False` wants no answer that the stack has kept.
    """

    like: dspy.LM
    attempt: EnginePair | None = None
    fallbacks: tuple[str, ...] = ()
    is_fresh: bool = False

    def __call__(self, prompt: Any = None, **kwargs: Any) -> Any:
        with sampled(self, kwargs):
            return super().__call__(prompt, **kwargs)

    async def acall(self, prompt: Any = None, **kwargs: Any) -> Any:
        with sampled(self, kwargs):
            return await super().acall(prompt, **kwargs)

    def close(self) -> None:
        """Close the idle connections of its threads; the next call opens others."""
        self.engine.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop too."""
        await self.engine.aclose()

    def copy(self, **kwargs: Any) -> RoleLM:
        copied: RoleLM = super().copy(**kwargs)
        # DSPy's own cache is off in both, so its setting alone does not tell what was wanted.
        if "cache" in kwargs:
            copied.is_fresh = kwargs["cache"] is False
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> RoleLM:
        return self


class sampled:
    """A context in which a call of this LM, with these settings, means the sample it asks for."""

    def __init__(self, lm: RoleLM, kwargs: Mapping[str, Any]) -> None:
        rollout = kwargs.get("rollout_id", lm.kwargs.get("rollout_id"))
        is_fresh = kwargs["cache"] is False if "cache" in kwargs else lm.is_fresh
        self._sample = Sample(rollout_id=rollout, is_fresh=is_fresh)

    def __enter__(self) -> None:
        self._token = SAMPLE.set(self._sample)

    def __exit__(self, *_: object) -> None:
        SAMPLE.reset(self._token)


def role_lm(engine: EnginePair, like: dspy.LM) -> RoleLM:
    """An LM over `engine` that asks as `like` does: same model, settings and capabilities."""
    settings = {key: value for key, value in like.kwargs.items() if key not in _CONNECTION}
    limits = [settings.pop(name, None) for name in ("max_completion_tokens", "max_tokens")]
    front = _Front(engine, like)
    made = RoleLM(
        like.model,
        model_type=like.model_type,
        max_tokens=limits[0] or limits[1],
        engine=front,
        async_engine=engine.asynchronous,
        cache=False,
        num_retries=0,
        use_developer_role=getattr(like, "use_developer_role", False),
        **settings,
    )
    made.like = like
    return made


class _Front:
    """The synchronous engine, declaring the capabilities of the LM it stands for."""

    def __init__(self, pair: EnginePair, like: dspy.LM) -> None:
        self._pair = pair
        # Else DSPy fetches its list of models over the network, to tell what this one can do.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        self.supports_function_calling = like.supports_function_calling
        self.supports_response_schema = like.supports_response_schema
        self.supports_reasoning = like.supports_reasoning
        self.supported_params = tuple(sorted(like.supported_params))
        self.complete = pair.sync.complete
        self.stream = pair.sync.stream

    def close(self) -> None:
        closing = getattr(self._pair.sync, "close", None)
        if closing is not None:
            closing()

    async def aclose(self) -> None:
        closing = getattr(self._pair.asynchronous, "aclose", None)
        if closing is not None:
            await closing()
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Front:
        return self


def exchange(program: dspy.Module, replace: Callable[[dspy.LM], dspy.LM]) -> None:
    """Put `replace(lm)` in the place of every LM that `program` holds, in place.

    Looked at: the attributes of every sub-module, and lists, tuples and dicts in them.
    """
    seen: set[int] = set()
    for _, module in [("", program), *program.named_sub_modules()]:
        if id(module) not in seen:
            seen.add(id(module))
            for name, value in list(vars(module).items()):
                if name not in {"history", "callbacks", "demos"}:
                    swapped = _swapped(value, replace)
                    if swapped is not value:
                        setattr(module, name, swapped)


def _swapped(value: Any, replace: Callable[[dspy.LM], dspy.LM], above: tuple[int, ...] = ()) -> Any:
    if isinstance(value, dspy.BaseLM) and not isinstance(value, RoleLM):
        return replace(value)
    if id(value) in above:  # a container that holds itself
        return value
    above = (*above, id(value))
    if type(value) in {list, tuple}:
        items = [_swapped(item, replace, above) for item in value]
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return type(value)(items) if changed else value
    if type(value) is dict:
        pairs = {key: _swapped(item, replace, above) for key, item in value.items()}
        return pairs if any(pairs[key] is not value[key] for key in value) else value
    return value
