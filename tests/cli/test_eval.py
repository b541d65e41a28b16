"""`compilm eval` scores on held-out examples, compares pair by pair, and gates a build."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Command, artifact

from compilm.artifact import write


@pytest.fixture
def desk(project: Path) -> Path:
    """The starter with two artifacts: one with demonstrations, one without."""
    demos = (
        {"message": "The parcel with my order has not come", "team": "orders"},
        {"message": "The brake of my bike squeaks", "team": "workshop"},
        {"message": "I want to send the jacket back", "team": "returns"},
        {"message": "The invoice was charged twice to my card", "team": "billing"},
    )
    write(artifact(demos=demos), project / "build" / "desk")
    write(artifact(), project / "build" / "plain")
    return project


def test_the_configured_program_is_scored(desk: Path, command: Command) -> None:
    done = command("eval")
    assert (done.code, done.out.split()[0]) == (0, "test")
    told = command("eval", "--json").json
    assert (told["split"], told["n"], told["gain"]) == ("test", 53, None)


def test_an_artifact_is_held_against_the_baseline(desk: Path, command: Command) -> None:
    done = command("eval", "build/desk", "--against", "baseline")
    assert (done.code, "against baseline" in done.out) == (0, True)
    told = command("eval", "build/desk", "--against", "baseline", "--json").json
    alone = command("eval", "build/desk", "--json").json
    plain = command("eval", "build/plain", "--json").json
    assert told["score"] == alone["score"]
    expected = alone["score"]["value"] - plain["score"]["value"]
    assert told["gain"]["value"] == pytest.approx(expected)
    assert told["gain"]["value"] > 0


def test_a_split_and_a_number_of_examples_can_be_chosen(desk: Path, command: Command) -> None:
    assert command("eval", "--split", "train", "--limit", "5", "--json").json["n"] == 5
    assert command("eval", "--limit", "0").code == 2


def test_without_a_test_split_the_half_of_val_is_taken_that_a_compile_proves_on(
    desk: Path, command: Command
) -> None:
    two = ("--set", "data.split={ train = 0.5, val = 0.5 }")
    found = command("eval", *two, "--json").json
    compiled = command("compile", "-O0", *two, "--json").json
    whole = command("eval", *two, "--split", "val", "--json").json
    other = command("eval", "build/desk", *two, "--set", "compile.seed=5", "--json").json
    assert other["n"] == found["n"], "an artifact's own seed says what was held out"
    assert found["split"] == "held-out"
    assert found["n"] == compiled["compiled"]["test"]["n"]
    assert found["score"]["value"] == compiled["compiled"]["test"]["value"]
    assert found["n"] < whole["n"]
    done = command("eval", *two, "--split", "test")
    assert (done.code, "there is train, val" in done.err) == (2, True)


class TestGate:
    def test_a_regression_against_another_artifact_is_1(self, desk: Path, command: Command) -> None:
        better = ("--against", "build/desk", "--max-regression", "0.02")
        done = command("eval", "build/plain", *better)
        assert (done.code, "gate  failed: the score fell by" in done.out) == (1, True)
        swapped = ("--against", "build/plain", "--max-regression", "0.02")
        assert command("eval", "build/desk", *swapped).code == 0

    def test_a_low_score_is_1(self, desk: Path, command: Command) -> None:
        assert command("eval", "--fail-under", "1.0").code == 1

    def test_a_configured_regression_waits_for_a_comparison(
        self, desk: Path, command: Command
    ) -> None:
        limit = ("--set", "gate.max_regression=0.02")
        assert command("eval", "build/plain", *limit).code == 0
        assert command("eval", "build/plain", *limit, "--against", "build/desk").code == 1

    def test_a_regression_of_nothing_is_refused(self, desk: Path, command: Command) -> None:
        done = command("eval", "--max-regression", "0.1")
        assert (done.code, "needs --against" in done.err) == (2, True)

    def test_a_budget_that_ends_first_is_5(self, desk: Path, command: Command) -> None:
        wide = ("--split", "train", "--set", "data.split={ train = 0.9, val = 0.1 }")
        done = command("eval", *wide, "--budget", "25calls", "--fail-under", "0", "--json")
        assert (done.code, done.json["stop"]) == (5, "budget: 25 calls")
        assert command("eval", *wide, "--budget", "25calls").code == 0


def test_examples_without_a_score_are_told(desk: Path, command: Command) -> None:
    (desk / "some.py").write_text(
        "from compilm.metrics import Score\n\n\n"
        "def some(example, prediction):\n"
        "    if 'e' in example.message[:9]:\n"
        "        return Score.unscored('not asked')\n"
        "    return 1.0\n"
    )
    done = command("eval", "--set", "metric=some.py:some")
    assert "of 53 examples have no score" in done.out
    assert command("eval", "--set", "metric=some.py:some", "--json").json["missing"] > 0


def test_what_is_no_artifact_is_3(desk: Path, command: Command) -> None:
    assert command("eval", "build/missing").code == 3
