"""What every trace of one loaded program says about it: its name, its digest, how it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from ...artifact import Artifact
from .values import snapshot

__all__ = ["AskedAs", "asked_as", "origin"]


@dataclass(frozen=True, slots=True)
class AskedAs:
    """How an LM asks: what a request depends on besides the program. Stands for it in a replay.

    `supported_params` and the three `supports_` are what DSPy's adapters look at.
    """

    model: str
    model_type: str
    kwargs: Mapping[str, Any]
    use_developer_role: bool
    supports_function_calling: bool
    supports_response_schema: bool
    supports_reasoning: bool
    supported_params: tuple[str, ...]


_NAMES = tuple(AskedAs.__dataclass_fields__)
# Named one by one: what else an LM was given may be an address or a key.
_SETTINGS = (
    "frequency_penalty", "logprobs", "max_completion_tokens", "max_tokens", "n",
    "parallel_tool_calls", "presence_penalty", "reasoning_effort", "seed", "stop", "temperature",
    "tool_choice", "top_k", "top_logprobs", "top_p", "verbosity",
)  # fmt: skip


def origin(program: str, artifact: Artifact, roles: Mapping[str, dspy.LM]) -> dict[str, Any]:
    """The program's name, the digest of its artifact, and how each role asks, as plain JSON.

    Of an LM's settings those that shape an answer are told, and never its address or key. One that
    asks by DSPy's own connections is left out: its calls are not seen, and what it can do DSPy
    looks up on the network.
    """
    return {
        "program": program,
        "digest": artifact.digest,
        "roles": {r: _told(lm) for r, lm in roles.items() if not isinstance(lm.engine, str)},
    }


def _told(lm: dspy.LM) -> dict[str, Any]:
    told = {name: getattr(lm, name, False) for name in _NAMES}
    told["kwargs"] = {name: lm.kwargs[name] for name in _SETTINGS if name in lm.kwargs}
    told["supported_params"] = sorted(lm.supported_params)
    return {name: snapshot(value) for name, value in told.items()}


def asked_as(told: Mapping[str, Any]) -> AskedAs:
    """What `origin` wrote about a role, read back.

    >>> from compilm.testing.engines import scripted_lm
    >>> asked_as(_told(scripted_lm(["yes"]))).model
    'scripted/model'
    """
    found = {name: told[name] for name in _NAMES}
    return AskedAs(**{**found, "supported_params": tuple(found["supported_params"])})
