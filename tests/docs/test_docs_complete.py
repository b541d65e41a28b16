"""Nothing public is undocumented, nothing planned is missing, and nothing private is told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, blocks_of

import compilm
from compilm.cli.main import VERBS, main
from compilm.config import load_config
from compilm.config.values import KEYS, ROLE_KEYS

DESIGN = tuple(sorted((ROOT / "design").glob("*.md")))
WRITTEN = (*PAGES, *DESIGN, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"`([\w/.-]+)`")
_TREES = ("src/", "tests/", "design/", "docs/", "examples/")


def read(page: Path) -> str:
    return page.read_text("utf-8")


@pytest.mark.parametrize("name", compilm.__all__)
def test_every_public_name_is_told_and_shown(name: str) -> None:
    told = "\n".join(map(read, PAGES))
    snippets = "\n".join(
        block.text
        for page in PAGES
        for block in blocks_of(read(page))
        if block.language == "python"
    )
    doc = inspect.getdoc(getattr(compilm, name)) or ""
    assert re.search(rf"\b{re.escape(name)}\b", told)
    assert ">>>" in doc or re.search(rf"\b{re.escape(name)}\b", snippets)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_shown_and_explains_itself(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"$ compilm {verb}" in read(ROOT / "docs" / "cli.md")
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: compilm {verb}" in capsys.readouterr().out


def test_every_key_of_the_configuration_is_told() -> None:
    page = read(ROOT / "docs" / "cli.md")
    for key in (*KEYS, *(f"lm.ROLE.{name}" for name in ROLE_KEYS)):
        last = key.rpartition(".")[2]
        assert f"`{key}`" in page or f"`.{last}`" in page, key


def test_the_example_in_the_readme_is_read_as_it_is_meant(tmp_path: Path) -> None:
    (text,) = [b.text for b in blocks_of(read(ROOT / "README.md")) if b.language == "toml"]
    (tmp_path / "compilm.toml").write_text(text, "utf-8")
    config = load_config(tmp_path, env={}, cwd=tmp_path)
    assert (config.compile.budget, config.gate.fail_under) == ({"rollouts": 1000, "usd": 5.0}, 0.75)
    assert list(config.lm) == ["default", "proposer"]


def test_lines_of_the_changelog_are_short() -> None:
    entries = [line for line in read(ROOT / "CHANGELOG.md").splitlines() if line.startswith("- ")]
    assert entries
    assert [line for line in entries if len(line[2:].split()) > 25] == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_pages_keep_to_their_length(page: Path) -> None:
    if page.name in {"benchmarks.md", "benchmarks-runtime.md"}:  # tables, written by a command
        return
    most = {"docs": 155, "design": 100}.get(page.parent.name, 250)
    assert len(read(page).splitlines()) < most + 1


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_and_files_that_are_named_exist(page: Path) -> None:
    for target in _LINK.findall(read(page)):
        assert (page.parent / target).exists(), target
    for target in _CODE.findall(read(page)):
        if target.startswith(_TREES):
            assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_no_machine_is_named(page: Path) -> None:
    # written so that this file does not hold what it looks for
    places = ("/" + "work/", "/" + "tmp/", "/" + "root/", "/" + "home/", "/" + "Users/")
    assert [place for place in places if place in read(page)] == []


def test_every_subsystem_has_its_page() -> None:
    named = {page.stem for page in DESIGN}
    wanted = "overview artifact journal compile models embedded datasets metrics cli serving"
    assert set(wanted.split()) <= named


def test_every_dependency_has_its_paragraph() -> None:
    page = read(ROOT / "design" / "dependencies.md")
    missing = [name for name in dependencies() if f"**{name}**" not in page]
    assert missing == []


def dependencies() -> Iterator[str]:
    """The names that pyproject.toml asks for, extras and development included."""
    import tomllib

    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    for text in (one for each in lists for one in each):
        name = re.split(r"[\s<>=\[;]", text)[0]
        if name != "compilm":
            yield name
