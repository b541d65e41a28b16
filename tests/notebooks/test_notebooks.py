"""The notebooks run from top to bottom, show one live output, and are kept without outputs."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytest.importorskip("ipykernel")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq"),
]

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 100_000


class Watched(NotebookClient):
    """Runs a notebook and counts how often each cell changed an output that stood already."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.updates: Counter[int] = Counter()

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        self.updates[cell_index] += message["msg_type"] == "update_display_data"
        return super().process_message(message, cell, cell_index)


@dataclass(frozen=True)
class Executed:
    """A notebook with its outputs, the folder it ran in, and the updates of each cell."""

    cells: list[Any]
    folder: Path
    updates: Counter[int]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A kernel of this very Python, a home of its own, and nothing of the user's Jupyter."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "USERPROFILE", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(name, str(home))
        for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("JUPYTER_PATH", str(home / "jupyter"))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        yield


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(
    kernel: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Executed:
    """A notebook, run as in a fresh checkout: beside the examples, with nothing compiled yet."""
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("notebooks", "examples"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns(".*", "build"))
    notebook = read(root / "notebooks" / request.param.name)
    place = {"metadata": {"path": str(root / "notebooks")}}
    client = Watched(notebook, timeout=240, kernel_name="python3", resources=place)
    client.execute()
    return Executed(notebook.cells, root / "notebooks", client.updates)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def test_no_cell_fails_or_warns(executed: Executed) -> None:
    written = [(output, cell.source) for cell in code(executed.cells) for output in cell.outputs]
    assert [source for output, source in written if output.output_type == "error"] == []
    assert [output.text for output, _ in written if output.get("name") == "stderr"] == []


def test_a_compile_is_one_output_that_is_updated_and_ends_with_the_proof(
    executed: Executed,
) -> None:
    (index,) = [n for n, cell in enumerate(executed.cells) if "compilm.compile(" in run_by(cell)]
    (output,) = executed.cells[index].outputs
    assert output.output_type == "display_data"
    assert executed.updates[index] >= 3
    assert executed.updates.total() == executed.updates[index]
    html = output.data["text/html"]
    assert "Proven better" in html
    assert "embedded, not a language model" in html
    assert "<svg" in html


def test_what_is_shown_is_small_and_needs_nothing_from_elsewhere(executed: Executed) -> None:
    shown = [
        output.data["text/html"]
        for cell in code(executed.cells)
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert shown
    for html in shown:
        assert len(html.encode()) < MOST_BYTES
        assert "<script" not in html.lower()
        assert "<iframe" not in html.lower()
        bare = html.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert re.findall(r"https?://\S{0,40}|@import|url\(", bare) == []


def test_what_is_saved_is_there(executed: Executed) -> None:
    (artifact,) = executed.folder.glob("build/*/artifact.json")
    assert sorted(file.name for file in artifact.parent.iterdir()) == [
        "artifact.json",
        "report.html",
    ]


def test_the_library_is_the_one_that_is_tested(executed: Executed) -> None:
    import compilm

    said = "".join(o.get("text", "") for cell in code(executed.cells) for o in cell.outputs)
    assert compilm.__version__ in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_valid_and_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z-]*", each) for each in ids)
    assert [cell.id for cell in code(notebook.cells) if cell.outputs or cell.execution_count] == []
    assert not any(cell.metadata for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_step_of_a_notebook_is_explained(path: Path) -> None:
    kinds = [cell.cell_type for cell in read(path).cells]
    assert kinds[0] == kinds[-1] == "markdown"
    assert kinds.count("markdown") * 3 > len(kinds)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    said = "\n".join(cell.source for cell in read(path).cells)
    links = re.findall(r"\]\((?!https?:)([^)#]+)", said)
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]


def code(cells: list[Any]) -> list[Any]:
    return [cell for cell in cells if cell.cell_type == "code"]


def run_by(cell: Any) -> str:
    return cell.source if cell.cell_type == "code" else ""
