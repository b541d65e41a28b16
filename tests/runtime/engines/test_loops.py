"""Clients of event loops: one for each, and none outlives its loop unnoticed."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys

from compilm.runtime.engines.loops import PerLoop


def test_what_was_not_closed_in_its_loop_is_dropped_by_the_next_and_with_its_owner() -> None:
    dropped: list[object] = []
    owner = [PerLoop(object, dropped.append)]

    async def here() -> object:
        assert owner[0].here() is owner[0].here()
        return owner[0].here()

    async def closed() -> object:
        owner[0].here()
        return owner[0].leave()

    first, second = asyncio.run(here()), asyncio.run(here())
    assert dropped == [first]
    assert asyncio.run(closed()) not in dropped
    third = asyncio.run(here())
    assert dropped == [first, second]
    owner.clear()
    gc.collect()
    assert dropped == [first, second, third]


NOISE = """
import asyncio
from dspy import lm15
from compilm.runtime.engines import lean
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer
with FaultServer(ScriptedEngine(["yes"])) as server:
    engine = lean("openai-chat", f"{server.url}/v1").asynchronous
    for _ in range(2):
        ask = engine.complete(lm15.Request("m", (lm15.Message.user("hi"),)))
        print(asyncio.run(ask).text)
"""


def test_a_script_that_closes_nothing_is_not_scolded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOISE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout.split(), done.stderr) == (["yes", "yes"], "")
