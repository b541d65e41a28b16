"""Routing in a stack: the cheapest or fastest model of a role first, one that fails last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest

from compilm import assemble
from compilm.clock import ManualClock
from compilm.config import RoleSettings, RuntimeSettings
from compilm.errors import ConfigError
from compilm.prices import Prices
from compilm.runtime.stack import Provider, Stacks
from compilm.testing.layer_kit import CountingEngine

ASK = dspy.Predict("question -> answer")
SAID = "[[ ## answer ## ]]\n{}\n\n[[ ## completed ## ]]"
PRICES = Prices({"a/dear": {"input": 5, "output": 25}, "a/cheap": {"input": 1, "output": 2}})


class Models:
    """A dear and a cheap model on one clock, which say who they are and take some seconds."""

    def __init__(
        self, order: str, *, dear: float = 1.0, cheap: float = 1.0, **settings: Any
    ) -> None:
        self.clock, self.down = ManualClock(), set[str]()
        self.seconds = {"dear": dear, "cheap": cheap}
        self.engines = {name: CountingEngine(self._reply(name)) for name in self.seconds}
        chain = [self._provider(name, engine) for name, engine in self.engines.items()]
        runtime = RuntimeSettings(**{"attempts": 1, **settings})
        self.stack = Stacks(runtime, self.clock, PRICES).over(*chain, order=order)

    def _reply(self, name: str) -> Any:
        def reply(_: Any) -> Any:
            self.clock.advance(self.seconds[name])
            return (
                dspy.LMServerError(model=name, message="down")
                if name in self.down
                else SAID.format(name)
            )

        return reply

    def _provider(self, name: str, engine: CountingEngine) -> Provider:
        like = dspy.LM(f"a/{name}", engine=engine.pair.sync, async_engine=engine.pair.asynchronous)
        return replace(Provider.of(like), pair=engine.pair, blocks=False)

    def ask(self) -> str:
        with dspy.context(lm=self.stack.lm):
            return str(ASK(question="who?").answer)


def test_a_role_can_ask_the_cheapest_first_and_the_next_where_it_fails() -> None:
    models = Models("cost")
    assert [models.ask() for _ in range(3)] == ["cheap"] * 3
    models.down.add("cheap")
    assert models.ask() == "dear"
    assert Models("given").ask() == "dear"
    assert "fallback   2 models, each once a round, the cheapest for a call first" in str(
        models.stack
    )


def test_a_role_can_ask_the_fastest_first() -> None:
    models = Models("latency", dear=0.5, cheap=2.0)
    found = [models.ask() for _ in range(100)]
    assert set(found[:2]) == {"dear", "cheap"}  # each is tried once
    assert found.count("dear") > 85


def test_a_model_whose_circuit_is_open_is_not_asked_first() -> None:
    models = Models("cost", dear=0.1, cheap=0.1, breaker=2)
    models.down.add("cheap")
    assert [models.ask() for _ in range(3)] == ["dear"] * 3
    assert models.engines["cheap"].calls == 2
    models.down.clear()
    models.clock.advance(9.0)  # it may be probed again
    assert [models.ask() for _ in range(2)] == ["cheap"] * 2


def test_an_order_is_a_setting_of_a_role_and_no_other_word_will_do() -> None:
    settings = RoleSettings(("openai/gpt-5", "openai/gpt-5-mini"), order="cost")
    (stack,) = assemble.stacks_from({"default": settings}).values()
    assert "the cheapest for a call first" in str(stack)
    assert stack.lm.fallbacks == ("openai/gpt-5-mini",)  # a compile still asks the first
    with pytest.raises(ConfigError, match="'luck' is none: it is one of given, cost, latency"):
        Stacks().over(dspy.LM("openai/gpt-5"), order="luck")
