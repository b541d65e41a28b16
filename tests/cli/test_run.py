"""`compilm run` answers one input or many lines, each in its place."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Command, artifact

from compilm.artifact import write
from compilm.cli.loading import loaded
from compilm.cli.options import configuration
from compilm.cli.out import Out
from compilm.testing.engines import ScriptedEngine
from compilm.testing.faults import FaultServer

TEAMS = {"orders", "workshop", "returns", "billing"}


@pytest.fixture
def desk(project: Path) -> Path:
    """The starter with an artifact for its program."""
    demos = ({"message": "My chain broke", "team": "workshop"},)
    write(artifact(demos=demos), project / "build" / "desk")
    return project


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_one_input_gives_its_outputs(desk: Path, command: Command) -> None:
    done = command("run", "build/desk", "message=My chain broke")
    assert (done.code, done.out) == (0, "team: workshop\n")
    assert "not a language model" in done.err
    assert "default embedded/base" in done.err


def test_json_is_one_object(desk: Path, command: Command) -> None:
    done = command("run", "build/desk", "message=My chain broke", "--json", "-q")
    assert (done.json, done.err) == ({"team": "workshop"}, "")


def test_an_input_may_come_from_a_file_or_be_json(desk: Path, command: Command) -> None:
    (desk / "letter.txt").write_text("My chain broke")
    assert command("run", "build/desk", "message=@letter.txt").out == "team: workshop\n"
    assert command("run", "build/desk", 'message:="My chain broke"').out == "team: workshop\n"
    assert command("run", "build/desk", "message=a=b").code == 0


def test_what_one_artifact_keeps_is_found_by_it_alone_by_run_and_serve(
    desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that ask the same to the letter are two all the same."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    write(artifact(models={"default": "openai/other"}), desk / "build" / "one")
    write(artifact(models={"default": "openai/another"}), desk / "build" / "two")
    with FaultServer(ScriptedEngine([{"team": "returns"}])) as wire:
        model = f'model = "openai/m"\nbase_url = "{wire.url}/v1"\nengine = "lean"\n'
        kept = '[runtime]\ncache = "sqlite"\n'
        configured = f'program = "program.py:Desk"\n{kept}[lm.default]\n{model}'
        (desk / "compilm.toml").write_text(configured)
        for name, calls in (("one", 1), ("one", 1), ("two", 2), ("two", 2), ("one", 2)):
            assert command("run", f"build/{name}", "message=hi").out == "team: returns\n"
            assert len(wire.seen) == calls
        config = configuration(argparse.Namespace(config=None, target=None, set=[]))
        runtime = loaded("build/one", config, Out(quiet=True))  # as serve does
        assert asyncio.run(runtime.acall(message="hi")).team == "returns"
        runtime.close()
        assert wire.seen[0].body["messages"] == wire.seen[1].body["messages"]
    assert len(wire.seen) == 2


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("message", "expected key=text"),
        ("=text", "expected key=text"),
        ("message=@missing.txt", "No such file"),
        ("message:={", "not JSON"),
        ("note=hello", "note: Extra inputs are not permitted"),
        ("message:=3", "message: Input should be a valid string. The program takes message"),
    ],
)
def test_a_wrong_input_is_told(desk: Path, command: Command, item: str, told: str) -> None:
    done = command("run", "build/desk", item)
    assert (done.code, told in done.err) == (2, True)


def test_an_output_that_is_no_text_is_shown_as_json(desk: Path, command: Command) -> None:
    text = (desk / "program.py").read_text()
    call = "return self.route(message=message)"
    changed = f"found = self.route(message=message)\n        {call[:6]} dspy.Prediction(n=[1, 2])"
    (desk / "other.py").write_text(text.replace(call, changed))
    assert command("run", "build/desk", "message=x", "--program", "other.py:Desk").out == (
        "n: [1, 2]\n"
    )


class TestLines:
    def test_are_answered_in_their_order(
        self, desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = (desk / "data.jsonl").read_text()
        typed(monkeypatch, rows)
        done = command("run", "build/desk", "-", "--concurrency", "3")
        together = [json.loads(line) for line in done.out.splitlines()]
        typed(monkeypatch, rows)
        alone = command("run", "build/desk", "-", "--concurrency", "1").out
        assert done.code == 0
        assert len(together) == 160
        assert {row["team"] for row in together} <= TEAMS
        assert done.out == alone

    def test_that_fail_say_so_in_their_place(
        self, desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = '{"message": "My chain broke"}'
        typed(monkeypatch, f'{good}\n\n{{"note": 1}}\nnot json\n[1]\n{good}\n')
        done = command("run", "build/desk", "-")
        rows = [json.loads(line) for line in done.out.splitlines()]
        assert done.code == 2
        assert [list(row) for row in rows] == [["team"], ["error"], ["error"], ["error"], ["team"]]
        assert rows[1]["error"]["line"] == 3
        assert "message: Field required" in rows[1]["error"]["message"]
        assert rows[2]["error"]["kind"] == "JSONDecodeError"

    def test_on_which_the_program_fails_are_3(
        self, desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = (desk / "program.py").read_text()
        (desk / "other.py").write_text(
            text.replace("return self", "raise KeyError('x')\n        #")
        )
        typed(monkeypatch, '{"message": "a"}\n')
        done = command("run", "build/desk", "-", "--program", "other.py:Desk")
        assert (done.code, json.loads(done.out)["error"]["kind"]) == (3, "KeyError")


class TestLoading:
    def test_no_program_is_imported_because_a_file_names_it(
        self, desk: Path, command: Command
    ) -> None:
        (desk / "compilm.toml").unlink()
        done = command("run", "build/desk", "message=x")
        assert (done.code, "give --program REF" in done.err) == (2, True)
        assert "'program.py:Desk'" in done.err
        assert command("run", "build/desk", "message=x", "--program", "program.py:Desk").code == 0

    def test_another_shape_is_refused(self, desk: Path, command: Command) -> None:
        text = (desk / "program.py").read_text()
        (desk / "other.py").write_text(text.replace("message", "letter"))
        done = command("run", "build/desk", "letter=x", "--program", "other.py:Desk")
        assert (done.code, "route" in done.err) == (3, True)

    def test_the_models_it_was_compiled_for_are_taken_where_none_is_configured(
        self, desk: Path, command: Command
    ) -> None:
        from compilm.cli.loading import loaded
        from compilm.cli.out import Out
        from compilm.config import load_config

        models = {"default": "openai/gpt-5-mini", "proposer": "embedded/base"}
        write(artifact(models=models), desk / "build" / "other")
        config = load_config(None, env={}, cwd=desk)
        stderr = io.StringIO()
        runtime = loaded("build/other", config, Out(stderr=stderr))
        assert runtime.roles["default"].model == "openai/gpt-5-mini"
        assert "not a language model" not in stderr.getvalue()

    def test_configured_models_win_and_other_roles_are_left_out(
        self, desk: Path, command: Command
    ) -> None:
        roles = ("--set", "lm.default.model=embedded/base", "--set", "lm.rank.model=embedded/base")
        done = command("run", "build/desk", "message=x", *roles)
        assert (done.code, "no model is configured" in done.err) == (0, False)


class TestSpending:
    @pytest.fixture
    def provider(self, desk: Path) -> Iterator[None]:
        """A provider on loopback, configured for the starter."""
        with FaultServer(ScriptedEngine([{"team": "workshop"}])) as server:
            config = (desk / "compilm.toml").read_text().replace("[lm.default]", "[lm.unused]")
            (desk / "compilm.toml").write_text(
                f'{config}\n[lm.default]\nmodel = "openai/gpt-5-mini"\nengine = "lean"\n'
                f'base_url = "{server.url}/v1"\nkey_env = "DESK_KEY"\n'
            )
            yield

    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DESK_KEY", "k")

    def test_is_told_with_the_answer(self, provider: None, desk: Path, command: Command) -> None:
        done = command("run", "build/desk", "message=x", "--json")
        assert done.json["team"] == "workshop"
        assert (done.json["_spent"]["calls"], done.json["_spent"]["usd"] > 0) == (1, True)
        assert "1 call (0 from the cache)" in done.err

    def test_of_many_lines_is_told_once(
        self, provider: None, desk: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        typed(monkeypatch, "".join(f'{{"message": "m{n}"}}\n' for n in range(5)))
        done = command("run", "build/desk", "-", "--concurrency", "2")
        assert [json.loads(line) for line in done.out.splitlines()] == [{"team": "workshop"}] * 5
        assert done.err.count("5 calls (0 from the cache)") == 1

    def test_over_a_budget_is_exit_code_5(
        self, provider: None, desk: Path, command: Command
    ) -> None:
        budget = ("--set", "runtime.budget={ calls_per_day = 0 }")
        done = command("run", "build/desk", "message=x", *budget)
        assert (done.code, "the budget of 0 calls a day is used up" in done.err) == (5, True)
