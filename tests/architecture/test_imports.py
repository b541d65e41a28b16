"""What a fresh process imports: nothing heavy too early, and nothing of compiling to serve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compilm.cli.main import VERBS

HEAVY = {
    "mlflow", "datasets", "faiss", "numpy", "pandas", "pyarrow", "optuna", "litellm", "langgraph",
    "fastapi",
}  # fmt: skip
SLOW_TO_START = {"dspy", "pydantic", "numpy", "fastapi", "rich"}
COMPILE_TIME = {
    "compilm.optimizers", "compilm.metrics", "compilm.datasets", "compilm.tracking", "compilm.api",
    "compilm.cli", "compilm.report", "compilm.views",
}  # fmt: skip

REPORT = """
import json, sys, time
before = set(sys.modules)
{code}
print(json.dumps([sorted(set(sys.modules) - before), time.process_time()]), file=sys.stderr)
"""

COMMAND = """
from compilm.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
"""

MAKE = """
import dspy
from compilm import adopt
from compilm.artifact import write
program = dspy.Predict("question -> answer")
program.save(sys.argv[1] + "/state.json")
write(adopt(sys.argv[1] + "/state.json", program), sys.argv[1] + "/one")
program.signature = program.signature.with_instructions("Answer in one word.")
program.save(sys.argv[1] + "/state.json")
write(adopt(sys.argv[1] + "/state.json", program), sys.argv[1] + "/two")
"""

SERVE = """
import dspy
from compilm import load
from compilm.testing.engines import scripted_lm
roles = {"default": scripted_lm([{"answer": "4"}])}
runtime = load(sys.argv[1] + "/two", dspy.Predict("question -> answer"), roles=roles)
assert runtime(question="2+2?").answer == "4"
"""

READ = """
from compilm import errors
from compilm.artifact import diff, parse, read
one, two = read(sys.argv[1] + "/one"), read(sys.argv[1] + "/two")
assert "one word" in diff(one, two).text()
try:
    parse(two.document.replace("one word", "two words").encode())
except errors.ArtifactTampered:
    pass
else:
    raise AssertionError("a changed artifact was read")
"""


def fresh(code: str, *arguments: str) -> tuple[set[str], float]:
    """The modules that `code` imports in a new process, and the CPU seconds of that process."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(code=code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    modules, seconds = json.loads(done.stderr.splitlines()[-1])
    return set(modules), seconds


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two artifacts, `one` and `two`, whose instructions differ."""
    folder = tmp_path_factory.mktemp("artifacts")
    fresh(MAKE, str(folder))
    return folder


def test_importing_the_package_imports_little_and_no_dspy() -> None:
    modules, _ = fresh("import compilm")
    assert "compilm" in modules
    assert "dspy" not in modules
    assert len(modules) < 60, sorted(modules)


def test_the_overview_of_the_commands_starts_quickly(capsys: pytest.CaptureFixture[str]) -> None:
    modules, seconds = fresh(COMMAND, "--help")
    assert "compilm.cli.main" in modules
    assert not modules & SLOW_TO_START
    with capsys.disabled():
        print(f"\ncompilm --help: {seconds:.2f} s of CPU, {len(modules)} modules")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_starts_quickly(verb: str) -> None:
    modules, _ = fresh(COMMAND, verb, "--help")
    assert f"compilm.cli.{verb}" in modules
    assert not modules & SLOW_TO_START


def test_serving_imports_nothing_heavy_and_nothing_of_compiling(artifacts: Path) -> None:
    modules, _ = fresh(SERVE, str(artifacts))
    assert "compilm.runtime.load" in modules
    assert not modules & HEAVY
    assert not modules & COMPILE_TIME


def test_reading_verifying_and_comparing_artifacts_imports_no_dspy(artifacts: Path) -> None:
    modules, _ = fresh(READ, str(artifacts))
    assert "compilm.artifact" in modules
    assert not modules & (SLOW_TO_START | HEAVY)
