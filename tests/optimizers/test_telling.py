"""A program that hides its inputs hides the data too, wherever a compile writes it down."""

from __future__ import annotations

import dspy
import pytest

import compilm
from compilm.errors import UsageError
from compilm.guardrails import Redacted, hidden_examples
from compilm.journal import open_journal
from compilm.runtime.embedded import embedded_lm

NAMES = ("Ana Pratt", "Bo Lindqvist", "Cem Aydin", "Dora Falk")
KINDS = {"call": "Please call {name} back today", "bill": "The bill of {name} is wrong"}


def examples(count: int) -> list[dspy.Example]:
    rows = []
    for n in range(count):
        kind = list(KINDS)[n % 2]
        text = f"{KINDS[kind].format(name=NAMES[n % 4])}, case {n}."
        rows.append(dspy.Example(text=text, kind=kind).with_inputs("text"))
    return rows


def program() -> dspy.Module:
    return Redacted(dspy.Predict("text -> kind"))


@pytest.mark.parametrize("level", [1, 3])
def test_no_name_reaches_journal_or_artifact(tmp_path, level):
    journal = open_journal(tmp_path / "run.db")
    rows = examples(60)
    result = compilm.compile(
        program(), "exact(kind)", trainset=rows[:24], valset=rows[24:44], testset=rows[44:],
        roles={"default": embedded_lm("embedded/base")}, level=level,
        budget=compilm.Budget(rollouts=150), journal=journal,
    )  # fmt: skip
    result.save(tmp_path / "artifact")
    written = (tmp_path / "artifact" / "artifact.json").read_text("utf-8")
    told = "\n".join(str(record.body) for record in journal.read())
    assert "[NAME_1]" in told
    assert level > 1 or "[NAME_1]" in written
    assert not [name for name in NAMES if name in written or name in told]


def test_dspys_optimizers_want_hidden_examples():
    rows = examples(24)
    asked = {"valset": rows[12:], "budget": compilm.Budget(rollouts=40)}
    asked["roles"] = {"default": embedded_lm("embedded/base")}
    with pytest.raises(UsageError, match="hidden_examples"):
        compilm.compile(
            program(), "exact(kind)", trainset=rows[:12], optimizer="dspy.LabeledFewShot", **asked
        )
    hidden = hidden_examples(rows[:12])
    result = compilm.compile(
        program(), "exact(kind)", trainset=hidden, optimizer="dspy.LabeledFewShot", **asked
    )
    assert not [name for name in NAMES if name in str(result.artifact.content)]
