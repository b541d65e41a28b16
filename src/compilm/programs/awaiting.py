"""A program called from a task, whatever it can."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import dspy

__all__ = ["acalled"]


async def acalled(program: dspy.Module, inputs: Mapping[str, Any]) -> Any:
    """The program's prediction, awaited; one without `aforward` runs in a thread."""
    if hasattr(type(program), "aforward"):
        return await program.acall(**inputs)
    return await asyncio.to_thread(program, **inputs)
