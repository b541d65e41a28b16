"""The shape of the package: what is public resolves and is told, what is small stays small."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import compilm

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "compilm"
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages([str(PACKAGE)], "compilm.")
    if not found.name.endswith("__main__")  # importing it runs it
)

MOST_LINES_OF_A_FILE = 600
MOST_LINES_OF_A_FUNCTION = 60
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
HEAVY = {
    "IPython", "datasets", "faiss", "fastapi", "litellm", "mlflow", "numpy", "optuna", "pandas",
    "pyarrow", "redis", "resvg_py", "rich", "scipy", "starlette", "uvicorn",
}  # fmt: skip

# Each heavy library has the files named for it; `^` marks the only import at a file's top.
HOMES = {
    "IPython": {"progress.py"},
    "faiss": {"retrieval/faiss_index.py", "retrieval/rows.py", "runtime/near/shelves.py"},
    "fastapi": {
        "runtime/http/app.py", "runtime/http/problems.py", "runtime/http/reviews.py",
        "^runtime/http/sent.py",
    },
    "mlflow": {"tracking.py"},
    "numpy": {
        "retrieval/faiss_index.py", "retrieval/rows.py", "retrieval/sentence_model.py",
        "retrieval/vector_cache.py",
        "^metrics/attribution.py", "^metrics/mixed.py", "^metrics/stats.py",
        "runtime/near/shelves.py",
    },
    "redis": {"runtime/caches/redis.py"},
    "resvg_py": {"views/png.py"},
    "rich": {"progress.py"},
    "starlette": {"runtime/http/problems.py"},
    "uvicorn": {"cli/serve.py"},
}  # fmt: skip
# `BaseException` is caught without being raised again in one place: where the command line ends.
LAST_RESORT = "cli/main.py"

# Written so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.<{}])/(?:wor[k]|tm[p]|hom[e]|roo[t]|User[s]|mn[t])/\w")
PACKAGE_HOSTS = re.compile(
    r"pythonhoste[d]|pypi\.or[g]/simple|--(?:extra-)?index-ur[l]|jfro[g]|artifactor[y]|/nexu[s]",
    re.IGNORECASE,
)


def inside(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@pytest.mark.parametrize("name", compilm.__all__)
def test_a_public_name_resolves_and_is_told(name: str) -> None:
    assert (getattr(compilm, name).__doc__ or "").strip()


def test_the_public_names_are_exactly_those_that_are_listed() -> None:
    assert dir(compilm) == sorted(compilm.__all__)
    assert len(set(compilm.__all__)) == len(compilm.__all__)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'compilm' has no attribute 'optimize'"):
        compilm.optimize


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_lists_it_has(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip()
    listed = getattr(module, "__all__", [])
    assert [each for each in listed if not hasattr(module, each)] == []
    assert sorted(set(listed)) == sorted(listed)


def test_a_file_is_short() -> None:
    sizes = {inside(file): len(file.read_text("utf-8").splitlines()) for file in FILES}
    assert len(sizes) > 50
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_a_function_is_short() -> None:
    sizes = {f"{inside(file)}:{name}": size for file in FILES for name, size in functions(file)}
    assert len(sizes) > 300
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION} == {}


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file with their lines, docstrings left out."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                told = node.body[0]
                lines -= (told.end_lineno or 0) - told.lineno + 1
            yield node.name, lines


def test_a_file_says_its_idea_in_its_first_line() -> None:
    assert [inside(file) for file in FILES if not ast.get_docstring(tree(file))] == []


def test_no_name_says_nothing() -> None:
    words = {inside(file): set(file.stem.strip("_").split("_")) for file in FILES}
    assert [name for name, found in words.items() if found & EMPTY_NAMES] == []


class Broad(NamedTuple):
    """One handler that catches everything."""

    place: str
    is_raised_again: bool
    is_a_border: bool


def broad_handlers() -> list[Broad]:
    found = []
    for file in FILES:
        lines = file.read_text("utf-8").splitlines()
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.ExceptHandler) or not is_broad(node.type):
                continue
            last = node.body[-1]
            again = isinstance(last, ast.Raise) and last.exc is None
            comment = " ".join(line.partition("#")[2] for line in around(lines, node))
            found.append(Broad(f"{inside(file)}:{node.lineno}", again, "border" in comment))
    return found


def is_broad(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    broad = ("Exception", "BaseException")
    return any(n is None or (isinstance(n, ast.Name) and n.id in broad) for n in names)


def around(lines: list[str], node: ast.ExceptHandler) -> list[str]:
    """The handler's first line, and the comment above its body."""
    return lines[node.lineno - 1 : node.body[0].lineno - 1] or [lines[node.lineno - 1]]


def test_everything_is_caught_only_to_be_raised_again_or_at_a_border_that_is_named() -> None:
    found = broad_handlers()
    print(*found, sep="\n")
    assert sum(each.is_a_border for each in found) > 10
    nameless = [each.place for each in found if not each.is_raised_again and not each.is_a_border]
    assert [place for place in nameless if not place.startswith(LAST_RESORT)] == []


def test_a_heavy_library_is_imported_in_its_own_files_only_and_when_it_is_used() -> None:
    homes: dict[str, set[str]] = {}
    for file in FILES:
        for name, is_top in imports(tree(file)):
            library = name.partition(".")[0]
            if library in HEAVY:
                homes.setdefault(library, set()).add("^" * is_top + inside(file))
    assert homes == HOMES


def imports(module: ast.Module) -> Iterator[tuple[str, bool]]:
    """The modules that are imported, and whether at the top; what only a checker reads is not."""
    skipped: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped |= {id(each) for each in ast.walk(node)}
    for node in ast.walk(module):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((each.name, node in module.body) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", node in module.body


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that git tracks here, or that it would if they were added."""
    asked = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"git does not list the files: {done.stderr.strip()}")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_tells_of_the_machine_it_was_written_on(tracked: list[Path]) -> None:
    assert ROOT / "pyproject.toml" in tracked
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in tracked
        for number, line in enumerate(text_of(file).splitlines(), start=1)
        if MACHINE_PATHS.search(line) or PACKAGE_HOSTS.search(line)
    ]
    assert found == []


def text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:  # a picture
        return ""


def test_the_patterns_find_what_they_are_for() -> None:
    for said in ("cd /" + "work/main", "see /" + "home/me/x", '"/' + 'tmp/a"'):
        assert MACHINE_PATHS.search(said), said
    for said in ("https://files.python" + "hosted.org/p", "--index-" + "url x"):
        assert PACKAGE_HOSTS.search(said), said
    for said in ("https://x.org/" + "home/page", "{tmp}/" + "work/a", "examples/" + "work/a"):
        assert not MACHINE_PATHS.search(said), said
