"""The guard hears of every model a program reaches; a user's callbacks hear of modules as well."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.utils.callback import BaseCallback

from compilm.errors import RunStopped
from compilm.optimizers.budget import Budget
from compilm.testing.engines import scripted_lm

from . import worlds
from .bench import Bench, bench

HIDDEN: list[dspy.LM] = []


class Reaches(worlds.Sorter):
    """Asks a model that stands nowhere in it, and a module that is made on the way."""

    def forward(self, text: str) -> Any:
        HIDDEN[0]("hello")
        dspy.Predict("text -> mood")(text=text, lm=HIDDEN[0])
        return super().forward(text=text)


def run(made: Bench, count: int) -> None:
    made.evaluator.run([(made.baseline, index) for index in range(count)], "val")


@pytest.fixture(autouse=True)
def hidden() -> Any:
    HIDDEN[:] = [scripted_lm(lambda request: {"mood": "calm"}, model="openai/hidden")]
    yield
    HIDDEN.clear()


def test_models_that_are_reached_behind_our_back_are_counted() -> None:
    with bench(program=Reaches()) as made:
        run(made, 4)
        assert made.calls.ledger.spent().calls == 12


def test_and_stopped_by_the_budget() -> None:
    with bench(program=Reaches(), budget=Budget(calls=7), concurrency=1) as made:
        with pytest.raises(RunStopped):
            run(made, 10)
        assert made.calls.ledger.spent().calls <= 7


def test_a_callback_of_the_user_hears_of_the_modules_too() -> None:
    heard: list[str] = []

    class Listens(BaseCallback):
        def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
            heard.append(type(instance).__name__)

    with dspy.context(callbacks=[Listens()]), bench(concurrency=1) as made:
        run(made, 2)
    assert heard == ["Sorter", "Predict"] * 2
