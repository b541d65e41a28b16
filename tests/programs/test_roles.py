"""Predictors ask for models by role: a compile and a loaded artifact give each its own."""

from __future__ import annotations

from pathlib import Path

import dspy
import pytest

import compilm
from compilm.confidence import Escalate
from compilm.errors import ConfigError, ProgramError, UsageError
from compilm.programs.predictors import shape
from compilm.programs.roles import in_role
from compilm.testing.engines import scripted_lm


def program() -> Escalate:
    """The same signature twice, asked of two models."""
    cheap, dear = (dspy.Predict("question -> answer") for _ in range(2))
    steps = {"cheap": in_role(cheap, "cheap"), "dear": dear}
    return Escalate(steps, accept=lambda said: said.answer != "unsure")


ROWS = [dspy.Example(question=f"{n}?", answer="4").with_inputs("question") for n in range(30)]


def test_a_role_is_part_of_the_shape_and_of_every_copy() -> None:
    for each in (program(), program().deepcopy(), program().reset_copy()):
        assert [one.role for one in shape(each)] == ["cheap", "default"]


def test_a_compile_and_a_loaded_artifact_ask_each_roles_model(tmp_path: Path) -> None:
    cheap, dear = (
        scripted_lm([{"answer": "unsure"}], "s/cheap"),
        scripted_lm([{"answer": "4"}], "s/dear"),
    )
    result = compilm.compile(
        program(), "exact(answer)", trainset=ROWS, level=0, progress="none",
        roles={"default": dear, "cheap": cheap},
    )  # fmt: skip
    assert cheap.engine.calls == dear.engine.calls > 0
    result.save(tmp_path / "build")
    before = cheap.engine.calls
    runtime = compilm.load(tmp_path / "build", program(), roles={"default": dear, "cheap": cheap})
    assert runtime(question="2+2?").answer == "4"
    assert cheap.engine.calls == before + 1
    with pytest.raises(ConfigError, match="'cheap'"):
        compilm.load(tmp_path / "build", program(), roles={"default": dear})


def test_a_role_without_a_model_is_told_before_anything_is_spent() -> None:
    lm = scripted_lm([{"answer": "4"}])
    with pytest.raises(ProgramError, match=r"'steps\.cheap' asks for the role 'cheap'"):
        compilm.compile(program(), "exact(answer)", trainset=ROWS, level=0, progress="none",
                        roles={"default": lm})  # fmt: skip
    assert lm.engine.calls == 0
    with pytest.raises(UsageError, match="a role is a name"):
        in_role(dspy.Predict("q -> a"), "big one")
