"""One attempt by the engine that somebody's LM was made with, past DSPy's own way to it.

That way checks, copies and converts a request again that is ready: a third of what a rollout costs
this process. Where all of it would come to nothing the engine is asked at once; its errors become
DSPy's by DSPy's own functions.
"""

from __future__ import annotations

import logging

import dspy
from dspy import lm15
from dspy.clients import execution
from dspy.clients.errors import wrap_error
from dspy.dsp.utils.settings import settings

from ..engine import SAMPLE

__all__ = ["ask", "is_straight"]

_log = logging.getLogger("dspy.clients.lm")
_OWN = frozenset({"forward", "aforward", "__call__", "acall"})
_WORDS = (
    *("stop", "response_format", "tool_choice", "reasoning", "cache"),
    *("service_tier", "user_id", "extensions"),
)


def is_straight(lm: dspy.LM, request: lm15.Request) -> bool:
    """Whether a call of `lm` with this request is one call of its engine, and nobody hears of it.

    So it is of a plain LM with an engine object, for a request of text and numbers, where no
    history, tracker, stream or callback waits; one that says `passes_roles` has nothing to do
    below the model of a role.

    >>> from compilm.testing.engines import scripted_lm
    >>> lm = scripted_lm(["hi"])
    >>> asked = lm15.Request(model=lm.model, messages=(lm15.Message.user("hello"),))
    >>> with dspy.context(disable_history=True):
    ...     is_straight(lm, asked)
    True
    """
    return _is_plain(lm) and _is_quiet(lm) and request.model == lm.model and _is_text(request)


def ask(lm: dspy.LM, request: lm15.Request) -> lm15.Response:
    """The engine's answer; raises what a call of `lm` raises."""
    try:
        response = lm.engine.complete(request)
        if not isinstance(response, lm15.Response):
            kind = f"{type(response).__module__}.{type(response).__qualname__}"
            raise TypeError(f"Engine.complete must return dspy.lm15.Response, got {kind}")
    except Exception as error:  # border: an engine's errors become DSPy's, as in its own calls
        told = wrap_error(error, model=lm.model)
        execution._hint_responses_api(lm, told)
        if told is error:
            raise
        raise told from error
    if response.finish_reason == "length":
        _log.warning("LM response was truncated; increase max_tokens or inspect history.")
    return response


def _is_plain(lm: dspy.LM) -> bool:
    if type(lm) is not dspy.LM or isinstance(lm.engine, str) or lm.num_retries:
        return False
    return not (_OWN & vars(lm).keys() or hasattr(lm.engine, "complete_legacy"))


def _is_quiet(lm: dspy.LM) -> bool:
    if settings.send_stream is not None or not settings.disable_history or settings.usage_tracker:
        return False
    heard = [*(settings.get("callbacks") or []), *lm.callbacks]
    passed = SAMPLE.get() is not None
    return all(passed and getattr(one, "passes_roles", False) for one in heard)


def _is_text(request: lm15.Request) -> bool:
    """Nothing but text that can be sent, and numbers: what DSPy checks, and files it reads."""
    if request.tools or any(getattr(request.config, name, None) for name in _WORDS):
        return False
    system = request.system or ""
    parts = [part for message in request.messages for part in message.parts]
    if not isinstance(system, str) or any(type(part) is not lm15.TextPart for part in parts):
        return False
    try:
        "".join([system, *(part.text for part in parts)]).encode()
    except UnicodeEncodeError:
        return False
    return True
