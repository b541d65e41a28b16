"""Names and options: what is there is taken, what is not is told before anything is spent."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from compilm.errors import MissingExtra, UsageError
from compilm.optimizers.driven.catalog import KNOWN, choose

from .driving import EVERY


@pytest.mark.parametrize("name", EVERY)
def test_each_is_known_with_and_without_its_prefix(name: str) -> None:
    assert choose(name) == choose(f"dspy.{name}")
    assert choose(name).name == f"dspy.{name}"


def test_the_short_name_of_random_search_is_known() -> None:
    assert choose("dspy.BootstrapRS").name == "dspy.BootstrapFewShotWithRandomSearch"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("dspy.MIPRO", r"is 'dspy\.MIPROv2' meant\?\): there are dspy\.LabeledFewShot"),
        ("nothing", "is not known: there are"),
        ("", "give a name, as 'dspy.MIPROv2'"),
        (3, "optimizer=3: give a name"),
        ("dspy.KNNFewShot", "choose demonstrations per input"),
        ("dspy.Ensemble", "no single state.*one by one"),
        ("dspy.BootstrapFewShotWithOptuna", "no seed.*dspy.MIPROv2"),
        ("dspy.BootstrapFinetune", "trains weights"),
    ],
)
def test_what_is_not_driven_says_why_and_what_to_do(name: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        choose(name)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("COPRO", {"bredth": 3}, r"no option 'bredth' \(is 'breadth' meant\?\); it has breadth"),
        ("COPRO", {"metric": "exact(a)"}, "the compile's metric is used"),
        ("GEPA", {"reflection_lm": "openai/m"}, "bound by role"),
        ("GEPA", {"seed": 3}, "seed= says it"),
        ("GEPA", {"log_dir": "logs"}, "the journal keeps everything"),
        ("GEPA", {"num_threads": 3}, "concurrency= says it"),
        ("GEPA", {"auto": "light", "max_metric_calls": 9}, r"refuses the options.*Exactly one of"),
        ("COPRO", {"breadth": 1}, r"refuses the options.*[Bb]readth"),
        ("COPRO", {"breadth": "many"}, "refuses the options.*'many'"),
        ("LabeledFewShot", {"k": object()}, "option 'k' is a object: give numbers, texts"),
        ("BetterTogether", {"optimizers": []}, "optimizers is a table of steps"),
        ("BetterTogether", {"optimizers": {"a": "dspy.Nothing"}}, "'dspy.Nothing' is not known"),
        ("BetterTogether", {"optimizers": {"a": {"k": 3}}}, "step 'a' is"),
        (
            "BetterTogether",
            {"optimizers": {"a": {"optimizer": "dspy.COPRO", "x": 1}}},
            "dspy.COPRO has no option 'x'",
        ),
        (
            "BetterTogether",
            {"optimizers": {"a": "dspy.COPRO"}, "strategy": "a -> w"},
            "names the step 'w'; `optimizers` has a",
        ),
        ("BetterTogether", {"optimizers": {"w": "dspy.BootstrapFinetune"}}, "trains weights"),
    ],
)
def test_an_option_that_cannot_be_is_told(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        choose(name, options)


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'compilm\[optimizers\]'"):
        choose("dspy.MIPROv2")


def test_what_is_driven_is_what_the_tests_drive() -> None:
    tested = {each if isinstance(each, str) else each.values[0] for each in EVERY}
    assert tested == set(KNOWN)
