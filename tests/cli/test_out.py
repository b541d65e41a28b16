"""Data goes to stdout, progress to stderr, and what is asked for as JSON is JSON only."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel
from tests.cli.conftest import Terminal

from compilm.cli.gate import Gate, gate_of
from compilm.cli.out import Out, as_json
from compilm.config import GateSettings
from compilm.metrics import Estimate


def opened(**options: bool) -> tuple[Out, io.StringIO, io.StringIO]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return Out(stdout=stdout, stderr=stderr, **options), stdout, stderr


def test_words_for_people_and_json_never_mix() -> None:
    out, stdout, _ = opened()
    out.say("hello")
    out.emit({"a": 1})
    assert stdout.getvalue() == "hello\n"
    out, stdout, _ = opened(json=True)
    out.say("hello")
    out.emit({"a": 1})
    assert stdout.getvalue() == '{"a": 1}\n'


def test_quiet_silences_progress_and_not_errors() -> None:
    out, _, stderr = opened(quiet=True)
    out.note("working")
    out.error("broken")
    assert stderr.getvalue() == "error: broken\n"


def test_color_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    Out(stdout=terminal, stderr=terminal).mark("ok", "fine")
    assert terminal.getvalue() == "\x1b[32mok\x1b[0m  fine\n"
    assert Out(stdout=terminal, stderr=terminal).live
    for name in ("NO_COLOR", "CI"):
        monkeypatch.setenv(name, "1")
        assert not Out(stdout=terminal, stderr=terminal).colored
    assert not Out(stdout=terminal, stderr=terminal).live
    assert not opened()[0].colored


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), ("YES\n", True), ("\n", False)])
def test_a_question_wants_a_yes(typed: str, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    out, _, stderr = opened()
    assert out.agreed("go on?") is agreed
    assert stderr.getvalue() == "go on? [y/N] "


def test_anything_has_a_json_form() -> None:
    @dataclass
    class Point:
        x: float
        where: Path

    class Model(BaseModel):
        y: int

    class Bag:
        def toDict(self) -> dict[str, int]:
            return {"z": 1}

    found = as_json([Point(float("inf"), Path("a")), Model(y=2), Bag(), {1: {2}}, None, True, 0.5])
    assert found == [{"x": None, "where": "a"}, {"y": 2}, {"z": 1}, {"1": [2]}, None, True, 0.5]


class TestGate:
    HALF = Estimate(0.5, 0.4, 0.6, 10)
    LOSS = Estimate(-0.1, -0.2, 0.0, 10)

    def test_passes_where_nothing_is_asked(self) -> None:
        gate = gate_of(GateSettings(), None, None)
        assert (gate.exit_code("budget: 3 calls"), gate.lines()) == (0, ())
        assert gate.incomplete("budget: 3 calls").exit_code("budget: 3 calls") == 0

    def test_passes_at_the_limit(self) -> None:
        assert gate_of(GateSettings(0.5, 0.1), self.HALF, self.LOSS).exit_code() == 0

    def test_fails_below_the_least_score(self) -> None:
        gate = gate_of(GateSettings(fail_under=0.51), self.HALF, None)
        assert (gate.exit_code(), gate.lines()) == (1, ("failed: score 0.500 is under 0.51",))

    def test_fails_above_the_greatest_loss(self) -> None:
        gate = gate_of(GateSettings(max_regression=0.05), self.HALF, self.LOSS)
        assert gate.lines() == ("failed: the score fell by 0.100, more than 0.05",)

    def test_a_score_that_is_no_number_fails(self) -> None:
        nothing = Estimate(float("nan"), 0.0, 1.0, 0)
        assert gate_of(GateSettings(fail_under=0.0), nothing, None).exit_code() == 1

    def test_is_undecided_without_figures(self) -> None:
        gate = gate_of(GateSettings(0.5, 0.1), None, None)
        assert len(gate.undecided) == 2
        assert gate.exit_code("budget: 3 calls") == 5
        assert gate.exit_code("done") == 1

    def test_figures_of_a_part_decide_nothing(self) -> None:
        gate = gate_of(GateSettings(0.9), self.HALF, None).incomplete("budget: 3 calls")
        assert (gate.failed, gate.exit_code("budget: 3 calls")) == ((), 5)

    @pytest.mark.parametrize(("stop", "code"), [("interrupted", 130), ("rejected: key", 4)])
    def test_an_end_from_outside_comes_first(self, stop: str, code: int) -> None:
        assert Gate(failed=("x",)).exit_code(stop) == code
