"""`compilm traces` and `compilm replay`: what was run is kept, shown, and run again offline."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import Command, artifact

from compilm.artifact import write

TEXTS = ("--set", "runtime.trace=texts")
DEMOS = ({"message": "My chain broke", "team": "workshop"},)


@pytest.fixture
def desk(project: Path) -> Path:
    """The starter with an artifact for its program."""
    write(artifact(demos=DEMOS), project / "build" / "desk")
    return project


def asked(command: Command, message: str, *options: str) -> None:
    assert command("run", "build/desk", f"message={message}", *options).code == 0


def listed(command: Command, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command("traces", "--json", *options).json["traces"]
    return found


def test_what_is_run_is_kept_without_texts(desk: Path, command: Command) -> None:
    asked(command, "My chain broke")
    (row,) = listed(command)
    assert (row["program"], row["calls"], row["error"], row["keeps"]) == (
        "Desk",
        1,
        None,
        "numbers",
    )
    assert row["input_tokens"] > 0
    assert row["usd"] == 0.0
    file = desk / ".compilm" / "traces.db"
    assert b"chain broke" not in file.read_bytes()
    assert f"{row['id'][:12]}  " in command("traces").out


def test_one_is_shown_as_a_tree(desk: Path, command: Command) -> None:
    asked(command, "My chain broke", *TEXTS)
    (row,) = listed(command)
    short = command("traces", row["id"][:8])
    assert short.code == 0
    assert "└─ route" in short.out
    assert "outputs  team: workshop" in short.out
    assert row["digest"] in short.out
    assert "[[ ## message ## ]]" not in short.out
    assert "[[ ## message ## ]]" in command("traces", row["id"][:8], "--texts").out
    whole = command("traces", row["id"], "--json").json
    assert [span["kind"] for span in whole["spans"]] == ["program", "predictor", "call"]


def test_the_last_ones_and_the_failed_ones_can_be_asked_for(desk: Path, command: Command) -> None:
    for n in range(3):
        asked(command, f"message {n}")
    broken = (desk / "program.py").read_text().replace("return self", "raise KeyError; return self")
    (desk / "broken.py").write_text(broken)
    done = command("run", "build/desk", "message=x", "--program", "broken.py:Desk")
    assert done.code != 0
    assert len(listed(command)) == 4
    assert len(listed(command, "--limit", "2")) == 2
    assert [row["error"] for row in listed(command, "--failed")] == ["KeyError"]


def test_many_lines_are_many_traces(
    desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(json.dumps({"message": f"m{n}"}) + "\n" for n in range(20))
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert command("run", "build/desk", "-").code == 0
    assert len(listed(command, "--limit", "100")) == 20


def test_more_lines_than_are_recorded_a_second_are_answered_and_said(
    desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(json.dumps({"message": f"m{n}"}) + "\n" for n in range(20))
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    done = command("run", "build/desk", "-", "--set", "runtime.trace_rate=0.001")
    assert (done.code, len(done.out.splitlines())) == (0, 20)
    told = "calls not recorded: 19, as more came than 0.001 a second (runtime.trace_rate)"
    assert told in done.err
    assert len(listed(command, "--limit", "100")) == 1


def test_nothing_is_kept_where_nothing_shall_be(desk: Path, command: Command) -> None:
    asked(command, "My chain broke", "--set", "runtime.trace=none")
    assert not (desk / ".compilm" / "traces.db").exists()
    done = command("traces")
    assert (done.code, done.out) == (
        0, "no traces in .compilm/traces.db; compilm run and serve make some\n",
    )  # fmt: skip
    off = command("traces", "--set", "runtime.trace=none")
    assert off.out == "no traces in .compilm/traces.db; runtime.trace is none\n"


def test_a_file_that_cannot_be_kept_fails_no_call(desk: Path, command: Command) -> None:
    (desk / "taken").write_text("hello " * 1000)
    done = command(
        "run", "build/desk", "message=My chain broke", "--set", "runtime.trace_path=taken"
    )
    assert (done.code, done.out) == (0, "team: workshop\n")
    assert "no traces are kept: 'taken' is not a journal" in done.err.replace(f"{desk}/", "")


def test_an_id_that_is_none_is_told(desk: Path, command: Command) -> None:
    asked(command, "one")
    asked(command, "two")
    done = command("traces", "zz")
    assert (done.code, "there is no trace 'zz'; known: " in done.err) == (2, True)
    assert "several traces start with ''" in command("traces", "").err


def test_a_trace_is_replayed_to_the_same(desk: Path, command: Command) -> None:
    asked(command, "My chain broke", *TEXTS)
    (row,) = listed(command)
    done = command("replay", row["id"][:8], "build/desk")
    assert (done.code, done.out) == (0, "team: workshop\n")
    assert "the same as when it was recorded" in done.err
    told = command("replay", row["id"][:8], "build/desk", "--json").json
    assert told == {
        "trace": row["id"],
        "same": True,
        "outputs": {"team": "workshop"},
        "recorded": {"team": "workshop"},
        "error": None,
    }


def test_a_program_that_makes_something_else_of_it_is_told(desk: Path, command: Command) -> None:
    asked(command, "My chain broke", *TEXTS)
    (row,) = listed(command)
    text = (desk / "program.py").read_text()
    call = "return self.route(message=message)"
    assert call in text
    other = (
        f"found = self.route(message=message)\n        found.team = 'returns'\n        {call[:6]}"
    )
    (desk / "other.py").write_text(text.replace(call, f"{other} found"))
    done = command("replay", row["id"], "build/desk", "--program", "other.py:Desk")
    assert (done.code, done.out) == (1, "team: returns\n")
    assert "recorded was team: workshop" in done.err


def test_a_question_that_is_not_in_the_trace_is_told(desk: Path, command: Command) -> None:
    asked(command, "My chain broke", *TEXTS)
    (row,) = listed(command)
    write(artifact("Choose well.", DEMOS), desk / "build" / "next")
    done = command("replay", row["id"], "build/next")
    assert done.code == 3
    assert "build/next is another artifact" in done.err
    assert "holds no answer to" in done.err


def test_a_failure_is_replayed_as_one(desk: Path, command: Command) -> None:
    broken = (desk / "program.py").read_text().replace("return self", "raise KeyError; return self")
    (desk / "program.py").write_text(broken)
    command("run", "build/desk", "message=x", *TEXTS)
    (row,) = listed(command)
    done = command("replay", row["id"], "build/desk")
    assert (done.code, done.out) == (0, "failed: KeyError\n")


def test_numbers_alone_are_not_replayed(desk: Path, command: Command) -> None:
    asked(command, "My chain broke")
    (row,) = listed(command)
    done = command("replay", row["id"], "build/desk")
    assert (done.code, 'runtime.trace = "texts"' in done.err) == (2, True)


def test_a_server_keeps_what_it_answered_until_it_is_stopped(desk: Path, command: Command) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "compilm", "serve", "build/desk", "--port", "0", "--json", *TEXTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=desk,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    with httpx.Client(base_url=told["address"], trust_env=False, timeout=60) as client:
        for n in range(5):
            assert client.post(told["path"], json={"message": f"m{n}"}).status_code == 200
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    found = [json.dumps(one) for one in listed(command)]
    assert len(found) == 5


def test_the_doctor_says_what_is_kept(desk: Path, command: Command) -> None:
    found = command("doctor", *TEXTS).out
    assert "traces      of the last 10,000 calls in .compilm/traces.db, inputs and answers" in found
