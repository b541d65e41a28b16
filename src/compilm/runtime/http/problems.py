"""Every failure of an HTTP call as one RFC 9457 document with a stable code, leaking nothing."""

from __future__ import annotations

import logging
import math
import secrets
from typing import TYPE_CHECKING, Any

from ...errors import BudgetExceeded, CallFailed, CompilmError, Refused, ReviewTaken, UsageError
from ..layers.outcomes import asked, retry_after_of

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import JSONResponse

__all__ = ["answer", "install"]

_log = logging.getLogger(__name__)

_TITLES = {
    "invalid-input": "The input is not what this program takes",
    "not-json": "The body is not said to be JSON",
    "not-found": "There is nothing at this address",
    "not-allowed": "This address is not asked this way",
    "taken": "Somebody else has it",
    "budget": "A budget has no room for this call",
    "refused": "Nothing was tried; ask again later",
    "model-failed": "A model did not answer",
    "deadline": "The answer did not come in time",
    "internal": "Something went wrong here",
    "http": "The request cannot be answered",
}


def install(app: Any) -> None:
    """Make every failure of `app` a problem document."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, answer)


def answer(request: Request, error: Exception) -> JSONResponse:
    """The problem document for what a program's call raised; what is not said is logged.

    A budget of the day is 429 with `Retry-After`, one of a call 402: it would not help to ask
    again. `Refused`, also by each model of a chain, is 503 with `Retry-After`, a late answer 504,
    a model's failure 502, a wrong input 422, anything else 500.
    """
    for spent in (error, error.__cause__):
        if isinstance(spent, BudgetExceeded):
            return _over_budget(spent)
    if isinstance(error, ReviewTaken):
        return _problem(409, "taken", str(error), retry_after=error.retry_after)
    if isinstance(error, Refused):
        return _problem(503, "refused", str(error), retry_after=error.retry_after)
    if (refusal := _refusal(error)) is not None:
        told = "a model is left alone for a while, or its limits are reached"
        return _problem(503, "refused", told, retry_after=retry_after_of(refusal))
    if isinstance(error, UsageError):
        return _problem(422, "invalid-input", str(error))
    marked = f"e-{secrets.token_hex(6)}"
    _log.error("%s %s failed (%s)", request.method, request.url.path, marked, exc_info=error)
    kind = type(error).__name__
    if isinstance(error, TimeoutError) or kind in ("LMTimeoutError", "LMLockTimeoutError"):
        return _problem(504, "deadline", "the deadline passed before the answer", instance=marked)
    if isinstance(error, CallFailed) or _is_models(error):
        return _problem(502, "model-failed", f"the call ended with {kind}", instance=marked)
    return _problem(500, "internal", "the log has the reason under this id", instance=marked)


def _over_budget(error: BudgetExceeded) -> JSONResponse:
    """Without figures: how much may be spent is nobody's business but the operator's."""
    if error.retry_after is None:
        return _problem(402, "budget", "this call would take more than one call may")
    told = "what may be spent in a day is spent"
    return _problem(429, "budget", told, retry_after=error.retry_after)


def _refusal(error: Exception) -> BaseException | None:
    """What refused the call before any provider was asked; DSPy tells it in words of its own."""
    for each in (error, error.__cause__):
        if isinstance(each, CompilmError) and not asked(each):
            return each
    return None


def _is_models(error: Exception) -> bool:
    """Whether DSPy says that a model failed, or answered what cannot be read."""
    return any(
        kind.__module__.partition(".")[0] == "dspy"
        and (kind.__name__.startswith("LM") or kind.__name__ == "AdapterParseError")
        for kind in type(error).__mro__
    )


def _invalid(request: Request, error: Exception) -> JSONResponse:
    errors: list[dict[str, Any]] = getattr(error, "errors", list)()
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = declared.startswith("application/") and declared.endswith("json")
    if not is_json and any(one["loc"][0] == "body" for one in errors):
        told = f"it is {declared or 'nothing'}: send the header content-type: application/json"
        return _problem(415, "not-json", told)
    found = [_told(one) for one in errors]
    named = "; ".join(f"{one['field'] or 'body'}: {one['message']}" for one in found)
    return _problem(422, "invalid-input", named, errors=found)


def _told(one: dict[str, Any]) -> dict[str, str]:
    """A field and what is wrong with it; a body that is no JSON has a place instead of a field."""
    where = one["loc"][1:]
    if one["type"] == "json_invalid":
        reason = one.get("ctx", {}).get("error", one["msg"])
        return {"field": "", "message": f"not JSON at character {where[0]}: {reason}"}
    return {"field": ".".join(map(str, where)), "message": one["msg"]}


def _http(request: Request, error: Exception) -> JSONResponse:
    status = getattr(error, "status_code", 500)
    code = {404: "not-found", 405: "not-allowed"}.get(status, "http")
    detail = f"{request.method} {request.url.path}; GET /v1/programs tells what is served"
    response = _problem(status, code, detail)
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _problem(
    status: int, code: str, detail: str, *, retry_after: float | None = None, **more: Any
) -> JSONResponse:
    from .sent import Json

    body = {
        "type": f"urn:compilm:problem:{code}",
        "title": _TITLES[code],
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }
    headers = {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}
    return Json(body, status, headers, media_type="application/problem+json")
