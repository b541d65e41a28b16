"""An OpenAI client whose requests are asked of a `dspy.LM`, without a network in between.

    client = compilm.bridges.openai.client()
    client.chat.completions.create(model="any", messages=[...])

Whatever speaks through the official SDK (code of one's own, LangChain's, LlamaIndex's, AutoGen's
OpenAI models) so has the caches, retries, budget, ledger and traces of the role that is current:
a compile meters and journals its calls, and a served program's trace has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dspy
from dspy import lm15

from ..errors import CallFailed, CompilmError, DeadlineExceeded, ProviderRejected, Refused
from ..programs.chat_form import chat_completion
from .asking import aask, ask

if TYPE_CHECKING:
    import httpx
    import openai

__all__ = ["async_client", "client", "transport"]

_ADDRESS = "http://role.invalid/v1"  # never asked: the transport answers
_KEY = "no-key"
_STATUS = {
    "LMAuthError": 401,
    "LMBillingError": 402,
    "LMTimeoutError": 408,
    "LMRateLimitError": 429,
    "LMInvalidRequestError": 400,
    "ContextWindowExceededError": 400,
    "LMUnsupportedFeatureError": 400,
}


def client(lm: dspy.LM | None = None, **options: Any) -> openai.OpenAI:
    """An `openai.OpenAI` that asks `lm`; without one, the LM of the context each call is made in.

    The SDK retries nothing: the role does. `options` go to the SDK's client.

    >>> from compilm.testing.engines import scripted_lm
    >>> with dspy.context(lm=scripted_lm(["4"])):
    ...     said = client().chat.completions.create(
    ...         model="any", messages=[{"role": "user", "content": "2+2?"}]
    ...     )
    >>> said.choices[0].message.content
    '4'
    """
    import httpx
    import openai

    reached = httpx.Client(transport=transport(lm))
    return openai.OpenAI(
        base_url=_ADDRESS, api_key=_KEY, max_retries=0, http_client=reached, **options
    )


def async_client(lm: dspy.LM | None = None, **options: Any) -> openai.AsyncOpenAI:
    """As `client`, an `openai.AsyncOpenAI`."""
    import httpx
    import openai

    reached = httpx.AsyncClient(transport=transport(lm))
    return openai.AsyncOpenAI(
        base_url=_ADDRESS, api_key=_KEY, max_retries=0, http_client=reached, **options
    )


def transport(lm: dspy.LM | None = None) -> Any:
    """An httpx transport, sync and async, that answers `POST …/chat/completions` by asking `lm`.

    A stream is one piece: the whole answer. A failed call is an answer with a status, which the
    SDK makes its own error of, and which tells it not to try again.

    >>> import httpx
    >>> with httpx.Client(transport=transport()) as reached:
    ...     reached.get("http://any.invalid/v1/models").status_code
    404
    """
    import httpx

    class Role(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            body = _body(request.url.path, request.read())
            if body is None:
                return _unknown(request)
            try:
                return _response(ask(body, lm), body)
            except Exception as error:  # border: told as a provider would, the SDK raises its own
                return _failed(error)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            body = _body(request.url.path, await request.aread())
            if body is None:
                return _unknown(request)
            try:
                return _response(await aask(body, lm), body)
            except Exception as error:  # border: as above
                return _failed(error)

    return Role()


def _body(path: str, sent: bytes) -> Mapping[str, Any] | None:
    return json.loads(sent) if path.endswith("/chat/completions") else None


def _unknown(request: httpx.Request) -> httpx.Response:
    return _told(404, "not_found", f"only chat completions are answered here, not {request.url}")


def _response(answer: lm15.Response, body: Mapping[str, Any]) -> httpx.Response:
    import httpx

    whole = chat_completion(answer)
    if not body.get("stream"):
        return httpx.Response(200, json=whole)
    usage = body.get("stream_options") or {}
    events = "".join(
        f"data: {json.dumps(chunk)}\n\n"
        for chunk in _chunks(whole, has_usage=bool(usage.get("include_usage")))
    )
    headers = {"content-type": "text/event-stream"}
    return httpx.Response(200, headers=headers, text=f"{events}data: [DONE]\n\n")


def _chunks(whole: dict[str, Any], *, has_usage: bool) -> list[dict[str, Any]]:
    (choice,) = whole["choices"]
    delta = dict(choice["message"])
    calls = delta.get("tool_calls", [])
    if calls:
        delta["tool_calls"] = [{**call, "index": place} for place, call in enumerate(calls)]
    frame = {**whole, "object": "chat.completion.chunk", "usage": None}
    said = {"index": 0, "delta": delta, "finish_reason": choice["finish_reason"]}
    chunks = [{**frame, "choices": [said]}]
    return [*chunks, {**frame, "choices": [], "usage": whole["usage"]}] if has_usage else chunks


def _failed(error: Exception) -> httpx.Response:
    if isinstance(error.__cause__, CompilmError):  # DSPy wraps what a policy of ours raises
        error = error.__cause__
    status = getattr(error, "status", None) or next(
        (_STATUS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _STATUS),
        _of_ours(error),
    )
    return _told(status, type(error).__name__, str(error).partition("\n\n")[0])


def _of_ours(error: Exception) -> int:
    if isinstance(error, ProviderRejected):
        return 401
    if isinstance(error, DeadlineExceeded):
        return 408
    if isinstance(error, Refused):
        return 429
    if isinstance(error, CallFailed):
        return 502
    return 400 if isinstance(error, CompilmError | ValueError | TypeError) else 502


def _told(status: int, kind: str, message: str) -> httpx.Response:
    import httpx

    said = {"error": {"message": message, "type": kind}}
    return httpx.Response(status, json=said, headers={"x-should-retry": "false"})
