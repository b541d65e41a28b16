"""`compilm compile` writes an artifact, resumes, gates a build, and asks before it spends."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from tests.cli.conftest import Command, Terminal

from compilm.artifact import read
from compilm.cli import compile as verb
from compilm.cli.out import Out
from compilm.testing.engines import scripted_lm

QUICK = ("compile", "-O1", "--budget", "90rollouts", "-q")


def test_the_artifact_the_report_and_the_journal_are_written(
    project: Path, command: Command
) -> None:
    done = command(*QUICK)
    assert done.code == 0
    assert done.err == ""
    assert read(project / "build" / "desk").program_reference == "program.py:Desk"
    assert "<html" in (project / "build" / "desk" / "report.html").read_text()
    assert (project / ".compilm" / "journal.db").is_file()
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert {"gain", "val", "test", "spent", "stopped", "note", "artifact", "report"} <= set(lines)
    assert " build/desk  sha256:" in lines["artifact"]
    assert "compilm eval build/desk --against baseline" in lines["next:"]


def test_json_has_the_names_of_the_result(project: Path, command: Command) -> None:
    told = command(*QUICK, "--json").json
    names = {"verdict", "gain", "baseline", "compiled", "spent", "run", "stop", "notes", "artifact"}
    assert names <= set(told)
    assert told["artifact"]["digest"] == read(project / "build" / "desk").digest
    assert set(told["gain"]) == {"value", "low", "high", "n"}
    assert told["spent"]["rollouts"] <= 90


def test_the_same_command_again_pays_for_nothing(project: Path, command: Command) -> None:
    first = command(*QUICK, "--json").json
    again = command(*QUICK, "--json").json
    assert (again["run"], again["artifact"]) == (first["run"], first["artifact"])
    assert len(command("runs", "--json").json["runs"]) == 1


def test_a_place_that_cannot_be_written_is_told_before_anything_is_spent(
    project: Path, command: Command
) -> None:
    done = command(*QUICK, "--out", "data.jsonl/desk")
    assert (done.code, done.err) == (
        2,
        "error: --out data.jsonl/desk: data.jsonl is no folder; name another place\n",
    )
    assert not (project / ".compilm").exists()


def test_the_artifact_can_be_one_file(project: Path, command: Command) -> None:
    done = command(*QUICK, "--out", "out/desk.json")
    assert done.code == 0
    assert sorted(one.name for one in (project / "out").iterdir()) == ["desk.json", "report.html"]
    assert command("show", "out/desk.json").code == 0


def test_a_plan_spends_nothing(project: Path, command: Command) -> None:
    done = command("compile", "--plan")
    assert done.code == 0
    assert "nothing is spent" in done.out
    told = command("compile", "--plan", "--json").json
    assert told["rollouts"]["low"] <= told["rollouts"]["high"]
    assert not (project / ".compilm").exists()
    assert not (project / "build").exists()


def test_places_and_figures_can_be_given(project: Path, command: Command) -> None:
    done = command(*QUICK, "--out", "o", "--journal", "j.db", "--seed", "3", "--no-report", "-v")
    assert done.code == 0
    assert [path.name for path in (project / "o").iterdir()] == ["artifact.json"]
    assert (project / "j.db").is_file()
    assert command("runs", "--journal", "j.db", "--json").json["runs"][0]["seed"] == 3


def test_one_of_dspys_optimizers_is_run_and_listed(project: Path, command: Command) -> None:
    options = ("--optimizer", "dspy.LabeledFewShot", "--optimizer-options", "{ k = 2 }")
    planned = command("compile", "--plan", *options, "--json")
    assert planned.json["rollouts"]["high"] > 0
    done = command("compile", "-q", *options, "--budget", "90rollouts", "--json")
    assert done.code == 0
    assert done.json["stop"] == "dspy.LabeledFewShot came to its end"
    (run,) = command("runs", "--json").json["runs"]
    assert (run["optimizer"], run["level"]) == ("dspy.LabeledFewShot", None)
    assert "dspy.LabeledFewShot" in command("runs").out


class TestGate:
    def test_a_low_score_is_1(self, project: Path, command: Command) -> None:
        done = command("compile", "-O0", "-q", "--fail-under", "0.99")
        assert (done.code, "gate      failed: score" in done.out) == (1, True)

    def test_a_kept_score_is_0(self, project: Path, command: Command) -> None:
        done = command("compile", "-O0", "-q", "--fail-under", "0", "--max-regression", "0.5")
        assert (done.code, "gate" in done.out) == (0, False)

    def test_the_configured_one_holds(self, project: Path, command: Command) -> None:
        text = (project / "compilm.toml").read_text()
        (project / "compilm.toml").write_text(text + "\n[gate]\nfail_under = 0.99\n")
        assert command("compile", "-O0", "-q").code == 1

    def test_a_budget_that_ends_before_it_is_5(self, project: Path, command: Command) -> None:
        gated = command("compile", "-O1", "-q", "--budget", "3calls", "--fail-under", "0.1")
        assert gated.code == 5


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (("--budget", "3 euro"), 2),
            (("-O4",), 2),
            (("--optimizer", "nothing"), 2),
            (("--optimizer", "dspy.COPRO", "--optimizer-options", "{ bredth = 3 }"), 2),
            (("--optimizer-options", "{ breadth = 3 }"), 2),
            (("--set", "metric=metric.py:nothing"), 3),
            (("--set", "data.path=missing.jsonl"), 3),
            (("--set", "data.inputs=nothing"), 3),
            (("--target", "nothing"), 2),
            (("--config", "nothing.toml"), 2),
        ],
    )
    def test_are_one_message_and_no_artifact(
        self, project: Path, command: Command, options: tuple[str, ...], code: int
    ) -> None:
        done = command("compile", "-q", *options)
        assert done.code == code
        assert done.err.startswith("error: ")
        assert "Traceback" not in done.err
        assert not (project / "build").exists()

    def test_a_metric_that_breaks_is_3(self, project: Path, command: Command) -> None:
        (project / "bad.py").write_text("def score(example, prediction):\n    return 'good'\n")
        done = command("compile", "-O0", "-q", "--set", "metric=bad.py:score")
        assert (done.code, "metric 'score'" in done.err) == (3, True)


class TestSpending:
    """A model that costs money is configured; no call is made here, for there is no key."""

    PAID = ("--set", "lm.default.model=openai/gpt-5-mini")

    def test_without_a_budget_a_script_is_refused(self, project: Path, command: Command) -> None:
        (project / "compilm.toml").write_text(
            (project / "compilm.toml").read_text().replace("budget =", "# budget =")
        )
        done = command("compile", *self.PAID)
        assert (done.code, "give --budget, or --yes" in done.err) == (2, True)

    def test_a_budget_is_a_scripts_yes(self, project: Path, command: Command) -> None:
        args, asked = self.asked(project)
        verb._confirm(args, asked, Out())

    @pytest.mark.parametrize("typed", ["y\n", "n\n"])
    def test_a_person_sees_the_plan_and_is_asked(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, typed: str
    ) -> None:
        args, asked = self.asked(project)
        terminal = Terminal()
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        out = Out(stderr=terminal)
        if typed == "y\n":
            verb._confirm(args, asked, out)
        else:
            with pytest.raises(ValueError, match="not started"):
                verb._confirm(args, asked, out)
        shown = terminal.getvalue()
        assert "nothing is spent yet" in shown
        assert shown.endswith("go on? [y/N] ")

    def test_yes_does_not_ask(self, project: Path) -> None:
        args, asked = self.asked(project, "--yes")
        verb._confirm(args, {**asked, "budget": None}, Out())

    def asked(self, project: Path, *options: str) -> tuple[argparse.Namespace, dict[str, Any]]:
        """The parsed options of a command, and what it would compile."""
        from compilm.cli.options import Parser, common, configuration

        parser = Parser()
        verb.arguments(parser)
        common(parser)
        args = parser.parse_args([*self.PAID, *options])
        return args, verb._asked(configuration(args))


class TestProgress:
    @pytest.mark.parametrize(
        ("asked", "terminal", "quiet", "shown"),
        [
            ("auto", False, False, "plain"),
            ("auto", True, False, "auto"),
            ("auto", True, True, "none"),
            ("live", False, False, "live"),
        ],
    )
    def test_is_plain_where_nobody_looks_on(
        self, asked: str, terminal: bool, quiet: bool, shown: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CI", raising=False)
        out = Out(quiet=quiet, stderr=Terminal()) if terminal else Out(quiet=quiet)
        assert verb._progress(asked, out) == shown

    def test_goes_to_stderr(self, project: Path, command: Command) -> None:
        done = command("compile", "-O0", "--progress", "plain")
        assert done.err != ""
        assert done.out.splitlines()[-1].startswith("next:")


def test_ctrl_c_ends_the_batch_and_writes_the_result(project: Path) -> None:
    """The program interrupts its own process once, while examples are being scored."""
    text = (project / "program.py").read_text()
    call = "        return self.route"
    interrupt = (
        "        import os, signal\n"
        "        if 'my new saddle' in message and not os.path.exists('once'):\n"
        "            open('once', 'w').close()\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
    )
    (project / "program.py").write_text(text.replace(call, interrupt + call))
    done = subprocess.run(
        [sys.executable, "-m", "compilm", "compile", "-O1", "--json"],
        capture_output=True,
        text=True,
        cwd=project,
    )
    told = json.loads(done.stdout)
    assert done.returncode == 130
    assert done.stderr.count("Ctrl-C again stops at once") == 1
    assert told["stop"].startswith("interrupted")
    assert "Traceback" not in done.stderr
    assert read(project / "build" / "desk").digest == told["artifact"]["digest"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (lm15.ServerError("down"), "calls failed, the last with "),
        (lm15.AuthError("bad key sk-123"), "refuses this account"),
        (lm15.NotConfiguredError("no key"), "has no key"),
    ],
)
def test_where_no_model_answers_an_older_artifact_is_kept_and_the_code_is_4(
    project: Path, command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    assert command(*QUICK).code == 0
    before = read(project / "build" / "desk")
    down = scripted_lm(lambda request: error)
    monkeypatch.setattr(verb, "roles_of", lambda config: {"default": down})
    monkeypatch.setattr("compilm.clock.SystemClock.sleep", lambda self, seconds: None)
    done = command("compile", "-O1", "--budget", "7calls", "-q")
    assert done.code == 4
    assert "no example was scored" in done.err
    assert told in done.err
    assert "sk-123" not in done.err
    assert read(project / "build" / "desk") == before


def test_a_budget_that_scores_nothing_is_5(project: Path, command: Command) -> None:
    done = command("compile", "-q", "--budget", "1tokens")
    assert (done.code, "no artifact is written: budget: 1 tokens" in done.err) == (5, True)
    assert not (project / "build").exists()


def first_do(file: Path, line: str, before: str) -> None:
    """Put a line of code before another."""
    text = file.read_text()
    at = text.index(before)
    indent = text[:at].rpartition("\n")[2]
    file.write_text(f"{text[:at]}{line}\n{indent}{text[at:]}")


def test_what_a_program_prints_is_not_data(project: Path, command: Command) -> None:
    first_do(project / "program.py", "print('noise')", before="return self.route")
    done = command(*QUICK, "--json")
    assert done.json["verdict"]
    assert "noise" in done.err


@pytest.mark.parametrize(
    ("file", "before"), [("program.py", "return self.route"), ("metric.py", "right =")]
)
def test_a_process_that_is_ended_from_within_is_an_error(
    project: Path, command: Command, file: str, before: str
) -> None:
    first_do(project / file, "raise SystemExit(1)", before)
    done = command(*QUICK)
    assert done.code == 3
    assert "called sys.exit(1)" in done.err


def test_a_label_that_no_answer_can_equal_is_told_before_the_compile(
    project: Path, command: Command
) -> None:
    rows = (project / "data.jsonl").read_text("utf-8").splitlines()
    rows[4] = rows[4].replace('"team": "orders"', '"team": "order"')
    (project / "data.jsonl").write_text("\n".join(rows), "utf-8")
    done = command("compile", "-O0", "--budget", "20rollouts")
    assert "data.jsonl:5: field 'team': 'order' is none of" in done.err.splitlines()[0]
    assert "Did you mean 'orders'?" in done.err


def test_a_compile_that_ended_before_the_proof_claims_no_gain(
    project: Path, command: Command
) -> None:
    done = command("compile", "-O1", "--budget", "2calls", "-q")
    assert "it ended before held-out examples were compared" in done.out
    assert "gain      not measured" in done.out
    assert "+0.000" not in done.out


def test_where_nothing_better_was_found_the_gain_is_said_in_words(
    project: Path, command: Command
) -> None:
    done = command("compile", "-O0", "-q")
    (line,) = [line for line in done.out.splitlines() if line.startswith("  gain")]
    assert line == "  gain      none found"
