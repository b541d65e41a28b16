"""`compilm check` finds what a compile would stumble over, and spends nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.cli.conftest import Command


def change(project: Path, before: str, after: str, file: str = "compilm.toml") -> None:
    text = (project / file).read_text()
    assert before in text
    (project / file).write_text(text.replace(before, after))


def findings(command: Command) -> dict[str, tuple[str, str]]:
    """What was found, by the first word of each line."""
    checks = command("check", "--json").json["checks"]
    return {one["what"]: (one["sign"], one["text"]) for one in checks}


def test_lines_start_with_their_sign(project: Path, command: Command) -> None:
    done = command("check")
    assert done.code == 0
    assert all(line.startswith("ok  ") for line in done.out.splitlines())
    assert "1 model calls for each" in done.out


def test_a_program_that_is_not_there_ends_it(project: Path, command: Command) -> None:
    change(project, "program.py:Desk", "program.py:Dsk")
    done = command("check")
    assert done.code == 3
    assert done.out.startswith("xx  program")
    assert "'Desk'" in done.out
    assert "Traceback" not in done.err


def test_no_program_at_all_is_a_configuration_error(folder: Path, command: Command) -> None:
    done = command("check")
    assert (done.code, done.err[:18]) == (2, "error: no program:")


def test_several_targets_want_one_named(project: Path, command: Command) -> None:
    (project / "compilm.toml").write_text("[target.a]\n[target.b]\n")
    done = command("check")
    assert done.code == 2
    assert "a, b: give --target NAME" in done.err


def test_no_metric_and_no_data_are_configuration_errors(project: Path, command: Command) -> None:
    change(project, 'metric = "metric.py:right_team"', "")
    assert "no metric" in command("check").err
    assert command("check", "--set", "metric=exact(team)").code == 0
    change(project, 'path = "data.jsonl"', "")
    assert "no data" in command("check", "--set", "metric=exact(team)").err


def test_a_model_called_while_building_is_told(project: Path, command: Command) -> None:
    (project / "program.py").write_text(
        "import dspy\n"
        "from compilm.assemble import roles_from\n"
        "_PROBE = dspy.Predict('question -> answer')\n"
        "with dspy.context(lm=roles_from({})['default']):\n"
        "    _PROBE(question='hello')\n" + (project / "program.py").read_text()
    )
    sign, told = [
        (one["sign"], one["text"])
        for one in command("check", "--json").json["checks"]
        if one["what"] == "program"
    ][-1]
    assert (sign, told.split()[:3]) == ("!!", ["1", "model", "calls"])


@pytest.mark.parametrize("metric", ["metric.py:missing", "nonsense(x)", "program.py:dspy"])
def test_a_metric_that_cannot_be_used_is_told(project: Path, command: Command, metric: str) -> None:
    done = command("check", "--set", f"metric={metric}")
    assert done.code == 3
    assert "xx  metric" in done.out


def test_a_metric_that_cannot_score_the_labels_is_told(project: Path, command: Command) -> None:
    change(project, "prediction.team", "prediction.rationale", "metric.py")
    assert findings(command)["gold"][0] == "!!"


def test_a_metric_that_gives_no_score_is_told(project: Path, command: Command) -> None:
    (project / "metric.py").write_text(
        "from compilm.metrics import Score\n\n\n"
        "def right_team(example, prediction, trace=None):\n"
        "    return Score.unscored('the judge is away')\n"
    )
    sign, told = findings(command)["gold"]
    assert (sign, "the judge is away" in told) == ("!!", True)


def test_a_metric_under_which_the_labels_are_wrong_is_told(project: Path, command: Command) -> None:
    change(project, "prediction.team == example.team", "prediction.team == 1", "metric.py")
    assert findings(command)["gold"][0] == "!!"


def test_a_broken_row_is_told_with_its_line(project: Path, command: Command) -> None:
    with (project / "data.jsonl").open("a") as rows:
        rows.write('{"id": "x", "team": "orders"}\n')
    done = command("check")
    assert done.code == 3
    assert "data.jsonl:161" in done.out


def test_a_leak_into_test_is_told(project: Path, command: Command) -> None:
    rows = (project / "data.jsonl").read_text().splitlines(keepends=True)
    (project / "train.jsonl").write_text("".join(rows[:20]))
    (project / "val.jsonl").write_text("".join(rows[20:30]))
    (project / "test.jsonl").write_text("".join(rows[30:] + rows[:1]))
    change(project, 'path = "data.jsonl"', "train = 'train.jsonl'\nval = 'val.jsonl'")
    change(project, "split = {", "test = 'test.jsonl' # {")
    found = findings(command)
    assert found["leaks"][0] == "xx"
    assert "1 inputs of test stand elsewhere" in found["leaks"][1]


def test_a_missing_test_split_and_repeated_rows_are_told(project: Path, command: Command) -> None:
    rows = [json.loads(line) for line in (project / "data.jsonl").read_text().splitlines()]
    rows.append({**rows[0], "id": "again"})
    (project / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:20]))
    (project / "val.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows[20:], {**rows[21], "id": "more"}])
    )
    change(project, 'path = "data.jsonl"', "train = 'train.jsonl'\nval = 'val.jsonl'")
    change(project, "split = {", "# {")
    done = command("check")
    assert done.code == 0
    assert "!!  split    no test examples" in done.out
    assert "!!  leaks    1 rows resemble one elsewhere" in done.out
    assert "!!  repeats  1 rows repeat another" in done.out


def test_a_program_that_fails_is_told(project: Path, command: Command) -> None:
    call, failing = "return self.route(message=message)", "raise RuntimeError('no route')"
    change(project, call, failing, "program.py")
    sign, told = findings(command)["dry run"]
    assert sign == "xx"
    assert "RuntimeError: no route" in told


def test_a_program_that_asks_no_model_is_told(project: Path, command: Command) -> None:
    change(project, "self.route(message=message)", "dspy.Prediction(team='orders')", "program.py")
    assert findings(command)["dry run"][0] == "!!"


def test_inputs_are_guessed_from_the_program(project: Path, command: Command) -> None:
    change(project, 'inputs = ["message"]', "")
    assert findings(command)["data"][1].endswith("message -> id, team")
    change(project, '"message"', '"note"', "data.jsonl")
    done = command("check")
    assert done.code == 2
    assert "(message) is a field of" in done.err


def test_without_a_split_one_is_made_and_said(project: Path, command: Command) -> None:
    change(project, "split = {", "# {")
    assert "no data.split is configured" in findings(command)["split"][1]


def test_train_and_test_files_leave_val_to_be_split_off(project: Path, command: Command) -> None:
    rows = (project / "data.jsonl").read_text().splitlines(keepends=True)
    (project / "test.jsonl").write_text("".join(rows[::4]))
    (project / "train.jsonl").write_text("".join(r for i, r in enumerate(rows) if i % 4))
    change(project, 'path = "data.jsonl"', "train = 'train.jsonl'\ntest = 'test.jsonl'")
    change(project, "split = {", "# {")
    assert "test 40;" in findings(command)["data"][1]


def test_labels_that_look_wrong_are_told_with_their_lines(project: Path, command: Command) -> None:
    rows = (project / "data.jsonl").read_text().splitlines()
    rows[4] = rows[4].replace('"team": "orders"', '"team": "cooking"')
    rows[8] = rows[8].replace(', "team": "orders"', "")
    (project / "data.jsonl").write_text("\n".join(rows))
    done = command("check")
    assert done.code == 0
    (line,) = [line for line in done.out.splitlines() if "labels  " in line]
    assert line.startswith("!!  labels   2 look wrong: ")
    assert "data.jsonl:5: field 'team': 'cooking' is none of 'orders', 'workshop'" in line
    assert "data.jsonl:9: field 'team': missing" in line


def test_rows_that_were_not_compared_are_told(
    project: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compilm.datasets.NEAR_ROWS", 5)
    told = command("check").out
    assert "!!  leaks    near repeats were looked for in the first 5 rows of a split only" in told


def test_a_program_without_predictors_is_told(project: Path, command: Command) -> None:
    (project / "program.py").write_text(
        "import dspy\n\n\nclass Desk(dspy.Module):\n    def forward(self, message):\n"
        "        return dspy.Prediction(team='orders')\n"
    )
    done = command("check")
    assert done.code == 3
    assert "xx  program  Desk has no predictor that could be compiled" in done.out


def test_no_more_rows_are_read_than_the_limit(project: Path, command: Command) -> None:
    told = command("check", "--set", "data.limit=30").out
    sizes = re.search(r"train (\d+), val (\d+), test (\d+)", told)
    assert sizes is not None
    assert sum(map(int, sizes.groups())) == 30
