"""Nothing is looked up on the network by importing, by building, or by the first call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WATCHED = """
import socket, sys
def refused(*address, **_):
    raise SystemExit(f"looked up: {address[:2]}")
socket.getaddrinfo = refused
"""

SERVED = """
import dspy
import compilm
from compilm.config import RuntimeSettings
from compilm.runtime.stack import Stacks
from compilm.testing.engines import scripted_lm

like = dspy.LM("openai/gpt-5-mini", api_key="none")
stacks = Stacks(RuntimeSettings(cache="memory"))
print(stacks.over(like, dspy.LM("anthropic/claude-haiku-4-5", api_key="none")))
stack = stacks.over(scripted_lm([{"answer": "4"}]))
program = dspy.Predict("question -> answer")
program.save(sys.argv[1] + "/state.json")
artifact = compilm.adopt(sys.argv[1] + "/state.json", program)
runtime = compilm.load(artifact, program, roles={"default": stack.lm})
print(runtime(question="2+2?").answer)
"""


def test_a_stack_is_built_and_asked_without_a_look_at_the_network(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LITELLM_")}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + SERVED, str(tmp_path)],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["4"]), done.stderr
    assert "refresh failed" not in done.stderr
