"""A chat request of somebody else's client, asked of a `dspy.LM`: caches, budgets, traces hold.

Every bridge that puts one of our models behind another framework's interface goes through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dspy
from dspy import lm15

from ..errors import ConfigError
from ..programs.models import RoleLM

__all__ = ["aask", "ask", "model_of"]

_SETTINGS = ("temperature", "top_p", "stop", "seed", "reasoning_effort")
# What clients add for their own purposes; the answer is one and whole in any case.
_THEIRS = ("stream", "stream_options", "n", "user", "store", "metadata", "parallel_tool_calls")


def ask(body: Mapping[str, Any], lm: dspy.LM | None = None) -> lm15.Response:
    """The answer of `lm` (`None`: of the context's) to the body of a chat completions request.

    What the body says of temperature, length and so on holds; what it leaves out is as the LM has
    it. The model it names is not looked at: the LM is the role.

    Raises:
        ConfigError: there is no LM in this context.
        ValueError: the body is not a chat request, or asks for several answers.

    >>> from compilm.testing.engines import scripted_lm
    >>> messages = [{"role": "user", "content": "2+2?"}]
    >>> ask({"messages": messages}, scripted_lm(["4"])).text
    '4'
    """
    lm = model_of(lm)
    answer: lm15.Response = lm(_request(body, lm), **_options(lm))
    return answer


async def aask(body: Mapping[str, Any], lm: dspy.LM | None = None) -> lm15.Response:
    """As `ask`, awaited."""
    lm = model_of(lm)
    answer: lm15.Response = await lm.acall(_request(body, lm), **_options(lm))
    return answer


def model_of(lm: dspy.LM | None) -> dspy.LM:
    """`lm`, or the LM of this context; `ConfigError` where there is none."""
    found = lm if lm is not None else dspy.settings.lm
    if found is None:
        raise ConfigError(
            "a bridged call has no model: pass lm=, or call inside dspy.context(lm=...), a "
            "compile, or a served program"
        )
    return found


def _request(body: Mapping[str, Any], lm: dspy.LM) -> lm15.Request:
    if (body.get("n") or 1) > 1:
        raise ValueError("a bridged call has one answer: leave n out, or call several times")
    own = {name: lm.kwargs[name] for name in _SETTINGS if lm.kwargs.get(name) is not None}
    asked = {name: value for name, value in body.items() if name not in _THEIRS}
    # A text may be empty, and an empty instruction is none.
    rows = [row for row in asked.get("messages", ()) if row.get("content") != "" or not _told(row)]
    body = {**own, **asked, "messages": rows, "model": lm.model}
    request = lm15.request_from_openai_chat(body)
    longest = lm.kwargs.get("max_completion_tokens") or lm.kwargs.get("max_tokens")
    if request.config.max_tokens is None and longest:
        request = replace(request, config=replace(request.config, max_tokens=longest))
    return request


def _told(row: Mapping[str, Any]) -> bool:
    return row.get("role") in ("system", "developer")


def _options(lm: dspy.LM) -> dict[str, Any]:
    """Which sample is meant: DSPy takes it from a call, where the call is a whole request."""
    rollout = lm.kwargs.get("rollout_id")
    if isinstance(lm, RoleLM) or rollout is None:
        return {}
    return {"rollout_id": rollout}
