"""The lock: what an installation takes, by name, version, extra and hash, and from no address."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")


class Asked(NamedTuple):
    """One requirement of a distribution, or of the project itself."""

    by: str
    wanted: Requirement


def locked(text: str) -> dict[str, set[str]]:
    """The extras that the lock names for each distribution."""
    lines = (line.partition("--hash")[0].strip(" \\\n") for line in text.split("\n"))
    found: dict[str, set[str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            one = Requirement(line)
            found.setdefault(canonicalize_name(one.name), set()).update(one.extras)
    return found


def asked(lock: dict[str, set[str]]) -> Iterator[Asked]:
    """What the project and every installed distribution of the lock require here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = (*extras, project["project"]["dependencies"], project["dependency-groups"]["dev"])
    yield from (Asked("compilm", Requirement(text)) for group in groups for text in group)
    for name, active in lock.items():
        try:
            texts = requires(name) or []
        except PackageNotFoundError:  # for another system or Python
            continue
        for wanted in map(Requirement, texts):
            if _applies(wanted, active):
                yield Asked(name, wanted)


def _applies(wanted: Requirement, extras: Iterable[str]) -> bool:
    marker = wanted.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def without_extra(lock: dict[str, set[str]], wanted: Iterable[Asked]) -> list[str]:
    """The requirements whose distribution is in the lock and whose extras are not."""
    return [
        f"{one.by} requires {one.wanted}"
        for one in wanted
        if not one.wanted.extras <= lock.get(canonicalize_name(one.wanted.name), one.wanted.extras)
    ]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bridges.lock"])
def test_every_locked_requirement_has_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    joined = text.replace("\\\n", " ").splitlines()
    wanted = [line for line in joined if line.strip() and not line.lstrip().startswith("#")]
    assert len(wanted) > 20
    bare = [line.split()[0] for line in wanted if "--hash=sha256:" not in line]
    loose = [line.split()[0] for line in wanted if "==" not in line.split()[0]]
    assert (bare, loose) == ([], [])


def test_what_bridges_are_tested_with_is_what_they_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "requirements-bridges.lock").read_text("utf-8")
    found = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    extras = project["optional-dependencies"]
    wanted = [
        Requirement(each) for name in ("bridges", "crewai", "autogen") for each in extras[name]
    ]
    assert len(wanted) >= 5
    assert [str(one) for one in wanted if not one.specifier.contains(found[one.name])] == []


def test_what_is_required_with_an_extra_is_locked_with_it() -> None:
    """Else an old pip takes the newest release for the extra, whose hash is not in the lock."""
    lock = locked(LOCK)
    wanted = list(asked(lock))
    assert len(wanted) > 100
    assert any(one.wanted.extras for one in wanted)
    assert without_extra(lock, wanted) == []


def test_a_lock_that_lost_an_extra_is_seen() -> None:
    stripped = re.sub(r"^([\w.-]+)\[[^]]+\]==", r"\1==", LOCK, flags=re.MULTILINE)
    assert stripped != LOCK
    lock = locked(stripped)
    assert without_extra(lock, asked(lock)) != []
    named = [Asked("a", Requirement("B_b[x,y]>=1"))]
    assert without_extra({"b-b": {"x", "y", "z"}}, named) == without_extra({}, named) == []
    assert without_extra({"b-b": {"x"}}, named) == ["a requires B_b[x,y]>=1"]
