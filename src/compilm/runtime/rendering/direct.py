"""One call of a model from a request that is ready, without the way through OpenAI's dictionaries.

DSPy makes a request of messages again at each call, in a worker thread if the call is awaited.
Where a model only passes requests to an engine, that is all there is to it: no cache, no retries,
no history. Errors, usage and outputs are made by DSPy's own functions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NoReturn

import dspy
from dspy import lm15
from dspy.clients import execution
from dspy.clients.call_result import legacy_output, usage_dict
from dspy.clients.errors import wrap_error
from dspy.dsp.utils.settings import settings

from ...engine import PREFIX, Prefix
from ...programs.models import RoleLM, sampled

__all__ = ["acomplete", "complete", "is_direct", "options_key", "template_of"]

_log = logging.getLogger("dspy.clients.lm")
_FIXED = frozenset({str, int, float, bool, type(None)})
_PLAIN = frozenset({dspy.LM, RoleLM})
_OWN = frozenset({"forward", "aforward", "__call__", "acall"})


def is_direct(lm: Any) -> bool:
    """Whether a call of this model is one attempt of its engines and nothing else.

    >>> from compilm.testing.engines import scripted_lm
    >>> is_direct(scripted_lm(["hi"])), is_direct(dspy.LM("openai/gpt-5-mini"))
    (True, False)
    """
    if type(lm) not in _PLAIN or isinstance(lm.engine, str) or lm._async_engine_spec is None:
        return False
    if lm.cache or lm.num_retries or lm.model_type != "chat":
        return False
    return not (_OWN & vars(lm).keys() or hasattr(lm.engine, "complete_legacy"))


def options_key(lm: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What a call's settings are, to be compared; `None` for some that cannot be."""
    found: list[Any] = [lm.model]
    for given in (lm.kwargs, options):
        found.append(len(given))
        for name, value in given.items():
            kind = type(value)
            if kind in (list, tuple) and all(type(item) in _FIXED for item in value):
                value = tuple((type(item), item) for item in value)
            elif kind not in _FIXED:
                return None
            found += (name, kind, value)
    return tuple(found)


def template_of(lm: Any, options: Mapping[str, Any], system: str) -> Any:
    """A request with everything but the messages, as DSPy makes it for these settings.

    `None` where DSPy would do more than ask once, or refuses.
    """
    rows = [{"role": "system", "content": system}, {"role": "user", "content": "."}]
    try:
        call = execution.prepare(lm, None, rows, dict(options))
        if call.n != 1 or call.cache or not call.managed:
            return None
        request = execution._canonical(call)
    except Exception:  # border: what DSPy refuses here it refuses again, in its own place
        return None
    return request if request.system == system and len(request.messages) == 1 else None


def complete(lm: Any, request: Any, prefix: Prefix, options: Mapping[str, Any]) -> list[Any]:
    """The outputs of one call, as an adapter takes them; raises as the model itself does."""
    token = PREFIX.set(prefix)
    try:
        with _sample(lm, options):
            response = lm.engine.complete(request)
        output = legacy_output(response, logprobs=_scores(lm, options))
    except Exception as error:  # border: an engine's errors become DSPy's, as in its own calls
        _raise_told(lm, error)
    finally:
        PREFIX.reset(token)
    return _counted(lm, response, output)


async def acomplete(lm: Any, request: Any, prefix: Prefix, options: Mapping[str, Any]) -> list[Any]:
    """The same, awaited."""
    token = PREFIX.set(prefix)
    try:
        with _sample(lm, options):
            response = await lm._async_engine_spec.complete(request)
        output = legacy_output(response, logprobs=_scores(lm, options))
    except Exception as error:  # border: as above
        _raise_told(lm, error)
    finally:
        PREFIX.reset(token)
    return _counted(lm, response, output)


def _sample(lm: Any, options: Mapping[str, Any]) -> Any:
    """What a model of a role does around each of its calls."""
    return sampled(lm, options) if type(lm) is RoleLM else nullcontext()


def _raise_told(lm: Any, error: Exception) -> NoReturn:
    partial = error.partial if isinstance(error, lm15.StreamAssemblyError) else None
    if partial is not None and settings.usage_tracker:  # it was paid for
        settings.usage_tracker.add_usage(lm.model, usage_dict(partial))
    told = wrap_error(error, model=lm.model)
    execution._hint_responses_api(lm, told)
    if told is error:
        raise error
    raise told from error


def _scores(lm: Any, options: Mapping[str, Any]) -> bool:
    return bool(options.get("logprobs", lm.kwargs.get("logprobs")))


def _counted(lm: Any, response: Any, output: dict[str, Any]) -> list[Any]:
    """The output as adapters take it; its tokens are counted, and whoever cut it off is told of."""
    if settings.usage_tracker:
        settings.usage_tracker.add_usage(lm.model, usage_dict(response))
    if response.finish_reason == "length":
        _log.warning("LM response was truncated; increase max_tokens or inspect history.")
    return [output if len(output) > 1 else output["text"]]
