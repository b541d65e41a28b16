"""The engine: a world behind `dspy.LM`, so that optimizers run in it as shipped.

It answers the requests of the program by the response model, and every other request, whatever
optimizer sends it, by the proposer model. It reads nothing but the request.

A right answer is drawn by a Gaussian threshold: with P the probability by the response model, z
the case's own luck and e the prompt's, the answer is right if Phi(sqrt(rho) z + sqrt(1-rho) e) <
P. So the chance is exactly P for every rho, and two prompts' errors on one case are correlated.
"""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage, response_to_events

from .asked import Asked
from .proposer import propose
from .response import Responses
from .worlds import CASE, LABELS, World, uniform

__all__ = ["Counts", "WorldEngine", "world_lm"]

_PROGRAMS = {("facts",), ("label",)}  # the outputs of the steps
_AS_JSON = "Outputs will be a JSON object"
_NORMAL = NormalDist()
_KEPT = 512  # prompts kept read


@dataclass(slots=True)
class Counts:
    """What was asked for: calls, and tokens in and out at four characters a token."""

    task_calls: int = 0
    task_tokens: int = 0
    proposer_calls: int = 0
    proposer_tokens: int = 0

    def add(self, *, is_task: bool, tokens: int) -> None:
        if is_task:
            self.task_calls += 1
            self.task_tokens += tokens
        else:
            self.proposer_calls += 1
            self.proposer_tokens += tokens


class WorldEngine:
    """Answers requests in one world and counts them.

    At temperature 0 or None an answer is a function of the request. Otherwise it is one of the
    request and its seed, or, without a seed, of how often that same request came before: what
    other requests run at the same time makes no difference.

    >>> from .worlds import WORLDS
    >>> world = World(WORLDS["rules"], seed=0)
    >>> with dspy.context(lm=world_lm(WorldEngine(world))):
    ...     world.program()(ticket="Case C00007: please handle.").label
    'L0'
    """

    supports_function_calling = False
    supports_response_schema = False
    supports_reasoning = False
    supported_params: tuple[str, ...] = ()

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts = Counts()
        self.responses = Responses(world)
        self._read = lru_cache(maxsize=_KEPT)(self.responses.read)
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()

    def complete(self, request: Request) -> Response:
        """The world's answer to a request of a program or of a proposer."""
        asked = Asked.of(request)
        is_task = "ticket" in asked.inputs and asked.outputs in _PROGRAMS
        draw = self._draw_number(asked, request)
        values = self._answer(asked, draw) if is_task else self._propose(asked, draw)
        text = _written(values, as_json=_AS_JSON in asked.system)
        usage = Usage(input_tokens=asked.length // 4, output_tokens=len(text) // 4)
        with self._lock:
            self.counts.add(is_task=is_task, tokens=asked.length // 4 + len(text) // 4)
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant((TextPart(text),)),
            finish_reason="stop",
            usage=usage,
        )

    def stream(self, request: Request) -> Iterator[Any]:
        """The same answer as events."""
        yield from response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to release."""

    def __deepcopy__(self, memo: dict[int, Any]) -> WorldEngine:
        return self

    def _draw_number(self, asked: Asked, request: Request) -> str:
        if not request.config.temperature:
            return ""
        if request.config.seed is not None:
            return f"seed {request.config.seed}"
        with self._lock:
            seen = self._seen[asked.key] = self._seen.get(asked.key, 0) + 1
        return str(seen)

    def _answer(self, asked: Asked, draw: str) -> dict[str, str]:
        world, p = self.world, self.world.parameters
        output = asked.outputs[0]
        step = world.steps.index("extract" if output == "facts" else "answer")
        prompt = self._read(step, asked.system, asked.turns[:-1])
        last = asked.turns[-1][1]
        case = world.cases[int(CASE.findall(last)[0])]
        chance = self.responses.probability(prompt, case.number)
        if step == 1 and "FACTS_OK" not in last:
            chance *= p.despite
        noise = _NORMAL.inv_cdf(uniform(world.seed, "noise", asked.key, draw))
        place = math.sqrt(p.shared) * case.luck[step]
        right = _NORMAL.cdf(place + math.sqrt(1 - p.shared) * noise) < chance
        if output == "facts":
            return {"facts": f"{'FACTS_OK' if right else 'FACTS_BAD'} of C{case.number:05d}"}
        if right:
            return {"label": case.label}
        away = 1 + int(uniform(world.seed, "wrong", asked.key, draw) * (LABELS - 1))
        return {"label": f"L{(int(case.label[1:]) + away) % LABELS}"}

    def _propose(self, asked: Asked, draw: str) -> dict[str, Any]:
        chance = random.Random(f"{self.world.seed} {asked.key} {draw}")
        text = "\n".join(text for _, text in asked.turns)
        return propose(self.world, text, asked.outputs, chance)


def world_lm(engine: WorldEngine) -> dspy.LM:
    """The LM over `engine`: nothing is cached, nothing is tried twice."""
    return dspy.LM("world/simulated", engine=engine, cache=False, num_retries=0)


def _written(values: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(values)
    shown = [
        f"[[ ## {name} ## ]]\n{value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
    ]
    return "\n\n".join([*shown, "[[ ## completed ## ]]"])
