"""What went wrong on a wire, told once: status, code and headers become one `dspy.lm15` error."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from dspy import lm15

from ...clock import SYSTEM_CLOCK, Clock
from .wire import WireFailure

__all__ = ["retry_after", "told", "without"]

_LONGEST = 300  # characters kept of a provider's sentence
_WINDOW = 12  # this many characters in common with the prompt count as a piece of it
_BY_CODE: dict[str, Any] = {
    "insufficient_quota": lm15.BillingError,
    "billing_error": lm15.BillingError,
    "exceeded_current_quota_error": lm15.BillingError,
    "context_length_exceeded": lm15.ContextLengthError,
    "model_not_found": lm15.UnsupportedModelError,
    "model_not_available": lm15.UnsupportedModelError,
    "unsupported_model": lm15.UnsupportedModelError,
    "DeploymentNotFound": lm15.UnsupportedModelError,
}
_IN_STREAM: dict[str, Any] = {
    "authentication_error": lm15.AuthError,
    "invalid_api_key": lm15.AuthError,
    "permission_error": lm15.AuthError,
    "rate_limit_error": lm15.RateLimitError,
    "rate_limit_exceeded": lm15.RateLimitError,
    "timeout_error": lm15.TimeoutError,
    "invalid_request_error": lm15.InvalidRequestError,
    "invalid_prompt": lm15.InvalidRequestError,
    "not_found_error": lm15.InvalidRequestError,
    "request_too_large": lm15.InvalidRequestError,
    # Of the Responses API; besides these, each of its codes about an image is about the request.
    "no_capacity": lm15.RateLimitError,
    "too_many_requests": lm15.RateLimitError,
    "vector_store_timeout": lm15.TimeoutError,
    "data_residency_mismatch": lm15.InvalidRequestError,
    "bio_policy": lm15.InvalidRequestError,
}
_BY_STATUS: dict[int, Any] = {
    401: lm15.AuthError,
    402: lm15.BillingError,
    403: lm15.AuthError,
    408: lm15.TimeoutError,
    429: lm15.RateLimitError,
    504: lm15.TimeoutError,
}
_TOO_LONG = re.compile(
    r"prompt is too long|maximum context length|context (window|length)|too many (input )?tokens",
    re.I,
)
_NO_MONEY = re.compile(r"credit balance is too low", re.I)


def told(
    failure: WireFailure,
    wire: str,
    request: lm15.Request,
    *,
    key: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> lm15.LM15Error:
    """The error for a failed attempt: its class says what a caller can do, nothing leaks.

    >>> asked = lm15.Request("m", (lm15.Message.user("Is 221 prime?"),))
    >>> said = {"error": {"message": "cannot read 'Is 221 prime?' (sk-1)", "code": "bad"}}
    >>> failed = WireFailure("status", status=400, body=said)
    >>> error = told(failed, "openai-chat", asked, key="sk-1")
    >>> type(error).__name__, error.message
    ('InvalidRequestError', "openai-chat answered 400 (bad): cannot read '…' (…)")
    """
    code, sentence = _said(failure.body) if failure.kind in {"status", "event"} else ("", "")
    text = without(sentence[: 4 * _LONGEST], [key] if key else [], _texts(request))[:_LONGEST]
    details: dict[str, Any] = {
        "provider": wire,
        "provider_code": code if code and not _echoes(code, request, key) else None,
        "status": failure.status if failure.kind == "status" else None,
        "request_id": failure.headers.get("request-id") or failure.headers.get("x-request-id"),
        "retry_after": retry_after(failure.headers, clock),
        "rate_limit_headers": _limits(failure.headers) or None,
    }
    kind, start = _class(failure, code, sentence), _start(failure, wire)
    named = f" ({details['provider_code']})" if details["provider_code"] else ""
    return kind(f"{start}{named}: {text}" if text else f"{start}{named}", **details)


def _start(failure: WireFailure, wire: str) -> str:
    note = f": {failure.note}" if failure.note else ""
    return {
        "status": f"{wire} answered {failure.status}",
        "event": f"{wire} broke off its answer with an error{note}",
        "timeout": f"{wire} did not answer in time{note}",
        "transport": f"the connection to {wire} failed{note}",
        "malformed": f"{wire} sent no usable answer{note}",
        "unfinished": f"{wire} did not finish its answer{note}",
    }[failure.kind]


def _class(failure: WireFailure, code: str, sentence: str) -> Any:
    if failure.kind == "timeout":
        return lm15.TimeoutError
    if failure.kind in {"transport", "unfinished"}:
        return lm15.TransportError
    if failure.kind == "malformed":
        return lm15.ServerError
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    if failure.kind == "event":
        return _event_class(code, sentence)
    return _status_class(failure.status or 0, sentence)


def _event_class(code: str, sentence: str) -> Any:
    if code.isdigit() and int(code) >= 400:  # gateways put the status where a code belongs
        return _status_class(int(code), sentence)
    of_image = lm15.InvalidRequestError if "image" in code else lm15.ServerError
    known = _IN_STREAM.get(code, of_image)
    too_long = known is lm15.InvalidRequestError and _TOO_LONG.search(sentence)
    return lm15.ContextLengthError if too_long else known


def _status_class(status: int, sentence: str) -> Any:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return lm15.ServerError
    if not 400 <= status < 500:  # a redirect: the address is wrong, asking again cannot help
        return lm15.ProviderError
    if _TOO_LONG.search(sentence):
        return lm15.ContextLengthError
    if _NO_MONEY.search(sentence):
        return lm15.BillingError
    if status == 404 and "model" in sentence.lower():
        return lm15.UnsupportedModelError
    return lm15.InvalidRequestError


def _said(body: Any) -> tuple[str, str]:
    """The provider's code and sentence, wherever it put them; pages of HTML say nothing."""
    if not isinstance(body, dict):
        return "", ""
    inner = body.get("error", body)
    if isinstance(inner, str):
        return "", inner
    if not isinstance(inner, dict):
        return "", ""
    code = inner.get("code") or inner.get("type") or ""
    sentence = inner.get("message") or inner.get("detail") or ""
    return str(code)[:80], sentence if isinstance(sentence, str) else ""


def retry_after(headers: Mapping[str, str], clock: Clock = SYSTEM_CLOCK) -> float | None:
    """Seconds to wait by the provider's word, from lower-case headers; `None` if it gave none.

    Read are `retry-after-ms`, and `retry-after` as seconds or as an HTTP date (RFC 9110, 10.2.3).

    >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "250"})
    (2.0, 0.25)
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, moment - clock.wall())


def _limits(headers: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    named = ("x-ratelimit-", "anthropic-ratelimit-", "retry-after")
    return {name: (value,) for name, value in headers.items() if name.startswith(named)}


def _texts(request: lm15.Request) -> Iterator[str]:
    """Every text that a request holds."""
    system = request.system
    if isinstance(system, str):
        yield system
    parts = [] if system is None or isinstance(system, str) else list(system)
    parts += [part for message in request.messages for part in message.parts]
    for part in parts:
        pieces = part.content if part.type == "tool_result" else (part,)
        for piece in pieces:
            for name in ("text", "url", "data", "value", "input"):
                value = getattr(piece, name, None)
                if value:
                    yield value if isinstance(value, str) else repr(value)


def _echoes(code: str, request: lm15.Request, key: str | None) -> bool:
    return code != without(code, [key] if key else [], _texts(request))


def without(sentence: str, secrets: list[str], texts: Iterator[str]) -> str:
    """`sentence` with each secret, and each piece it shares with the texts, as one `…`.

    A piece is 12 characters or more; a text that is shorter counts as a whole from 4 on.

    >>> without("bad input 'tell me a long story' here", [], iter(["Now tell me a long story!"]))
    "bad input '…' here"
    """
    for secret in secrets:
        sentence = sentence.replace(secret, "…")
    hidden = [False] * len(sentence)
    for text in texts:
        size = min(_WINDOW, len(text))
        if size < 4:
            continue
        for start in range(len(sentence) - size + 1):
            if sentence[start : start + size] in text:
                hidden[start : start + size] = [True] * size
    kept = [
        "…" if cut and not (place and hidden[place - 1]) else "" if cut else char
        for place, (char, cut) in enumerate(zip(sentence, hidden, strict=True))
    ]
    return "".join(kept)
