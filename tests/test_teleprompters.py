"""A compile behind DSPy's interface: called as DSPy's optimizers are, by DSPy itself too."""

from __future__ import annotations

import inspect
from pathlib import Path

import dspy
import pytest
from dspy.teleprompt.teleprompt import Teleprompter
from tests.optimizers import worlds

import compilm
from compilm.errors import UsageError

TRAIN, VAL, TEST = (worlds.examples(40, start) for start in (0, 1000, 2000))


def test_it_gives_a_program_of_dspys_that_saves_and_loads(tmp_path: Path) -> None:
    student = worlds.Sorter()
    optimizer = compilm.Compile(
        "exact(label)", level=1, budget=compilm.Budget(rollouts=500), roles={"default": _lm()}
    )
    program = optimizer.compile(student, trainset=TRAIN, valset=VAL, testset=TEST)
    result = optimizer.last_result
    assert result is not None
    assert result.verdict in ("proven", "likely")
    assert isinstance(program, worlds.Sorter)
    assert program is not student
    assert program._compiled
    assert student.sort.demos == []
    program.save(str(tmp_path / "state.json"))
    fresh = worlds.Sorter()
    fresh.load(str(tmp_path / "state.json"))
    assert len(fresh.sort.demos) == len(program.sort.demos) > 0


def test_where_nothing_is_shown_a_copy_of_the_student_comes_back() -> None:
    student = worlds.Sorter()
    optimizer = compilm.Compile("exact(label)", level=0, roles={"default": _lm()})
    program = optimizer.compile(student, trainset=TRAIN, valset=VAL, testset=TEST)
    assert program is not student
    assert isinstance(program, worlds.Sorter)
    assert not student._compiled


def test_dspys_own_optimizers_are_reached_through_it() -> None:
    optimizer = compilm.Compile(
        "exact(label)",
        optimizer="dspy.LabeledFewShot",
        optimizer_options={"k": 3},
        roles={"default": _lm()},
    )
    optimizer.compile(worlds.Sorter(), trainset=TRAIN, valset=VAL, testset=TEST)
    assert optimizer.last_result is not None
    assert optimizer.last_result.stop == "dspy.LabeledFewShot came to its end"


def test_dspys_better_together_takes_it_as_a_step() -> None:
    step = compilm.Compile("exact(label)", level=1, budget=compilm.Budget(rollouts=300))
    both = dspy.BetterTogether(metric=compilm.Metric(_right), p=step)
    student = worlds.Sorter()
    student.set_lm(_lm())
    found = both.compile(student, trainset=TRAIN, valset=VAL, strategy="p", num_threads=1)
    assert isinstance(found, worlds.Sorter)
    assert not found.flag_compilation_error_occurred


def test_its_compile_has_the_shape_of_dspys() -> None:
    ours = inspect.signature(compilm.Compile.compile).parameters
    theirs = inspect.signature(Teleprompter.compile).parameters
    named = {name for name, each in theirs.items() if each.kind != each.VAR_KEYWORD}
    assert named <= set(ours)
    assert compilm.Compile("exact(label)", level=1).get_params()["level"] == 1


def test_it_shows_no_validation_example_unless_it_is_told_to() -> None:
    assert not compilm.Compile("exact(label)").get_params()["constraints"].show_val
    shown = compilm.Compile("exact(label)", constraints=compilm.Constraints())
    assert shown.get_params()["constraints"].show_val


def test_a_teacher_is_refused() -> None:
    with pytest.raises(UsageError, match=r"teacher: a compile has none.*'proposer'"):
        compilm.Compile("exact(label)").compile(
            worlds.Sorter(), trainset=TRAIN, teacher=worlds.Sorter()
        )


def _right(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> bool:
    return bool(prediction.label == example.label)


def _lm() -> dspy.LM:
    return worlds.world_lm()
