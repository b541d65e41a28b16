"""The program that is asked: one field to one field, with so many demonstrations."""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

__all__ = ["artifact_of"]


@cache
def artifact_of(demos: int) -> tuple[Any, Any]:
    """The program, and the artifact that it is."""
    import dspy

    from compilm import adopt

    program = dspy.Predict("question -> answer")
    program.demos = [
        dspy.Example(question=f"What is the capital of country {n}, in a word? " * 2, answer="Rome")
        for n in range(1000, 1000 + demos)
    ]
    with tempfile.TemporaryDirectory() as folder:
        program.save(f"{folder}/state.json")
        return program, adopt(f"{folder}/state.json", program)
