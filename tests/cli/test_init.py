"""`compilm init` writes files that work, and never over other files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.cli.conftest import Command

from compilm.config import load_config


def test_the_starter_can_be_checked_as_it_is(project: Path, command: Command) -> None:
    done = command("check", "--json")
    assert (done.code, done.json["broken"]) == (0, 0)
    assert {one["sign"] for one in done.json["checks"]} == {"ok"}


def test_the_starter_has_as_many_rows_for_each_team_and_no_message_twice(
    folder: Path, command: Command
) -> None:
    done = command("init", "--json")
    assert done.json["written"] == ["compilm.toml", "data.jsonl", "metric.py", "program.py"]
    rows = [json.loads(line) for line in (folder / "data.jsonl").read_text("utf-8").splitlines()]
    teams = Counter(row["team"] for row in rows)
    assert teams == dict.fromkeys(("orders", "workshop", "returns", "billing"), 40)
    assert len({row["message"].casefold() for row in rows}) == len(rows)


def test_the_first_compile_of_the_starter_proves_a_gain(project: Path, command: Command) -> None:
    told = command("compile", "--json", "-q").json
    assert told["verdict"] == "proven"
    assert told["held_out"]["low"] > 0
    assert told["held_out"]["n"] >= 40
    again = command("compile", "-q").out  # the same run, in words
    assert f"  on test   {told['held_out']['value']:+.3f} [" in again


def test_nothing_is_written_over(project: Path, command: Command) -> None:
    (project / "metric.py").write_text("mine")
    done = command("init")
    assert done.code == 2
    assert "metric.py" in done.err
    assert "--force" in done.err
    assert (project / "metric.py").read_text() == "mine"


def test_force_writes_over(project: Path, command: Command) -> None:
    (project / "metric.py").write_text("mine")
    assert command("init", "--force").code == 0
    assert "right_team" in (project / "metric.py").read_text()


def test_a_given_program_and_its_data_are_looked_at(project: Path, command: Command) -> None:
    (project / "compilm.toml").unlink()
    done = command(
        "init", "--from", "program.py:Desk", "--data", "data.jsonl", "--metric", "exact(team)"
    )
    assert done.code == 0
    assert "route: message -> team" in done.out
    assert "160 rows with id, message, team" in done.out
    config = load_config(None, env={}, cwd=project)
    assert (config.program, config.metric) == ("program.py:Desk", "exact(team)")
    assert (config.data.inputs, config.data.id) == (("message",), "id")
    assert command("check").code == 0


def test_a_program_alone_leaves_the_rest_to_be_filled_in(project: Path, command: Command) -> None:
    (project / "compilm.toml").unlink()
    done = command("init", "--from", "program.py:Desk", "--json")
    assert (done.code, done.json["rows"], done.json["inputs"]) == (0, 0, [])
    config = load_config(None, env={}, cwd=project)
    assert (config.metric, config.data.path) == (None, None)


def test_data_that_does_not_fit_is_told(project: Path, command: Command) -> None:
    (project / "compilm.toml").unlink()
    (project / "other.jsonl").write_text('{"text": "hello"}\n')
    done = command("init", "--from", "program.py:Desk", "--data", "other.jsonl")
    assert "set data.inputs" in done.out


def test_nothing_is_written_when_the_program_is_wrong(folder: Path, command: Command) -> None:
    done = command("init", "--from", "missing.py:Desk")
    assert (done.code, list(folder.glob("*.toml"))) == (3, [])


def test_data_without_a_program_is_refused(folder: Path, command: Command) -> None:
    assert command("init", "--data", "rows.jsonl").code == 2
