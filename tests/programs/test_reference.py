"""A program is found and built by name, and every way to fail says what to do."""

from __future__ import annotations

import pickle
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.errors import ProgramError
from compilm.programs.reference import build, locate, source_fingerprint

SOURCE = """
import dspy
from neighbor import TEXT

class Desk(dspy.Module):
    def __init__(self, size=1):
        self.answer = dspy.Predict("question -> answer", n=size)

class Plain:
    class Inner:
        pass

ready = Desk()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file and a package under src; what is imported from it is forgotten."""
    before = set(sys.modules)
    (tmp_path / "src" / "located_pkg").mkdir(parents=True)
    (tmp_path / "desk.py").write_text(SOURCE)
    (tmp_path / "neighbor.py").write_text("TEXT = 'x'")
    (tmp_path / "src" / "located_pkg" / "__init__.py").write_text("")
    (tmp_path / "src" / "located_pkg" / "desk.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_program_is_found_by_file_and_by_module(home: Path) -> None:
    path = list(sys.path)
    by_file = locate("desk.py:Desk", home)
    assert issubclass(by_file, dspy.Module)
    assert locate("located_pkg.desk:Plain.Inner", home).__qualname__ == "Plain.Inner"
    assert locate("located_pkg.desk:ready", str(home)).answer
    assert sys.path == path


def test_a_file_is_one_module_however_often_it_is_named(home: Path) -> None:
    first, second = locate("desk.py:Desk", home), locate("src/../desk.py:Desk", home)
    assert first is second
    assert pickle.loads(pickle.dumps(first)) is first


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("desk", "'desk' does not name a program: write 'package.module:Attr'"),
        (":Desk", "does not name a program"),
        ("desk.py:", "does not name a program"),
        ("gone.py:Desk", r"there is no file .*gone\.py"),
        ("gone_pkg.desk:Desk", "cannot be imported: ModuleNotFoundError.*right directory"),
        ("broken.py:Desk", "'broken.py:Desk' cannot be imported: ZeroDivisionError"),
        ("broken:Desk", "'broken:Desk' cannot be imported: ZeroDivisionError"),
        ("desk.py:Dask", "has no 'Dask'; is 'Desk' meant?"),
        ("desk.py:zzz", "has no 'zzz'; its programs are Desk, ready"),
        ("neighbor.py:zzz", "neighbor.py has no 'zzz'$"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(home: Path, reference: str, message: str) -> None:
    before = set(sys.modules)
    with pytest.raises(ProgramError, match=message):
        locate(reference, home)
    assert not [name for name in set(sys.modules) - before if "broken" in name]


class Sized(dspy.Module):
    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError("size is below 0")
        self.answer = dspy.Predict("question -> answer", n=size)


def test_a_class_a_factory_and_an_instance_give_a_program() -> None:
    ready = Sized(1)
    assert build(Sized, {"size": 2}).answer.config == {"n": 2}
    assert build(lambda size=3: Sized(size)).answer.config == {"n": 3}
    assert build(ready) is ready


def test_a_program_is_built_by_its_name_too(home: Path) -> None:
    assert build("desk.py:Desk", {"size": 4}, base=home).answer.config == {"n": 4}


@pytest.mark.parametrize(
    ("target", "args", "message"),
    [
        (Sized(1), {"size": 2}, r"Sized is already built, so it takes no arguments \(size\)"),
        (Sized, {"size": -1}, r"Sized could not be built .*\(size\): ValueError: size is below 0"),
        (Sized, {}, r"\(none\): TypeError"),
        (dict, {"a": 1}, "dict gave a dict, which is not a dspy.Module"),
        (5, {}, "'int' is not a program"),
    ],
)
def test_what_is_no_program_is_refused(target: Any, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        build(target, args)


def test_the_constructors_own_error_is_the_cause() -> None:
    with pytest.raises(ProgramError) as caught:
        build(Sized, {"size": -1})
    assert isinstance(caught.value.__cause__, ValueError)


def program(body: str, tmp_path: Path, name: str) -> dspy.Module:
    text = f"""
    import dspy
    class Part(dspy.Module):
        def __init__(self):
            self.say = dspy.Predict("a -> b")
        def forward(self, a):
            {body}
    class Whole(dspy.Module):
        def __init__(self):
            self.parts = [Part()]
    """
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    return build(locate(f"{name}.py:Whole", tmp_path))


def test_the_source_of_sub_modules_counts_and_the_place_does_not(tmp_path: Path) -> None:
    one, two, three = (
        program(body, tmp_path, name)
        for body, name in (("return 1", "m1"), ("return 1", "m2"), ("return 2", "m3"))
    )
    assert source_fingerprint(one) == source_fingerprint(two)
    assert source_fingerprint(one) != source_fingerprint(three)


def test_a_class_without_source_counts_by_name() -> None:
    made = {
        name: type(name, (dspy.Module,), {"__module__": "nowhere"})() for name in ("One", "Two")
    }
    again = type("One", (dspy.Module,), {"__module__": "nowhere"})()
    assert source_fingerprint(made["One"]) == source_fingerprint(again)
    assert source_fingerprint(made["One"]) != source_fingerprint(made["Two"])
