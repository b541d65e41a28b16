"""The command line: help costs nothing, every error is one message with its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from compilm import errors
from compilm.cli.main import VERBS, entry, main

HEAVY = ("dspy", "pydantic", "fastapi", "rich", "openai", "anthropic", "numpy", "mlflow", "httpx")


class Verb(ModuleType):
    """A verb made for a test, which raises what it is told to."""

    def __init__(self, raised: BaseException | None) -> None:
        super().__init__("compilm.cli.check", "A verb.")
        self.raised = raised

    def arguments(self, parser: Any) -> None:
        """No options of its own."""

    def run(self, args: Any, out: Any) -> int:
        """Raise it."""
        if self.raised is not None:
            raise self.raised
        return 0


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the verb `check` raise `error`."""
    monkeypatch.setitem(sys.modules, "compilm.cli.check", Verb(error))


@pytest.mark.parametrize("argv", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys\n"
        "from compilm.cli.main import main\n"
        f"try:\n    main({argv!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1


def test_the_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)


def test_without_a_verb_the_overview_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "usage: compilm" in captured.err
    assert captured.out == ""


def test_the_process_exits_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compilm", "xyzzy"])
    with pytest.raises(SystemExit) as end:
        entry()
    assert end.value.code == 2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from compilm import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"compilm {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["chekc"], "did you mean 'check'?"),
        (["xyzzy"], "the verbs are init, check"),
        (["--json"], "options come after the verb"),
        (["check", "--jsn"], "unrecognized arguments: --jsn; see compilm check --help"),
        (["compile", "-O7"], "invalid choice"),
        (["compile", "-O1", "--optimizer", "x"], "not allowed with"),
        (["run"], "required: ARTIFACT"),
    ],
)
def test_a_wrong_command_is_one_line_and_2(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("c"), 2),
        (errors.UsageError("u"), 2),
        (errors.MissingExtra("pandas", extra="data", purpose="read"), 2),
        (PermissionError("p"), 2),
        (errors.ProgramError("p"), 3),
        (errors.MetricError("m"), 3),
        (errors.DataError("d"), 3),
        (errors.ArtifactTampered("a"), 3),
        (errors.JournalError("j"), 3),
        (errors.CallFailed("c"), 4),
        (errors.ProviderRejected("p"), 4),
        (errors.BudgetExceeded("b"), 5),
        (KeyError("bug"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_code_and_one_message(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(monkeypatch, error)
    assert main(["check", "--json"]) == code
    captured = capsys.readouterr()
    told = json.loads(captured.out)["error"]
    assert (told["kind"], told["exit_code"]) == (type(error).__name__, code)
    assert captured.err == f"error: {told['message']}\n"


def test_a_models_error_that_dspy_raises_is_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import dspy

    raising(monkeypatch, dspy.LMRateLimitError("slow down"))
    assert main(["check"]) == 4
    assert "LMRateLimitError" in capsys.readouterr().err


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, KeyError("bug"))
    assert main(["check"]) == 70
    assert "Traceback" not in capsys.readouterr().err
    assert main(["check", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_verb_that_ends_well_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compilm.cli.check", Verb(None))
    assert main(["check"]) == 0


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m compilm show config | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "0"
    assert "Traceback" not in done.stderr


def test_python_m_compilm_is_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compilm", "show", "nowhere"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: 'nowhere' is no artifact")
