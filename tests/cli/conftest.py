"""A project in a folder of its own, and the command line run in it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compilm import canonical
from compilm.artifact import Artifact, Field, Nearest, Predictor, write
from compilm.cli.main import main

DIGEST = canonical.text_digest("x")


class Terminal(io.StringIO):
    """A stream with a person at its end."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and the two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("check", "--json")` runs it in this process."""

    def run(*argv: str) -> Done:
        capsys.readouterr()
        code = main(argv)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository that is the working folder; the environment holds nothing of ours."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("COMPILM_CONFIG", "COMPILM_TARGET", "CI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def project(folder: Path, command: Command) -> Path:
    """The starter that `compilm init` writes."""
    assert command("init").code == 0
    return folder


def artifact(
    instructions: str = "Choose the team.",
    demos: tuple[dict[str, Any], ...] = (),
    *,
    run: str = "desk-1",
    models: Mapping[str, str] | None = None,
    nearest: Nearest | None = None,
) -> Artifact:
    """An artifact for the starter's program."""
    team = "Literal['orders', 'workshop', 'returns', 'billing']"
    predictor = Predictor(
        "route",
        "default",
        (Field("message", "str"),),
        (Field("team", team),),
        instructions,
        demos,
        nearest,
    )
    half = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}
    content: dict[str, Any] = {
        "program": {
            "reference": "program.py:Desk",
            "fingerprint": DIGEST,
            "inputs": ["message"],
            "outputs": ["team"],
            "predictors": [predictor.to_json()],
        },
        "adapter": "ChatAdapter",
        "models": dict(models or {"default": "embedded/base"}),
        "metric": {"name": "right_team", "fingerprint": ""},
        "data": {"train": {"name": "t", "size": 3, "fingerprint": DIGEST}},
        "scores": {"baseline": {"test": half}, "compiled": {"test": half}, "gain": half},
        "verdict": "proven",
        "search": {"level": 1, "optimizer": None, "budget": {}, "seed": 0},
        "parent": None,
    }
    provenance = {
        "run": run,
        "created": "2026-01-02T03:04:05+00:00",
        "spent": {"rollouts": 10, "calls": 12, "tokens": 900, "usd": 0.5, "seconds": 3.25},
        "versions": {"compilm": "0"},
        "notes": [],
    }
    return Artifact.build(content, provenance)


@pytest.fixture
def two(folder: Path) -> tuple[Path, Path]:
    """Two artifacts that differ in their instructions and demos."""
    one, other = folder / "old", folder / "new"
    write(artifact(demos=({"message": "a", "team": "orders"},)), one)
    write(artifact("Choose the <right> team.", ({"message": "b", "team": "returns"},)), other)
    return one, other
