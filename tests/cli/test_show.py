"""`show`, `diff` and `runs` tell what is there and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Command, artifact

from compilm.artifact import Nearest, read, write
from compilm.journal import Record, SqliteJournal

SPENT = {"rollouts": 4, "calls": 1234, "tokens": 9, "usd": None, "seconds": 1.0}
NEAREST = Nearest(
    2, "words-v1", tuple({"message": f"message {n}", "team": "orders"} for n in range(3))
)
GAIN = {"value": 0.1, "low": 0.05, "high": 0.15, "n": 20}


@pytest.fixture
def journal(folder: Path) -> Path:
    """A journal with a finished and an unfinished run."""
    path = folder / ".compilm" / "journal.db"
    kept = SqliteJournal(path)
    started = {"name": "desk", "level": 1, "optimizer": None, "seed": 0, "budget": {"calls": 9}}
    told: list[tuple[str, str, dict[str, Any]]] = [
        ("rollout", "stray", {}),
        ("run.started", "desk-aa", started),
        ("session.opened", "desk-aa", {"concurrency": 2}),
        ("candidate", "desk-aa", {"id": "c0"}),
        ("decision", "desk-aa", {"spent": {**SPENT, "calls": 3}}),
        ("note", "desk-aa", {"text": "read me"}),
        (
            "run.finished",
            "desk-aa",
            {
                "verdict": "proven",
                "gain": GAIN,
                "spent": SPENT,
                "stop": "done",
                "artifact": artifact().to_json(),
            },
        ),
        ("run.started", "desk-ab", {**started, "level": None, "optimizer": "dspy.COPRO"}),
        ("run.started", "desk-ab", started),
        ("decision", "desk-ab", {"spent": {**SPENT, "calls": 7}}),
        ("candidate", "stray", {}),
    ]
    for number, (kind, run, body) in enumerate(told):
        kept.append(Record(kind, 1_700_000_000.0 + number, run, body))
    kept.close()
    return path


class TestRuns:
    def test_are_listed(self, journal: Path, command: Command) -> None:
        lines = command("runs").out.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("desk-aa")
        assert "proven" in lines[0]
        assert "1,234 calls  +0.100 [+0.050, +0.150]" in lines[0]
        assert "dspy.COPRO unfinished" in lines[1]
        assert "7 calls" in lines[1]

    def test_are_listed_as_json(self, journal: Path, command: Command) -> None:
        told = command("runs", "--json").json
        assert [one["run"] for one in told["runs"]] == ["desk-aa", "desk-ab"]
        assert told["runs"][0]["spent"] == SPENT
        assert (told["runs"][0]["sessions"], told["runs"][0]["candidates"]) == (1, 1)

    def test_one_is_told_by_the_start_of_its_id(self, journal: Path, command: Command) -> None:
        shown = command("runs", "desk-aa").out
        assert "note        read me" in shown
        assert "calls 1234" in shown
        assert command("runs", "desk-ab", "--json").json["finished"] is False
        assert "goes on where this run stopped" in command("runs", "desk-ab").out

    def test_none_or_several_are_refused(self, journal: Path, command: Command) -> None:
        assert "several runs start with 'desk'" in command("runs", "desk").err
        done = command("runs", "zzz")
        assert (done.code, "desk-aa, desk-ab" in done.err) == (2, True)

    def test_of_no_journal_are_none_and_none_is_made(self, folder: Path, command: Command) -> None:
        done = command("runs", "--journal", "other.db")
        assert "no runs in" in done.out
        assert not (folder / "other.db").exists()

    def test_of_a_file_that_is_no_journal_are_refused(self, folder: Path, command: Command) -> None:
        (folder / "other.db").write_text("not a database, but a text of some length" * 50)
        assert command("runs", "--journal", "other.db").code == 3


class TestShow:
    def test_tells_an_artifact(self, two: tuple[Path, Path], command: Command) -> None:
        shown = command("show", "old").out
        assert "Choose the team." in shown
        assert command("show", "old/artifact.json").out == shown
        assert command("show", "old", "--json").json["digest"] == read(two[0]).digest

    def test_tells_one_predictor(self, two: tuple[Path, Path], command: Command) -> None:
        shown = command("show", "new", "route").out
        assert "Choose the <right> team." in shown
        assert "message: b" in shown
        assert command("show", "new", "route", "--json").json["path"] == "route"

    def test_names_the_predictors_there_are(self, two: tuple[Path, Path], command: Command) -> None:
        done = command("show", "new", "rout")
        assert (done.code, "it has route" in done.err) == (2, True)

    def test_shows_demos_of_any_value(self, folder: Path, command: Command) -> None:
        write(artifact(demos=({"message": ["a", 1]},)), folder / "odd")
        assert "message: ['a', 1]" in command("show", "odd", "route").out

    def test_counts_demos_that_are_chosen_per_call(self, folder: Path, command: Command) -> None:
        write(artifact(nearest=NEAREST), folder / "near")
        assert (
            "for each call the 2 nearest of a pool of 3 (words-v1)" in command("show", "near").out
        )
        shown = command("show", "near", "route").out
        assert "for each call the 2 nearest of a pool of 3 (words-v1)" in shown
        assert "message 1" not in shown
        body = command("show", "near", "route", "--json").json
        assert body["nearest"]["pool"][1] == {"message": "message 1", "team": "orders"}

    def test_refuses_a_changed_artifact(self, two: tuple[Path, Path], command: Command) -> None:
        file = two[0] / "artifact.json"
        file.write_text(file.read_text().replace("Choose the team", "Choose no team"))
        done = command("show", "old")
        assert (done.code, "seal" in done.err) == (3, True)

    def test_tells_the_artifact_of_a_finished_run(self, journal: Path, command: Command) -> None:
        assert command("show", "desk-aa").out.startswith("program.py:Desk")

    def test_tells_an_unfinished_run(self, journal: Path, command: Command) -> None:
        assert command("show", "desk-ab").out.startswith("desk-ab")
        assert command("show", "desk-ab", "--json").json["finished"] is False

    def test_refuses_what_is_neither(self, journal: Path, command: Command) -> None:
        done = command("show", "nothing")
        assert (done.code, "is no artifact, and no run" in done.err) == (2, True)

    def test_tells_the_configuration_and_where_it_is_from(
        self, project: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMPILM_COMPILE_SEED", "7")
        (project / "compilm.toml").write_text(
            (project / "compilm.toml").read_text() + "[lm.default]\nmodel = ['a/b', 'c/d']\n"
        )
        lines = command("show", "config").out.splitlines()
        rows = {line.split()[0]: line for line in lines}
        assert rows["compile.seed"].split() == ["compile.seed", "7", "env", "COMPILM_COMPILE_SEED"]
        assert "compilm.toml:" in rows["program"]
        assert "train 0.4, val 0.3" in rows["data.split"]
        assert "a/b, c/d" in rows["lm.default.model"]
        told = command("show", "config", "--json").json
        assert told["file"] == str(project / "compilm.toml")
        assert {"key": "compile.seed", "value": 7, "origin": "env COMPILM_COMPILE_SEED"} in (
            told["values"]
        )


class TestDiff:
    def test_tells_what_changed(self, two: tuple[Path, Path], command: Command) -> None:
        shown = command("diff", "old", "new").out
        assert "+ Choose the <right> team." in shown
        assert "predictor route" in shown

    def test_tells_that_nothing_did(self, two: tuple[Path, Path], command: Command) -> None:
        assert command("diff", "old", "old").out == "no difference\n"
        assert command("diff", "old", "old", "--json").json["same"] is True

    def test_tells_of_demos_that_are_chosen_per_call(self, folder: Path, command: Command) -> None:
        write(artifact(), folder / "old")
        write(artifact(nearest=NEAREST), folder / "near")
        choice = "2 nearest of a pool of 3 (words-v1)"
        assert f"demos per call: none -> {choice}" in command("diff", "old", "near").out
        assert f"demos per call: {choice} -> none" in command("diff", "near", "old").out
        told = command("diff", "old", "near", "--json").json["diff"]["predictors"][0]
        assert len(told["nearest"]["added"]) == 3
        command("diff", "old", "near", "--html", "changes.html")
        page = (folder / "changes.html").read_text()
        assert f"<li>demos per call: none -&gt; {choice}" in page

    def test_is_one_json_object(self, two: tuple[Path, Path], command: Command) -> None:
        told = command("diff", "old", "new", "--json").json
        assert told["same"] is False
        assert told["diff"]["predictors"][0]["path"] == "route"

    def test_writes_a_page_that_escapes_and_loads_nothing(
        self, two: tuple[Path, Path], folder: Path, command: Command
    ) -> None:
        write(artifact(models={"default": "openai/<other>"}), folder / "third")
        command("diff", "old", "new", "--html", "changes.html")
        page = (folder / "changes.html").read_text()
        assert "<ins>&lt;right&gt; </ins>" in page
        assert "<del>{&#x27;message&#x27;: &#x27;a&#x27;" in page
        assert "http" not in page
        command("diff", "old", "third", "--html", "changes.html")
        assert "openai/&lt;other&gt;" in (folder / "changes.html").read_text()
        command("diff", "old", "old", "--html", "changes.html")
        assert "No difference." in (folder / "changes.html").read_text()

    def test_refuses_what_is_not_there(self, two: tuple[Path, Path], command: Command) -> None:
        assert command("diff", "old", "missing").code == 3
