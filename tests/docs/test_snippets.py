"""What the documentation shows is what happens: every block of every page is run."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.bridges.needs import QUIET
from tests.docs.pages import (
    PAGES,
    ROOT,
    Block,
    Command,
    blocks_of,
    commands_of,
    lacking,
    missing_lines,
    python_of,
    run_python,
    shell,
)

from compilm.config import load_config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the example in it, in which nothing else of this machine is seen."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(ROOT / "examples" / "claims", tmp_path / "examples" / "claims")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in [name for name in os.environ if name.startswith("COMPILM_")]:
        monkeypatch.delenv(name)
    return tmp_path


# The page of bridges imports the frameworks themselves.
MARKED = [pytest.param(p, marks=QUIET if p.name == "bridges.md" else [], id=p.name) for p in PAGES]


@pytest.mark.parametrize("page", MARKED)
def test_the_page_does_what_it_shows(
    page: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = ModuleType("snippets")
    file = python_of(page, folder)
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "snippets", module)
    with shell(capsys, monkeypatch) as terminal:
        for block in blocks_of(page.read_text("utf-8")):
            if "no-run" in block.words or lacking(block):
                continue
            if block.language == "python":
                run_python(block, file, vars(module))
            elif block.language == "toml":
                _check_toml(block, folder)
            elif block.language == "console":
                for command in commands_of(block.text):
                    _check_command(command, terminal.run(command), page, block)


def _check_toml(block: Block, folder: Path) -> None:
    file = folder / "shown" / "compilm.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(block.text, "utf-8")
    load_config(file, env={}, cwd=folder)


def _check_command(command: Command, written: str, page: Path, block: Block) -> None:
    missing = missing_lines(command.shown, written)
    assert not missing, (
        f"{page.name}:{block.line}: $ {command.typed}\nshows {missing}\nbut wrote\n{written}"
    )


def test_every_block_says_what_it_is() -> None:
    known = {"python", "console", "toml", "sh", "text", "json", "http", "diff"}
    for page in PAGES:
        for block in blocks_of(page.read_text("utf-8")):
            assert block.language in known, f"{page.name}:{block.line}: {block.language!r}"


def test_a_block_is_left_out_only_where_it_needs_a_provider_or_an_installation() -> None:
    for page in PAGES:
        for block in blocks_of(page.read_text("utf-8")):
            if "no-run" in block.words:
                told = ("anthropic/", "openai/", "pip ", "make ", "mlflow", "localhost")
                assert any(word in block.text for word in told), f"{page.name}:{block.line}"


def test_shown_lines_may_differ_in_figures_only() -> None:
    written = "gain  +0.385 [+0.061, +0.605] (n=13)\nteam: workshop"
    assert missing_lines(("gain  +0.2 [+0.1, +0.3] (n=20)", "team: ..."), written) == []
    assert missing_lines(("team: billing",), written) == ["team: billing"]


def test_commands_carry_their_exit_code() -> None:
    first, second = commands_of("$ compilm check\nok\n$ compilm eval  # exit 1\n")
    assert first == Command("compilm check", ("ok",), 0)
    assert second == Command("compilm eval", (), 1)
