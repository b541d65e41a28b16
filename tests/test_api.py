"""The Python face: what is missing is filled in and said, what is wrong is told before it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15
from tests.optimizers import worlds

import compilm
from compilm import Budget
from compilm.api import Progress, halves
from compilm.clock import ManualClock
from compilm.datasets import split
from compilm.errors import (
    BudgetExceeded,
    CallFailed,
    DataError,
    MetricError,
    ProgramError,
    ProviderRejected,
    UsageError,
)
from compilm.journal import MemoryJournal
from compilm.metrics import Score, exact
from compilm.runtime.embedded import NOTICE
from compilm.testing.engines import scripted_lm

# sqlalchemy 2.1 deprecates a loader that mlflow 3.17 asks for when it maps its tables
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

TRAIN = worlds.examples(40, 0)
VAL = worlds.examples(40, 1000)
TEST = worlds.examples(60, 2000)
SMALL: dict[str, Any] = {
    "trainset": TRAIN[:20],
    "valset": VAL[:20],
    "testset": TEST[:20],
    "level": 1,
    "budget": Budget(rollouts=200),
}


def compiled(*, lm: dspy.LM | None = None, **changes: Any) -> compilm.CompileResult:
    """A compile of the small world, with some arguments changed."""
    given: dict[str, Any] = {
        "trainset": TRAIN,
        "valset": VAL,
        "testset": TEST,
        "level": 1,
        "progress": "none",
    }
    given |= {"budget": Budget(rollouts=700), "roles": {"default": lm or worlds.world_lm()}}
    given |= {"metric": exact("label"), "concurrency": 4, **changes}
    return compilm.compile(given.pop("program", worlds.Sorter()), given.pop("metric"), **given)


def sizes(result: compilm.CompileResult) -> tuple[int, ...]:
    data = result.artifact.content["data"]
    return tuple(data[part]["size"] for part in ("train", "val", "test"))


@pytest.fixture(scope="module")
def proven() -> compilm.CompileResult:
    """A compile that found something."""
    result = compiled()
    assert result.verdict == "proven"
    return result


class TestData:
    """What is not given is split off, and said."""

    def test_one_set_is_split_in_three_and_the_result_says_so(self) -> None:
        result = compiled(trainset=worlds.examples(150), valset=None, testset=None, level=0)
        assert sum(sizes(result)) == 150
        assert min(sizes(result)) > 20
        assert any(note.startswith("Split by a hash of the inputs") for note in result.notes)

    @pytest.mark.parametrize("budget", [None, Budget(rollouts=120), Budget(seconds=60.0)])
    def test_without_a_test_set_half_of_val_is_held_out_for_the_proof(
        self, budget: Budget | None
    ) -> None:
        result = compiled(testset=None, level=0, budget=budget)
        parts = halves(VAL, seed=0)
        assert sizes(result) == (40, len(parts.val), len(parts.test))
        told = f"no test examples were given: {len(parts.test)} of valset are held out"
        assert f"{told} for the proof" in result.notes

    def test_a_val_set_that_was_split_off_by_the_same_seed_is_halved_too(self) -> None:
        """Its examples have hashes in one range; the half to hold out goes by other ones."""
        rows = worlds.examples(150)
        made = split(rows, train=0.5, val=0.5, test=0.0)
        result = compiled(trainset=made.train, valset=made.val, testset=None, level=0)
        assert min(sizes(result)) > 20

    def test_without_a_val_set_the_train_set_is_split_in_two(self) -> None:
        result = compiled(valset=None, level=0)
        train, val, test = sizes(result)
        assert (train + val, test) == (40, 60)
        assert min(train, val) > 5

    def test_what_is_given_whole_is_taken_as_it_is_and_nothing_is_said(self) -> None:
        result = compiled(**SMALL | {"level": 0})
        assert sizes(result) == (20, 20, 20)
        assert result.notes == ()

    @pytest.mark.parametrize("leaky", ["trainset", "valset"])
    def test_a_test_example_that_stands_elsewhere_is_refused_with_both_places(
        self, leaky: str
    ) -> None:
        lm = worlds.world_lm()
        part = leaky.removesuffix("set")
        given = {**SMALL, leaky: [*SMALL[leaky][:-1], TEST[3]]}
        with pytest.raises(DataError, match=rf"test '\w+' repeats {part} '\w+'"):
            compiled(lm=lm, **given)
        assert worlds.engine_of(lm).calls == 0

    def test_rows_that_were_not_compared_are_noted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("compilm.api.NEAR_ROWS", 10)
        notes = compiled(level=0).notes
        assert "near duplicates were looked for in the first 10 rows of a split" in notes

    def test_a_leak_that_is_allowed_is_noted(self) -> None:
        given = {**SMALL, "trainset": [*TRAIN[:19], TEST[3]], "level": 0}
        result = compiled(allow_leaks=True, **given)
        assert any("duplicates across the splits: test" in note for note in result.notes)

    @pytest.mark.parametrize(
        ("trainset", "told"),
        [
            ([], "train: there are no examples"),
            (worlds.examples(2), "2 distinct inputs leave .* empty: about .* are needed"),
            ([dspy.Example(text="a", label="red")], r"declares no inputs: use \.with_inputs"),
        ],
    )
    def test_too_little_data_is_told(self, trainset: list[dspy.Example], told: str) -> None:
        with pytest.raises(DataError, match=told):
            compiled(trainset=trainset, valset=None, testset=None)


class TestArguments:
    """Each wrong argument is told before anything is spent."""

    @pytest.mark.parametrize(
        ("wrong", "kind", "told"),
        [
            ({"level": 4}, UsageError, "level 4 is not there.*levels are 0, 1, 2, 3"),
            ({"level": "O2"}, UsageError, "level 'O2' is not there"),
            ({"optimizer": "dspy.MIPRO"}, UsageError, r"'dspy\.MIPRO' is not known"),
            ({"optimizer_options": {"k": 3}}, UsageError, "'k': 3.* without an optimizer"),
            (
                {"optimizer": "dspy.COPRO", "optimizer_options": {"k": 3}},
                UsageError,
                "dspy.COPRO has no option 'k'",
            ),
            ({"metric": 3}, MetricError, "3 is no metric: it cannot be called"),
            ({"metric": lambda: 1.0}, MetricError, "lambda"),
            ({"roles": {"default": "openai/m"}}, UsageError, "role 'default'.*'openai/m'"),
            ({"roles": {"proposer": 7}}, UsageError, "role 'proposer' is bound to 7"),
            ({"roles": {"default": None}}, UsageError, "role 'default' is bound to None"),
            ({"program": lambda text: text}, ProgramError, "no predictor that could be compiled"),
            ({"freeze": ["sord"]}, ProgramError, r"freeze names 'sord'.*\['sort'\]"),
            ({"budget": 100}, UsageError, "budget"),
            ({"concurrency": 0}, UsageError, "concurrency"),
            ({"seed": "x"}, UsageError, "seed"),
            ({"level": True}, UsageError, "level"),
            ({"progress": "loud"}, UsageError, "progress"),
        ],
    )
    def test_a_wrong_argument_is_named(
        self, wrong: dict[str, Any], kind: type[Exception], told: str
    ) -> None:
        lm = worlds.world_lm()
        with pytest.raises(kind, match=told):
            compiled(lm=lm, **wrong)
        assert worlds.engine_of(lm).calls == 0

    def test_a_plan_refuses_what_a_compile_refuses(self) -> None:
        with pytest.raises(UsageError, match="level 4 is not there"):
            compilm.plan(worlds.Sorter(), exact("label"), trainset=TRAIN, level=4)

    def test_the_name_and_the_reference_stand_in_the_artifact(self) -> None:
        result = compiled(**SMALL | {"level": 0, "name": "desk", "reference": "app:Desk"})
        assert result.run.startswith("desk-")
        assert result.artifact.program_reference == "app:Desk"

    def test_one_of_dspys_optimizers_stands_in_the_place_of_the_level(self) -> None:
        how = {"optimizer": "dspy.LabeledFewShot", "optimizer_options": {"k": 4}}
        result = compiled(**SMALL | how)
        search = result.artifact.content["search"]
        assert (search["level"], search["optimizer"]) == (None, "dspy.LabeledFewShot")
        assert result.stop == "dspy.LabeledFewShot came to its end"
        assert result.run != compiled(**SMALL | how | {"optimizer_options": {"k": 3}}).run

    def test_a_plan_tells_what_an_optimizer_would_execute(self) -> None:
        parts = {"trainset": TRAIN, "valset": VAL, "testset": TEST}
        given = {"optimizer": "dspy.COPRO", "optimizer_options": {"breadth": 3, "depth": 2}}
        found = compilm.plan(worlds.Sorter(), exact("label"), **given, **parts)
        assert found.rollouts.high == len(VAL) + 3 * 2 * len(VAL) + 2 * len(TEST)
        capped = compilm.plan(
            worlds.Sorter(), exact("label"), **given, **parts, budget=compilm.Budget(rollouts=90)
        )
        assert capped.rollouts.high <= 90

    def test_a_frozen_predictor_stays_as_it_is(self) -> None:
        assert compiled(**SMALL, freeze=["sort"]).candidate == "c0"

    def test_without_a_budget_one_that_fits_the_data_is_set(self) -> None:
        result = compiled(**SMALL | {"level": 0, "budget": None})
        assert result.artifact.content["search"]["budget"]["rollouts"] == 30 + 2 * 20 + 50

    def test_a_metric_may_be_any_function(self) -> None:
        def right(example: Any, prediction: Any, trace: Any = None) -> bool:
            return bool(example.label == prediction.label)

        result = compiled(**SMALL | {"level": 0}, metric=right)
        assert result.artifact.content["metric"]["name"] == "right"


class TestModels:
    """Who answers: the roles given, else DSPy's setting, else the embedded engine, as is said."""

    def test_without_any_model_the_embedded_engine_answers_and_every_result_says_so(self) -> None:
        with dspy.context(lm=None):
            result = compiled(**SMALL | {"level": 0}, roles=None)
        assert result.artifact.models == {"default": "embedded/base"}
        assert NOTICE in result.notes
        assert NOTICE in str(result)
        assert NOTICE in result._repr_html_()

    def test_the_model_of_dspys_settings_is_used(self) -> None:
        lm = worlds.world_lm()
        with dspy.context(lm=lm):
            result = compiled(**SMALL | {"level": 0}, roles=None)
        assert worlds.engine_of(lm).calls == result.spent.calls == 40
        assert result.artifact.models == {"default": "scripted/world"}
        assert result.notes == ()

    def test_a_role_wins_over_dspys_settings(self) -> None:
        other = worlds.world_lm()
        with dspy.context(lm=other):
            compiled(**SMALL | {"level": 0})
        assert worlds.engine_of(other).calls == 0

    def test_the_proposer_asks_its_own_model(self) -> None:
        proposer = scripted_lm([{"proposed_instruction": f"Sort {worlds.WORD}."}])
        roles = {"default": worlds.world_lm(), "proposer": proposer}
        result = compiled(**SMALL | {"level": 2, "budget": Budget(rollouts=400)}, roles=roles)
        assert worlds.engine_of(proposer).calls > 0
        assert worlds.WORD in result.program.sort.signature.instructions


class TestJournal:
    """A path makes a compile resumable: nothing is paid twice."""

    def test_the_same_call_again_costs_nothing_and_gives_the_same(self, tmp_path: Path) -> None:
        first = compiled(**SMALL, journal=tmp_path / "runs.db")
        close(first)
        lm = worlds.world_lm()
        again = compiled(lm=lm, **SMALL, journal=str(tmp_path / "runs.db"))
        close(again)
        assert worlds.engine_of(lm).calls == 0
        assert again.to_json() == first.to_json()
        assert again.artifact == first.artifact

    def test_a_refused_account_ends_a_run_that_then_goes_on_where_it_stopped(
        self, tmp_path: Path
    ) -> None:
        whole = worlds.world_lm()
        end = compiled(lm=whole, **SMALL)
        bomb = worlds.Bomb(30, lm15.AuthError("no such key"))
        first = scripted_lm(bomb, model="scripted/world")
        stopped = compiled(lm=first, **SMALL, concurrency=1, journal=tmp_path / "runs.db")
        close(stopped)
        assert not stopped.finished
        assert stopped.stop.startswith("rejected")
        second = worlds.world_lm()
        result = compiled(lm=second, **SMALL, journal=tmp_path / "runs.db")
        close(result)
        assert result.finished
        assert worlds.engine_of(second).calls == worlds.engine_of(whole).calls - 30
        assert result.artifact.digest == end.artifact.digest

    def test_an_open_journal_is_used_as_it_is(self) -> None:
        journal = MemoryJournal()
        result = compiled(**SMALL | {"level": 0}, journal=journal)
        assert result.journal is journal
        assert next(journal.read(result.run)).kind == "run.started"


def close(result: compilm.CompileResult) -> None:
    assert result.journal is not None
    result.journal.close()


class TestShowing:
    """What a person sees while it runs and at the end."""

    @pytest.mark.parametrize("mode", ["plain", "auto"])
    def test_lines_go_to_stderr_where_there_is_no_terminal(
        self, mode: Progress, capsys: pytest.CaptureFixture[str]
    ) -> None:
        result = compiled(**SMALL, progress=mode)
        out, err = capsys.readouterr()
        first, *_, last = err.splitlines()
        assert out == ""
        assert first.startswith(f"run   {result.run}")
        assert last.startswith(f"{result.verdict.capitalize()} better: ")

    def test_nothing_is_shown_where_nothing_is_wanted(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        compiled(**SMALL, progress="none")
        assert capsys.readouterr() == ("", "")

    def test_a_terminal_gets_a_panel(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        compiled(**SMALL, progress="live")
        shown = capsys.readouterr().err
        assert "best" in shown
        assert "rollouts" in shown

    def test_a_notebook_shows_verdict_interval_and_curve(
        self, proven: compilm.CompileResult
    ) -> None:
        shown = proven._repr_html_()
        assert "Proven better" in shown
        assert shown.count("<svg") == 2
        assert "What changed" in shown
        assert "<script" not in shown

    def test_saving_writes_the_artifact_and_the_report_with_the_verdict(
        self, proven: compilm.CompileResult, tmp_path: Path
    ) -> None:
        folder = proven.save(tmp_path / "build" / "desk")
        assert folder == tmp_path / "build" / "desk"
        assert sorted(file.name for file in folder.iterdir()) == ["artifact.json", "report.html"]
        document = json.loads((folder / "artifact.json").read_text("utf-8"))
        assert document["content"]["verdict"] == "proven"
        report = (folder / "report.html").read_text("utf-8")
        assert "Proven better" in report
        assert f"{proven.gain.value:+.3f}" in report

    def test_what_is_saved_is_loaded_and_answers(
        self, proven: compilm.CompileResult, tmp_path: Path
    ) -> None:
        roles = {"default": worlds.world_lm()}
        runtime = compilm.load(proven.save(tmp_path), worlds.Sorter(), roles=roles)
        assert runtime(text="text number 1").label in worlds.LABELS

    def test_the_compiled_program_answers_with_its_demonstrations(
        self, proven: compilm.CompileResult
    ) -> None:
        lm = worlds.world_lm()
        with dspy.context(lm=lm):
            assert proven.program(text="text number 1").label in worlds.LABELS
        (request,) = worlds.engine_of(lm).requests
        shown = sum(message.role == "assistant" for message in request.messages)
        assert shown == len(proven.program.sort.demos) > 0


@pytest.mark.slow
def test_a_tracked_compile_is_a_run_in_mlflow(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = compiled(**SMALL | {"level": 0}, track=uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    home = client.get_experiment_by_name("sorter")
    runs = client.search_runs([home.experiment_id], f"tags.`compilm.run` = '{result.run}'")
    assert {run.data.tags.get("compilm.candidate", "") for run in runs} == {"", "c0"}


def test_a_tracker_that_cannot_be_reached_fails_no_compile(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", "utf-8")
    result = compiled(**SMALL | {"level": 0}, track=f"sqlite:///{tmp_path}/file/mlflow.db")
    assert result.finished


class TestPlan:
    """A plan spends nothing, and what a compile takes lies in its ranges."""

    @pytest.mark.parametrize("level", [0, 1, 2])
    @pytest.mark.parametrize("budget", [None, Budget(rollouts=250)])
    def test_a_compile_takes_what_the_plan_says(self, level: int, budget: Budget | None) -> None:
        lm, metric = worlds.world_lm(), exact("label")
        given: dict[str, Any] = {
            **SMALL, "level": level, "budget": budget, "roles": {"default": lm},
        }  # fmt: skip
        plan = compilm.plan(worlds.Sorter(), metric, **given)
        assert worlds.engine_of(lm).calls == 0
        spent = compiled(**given).spent
        assert plan.rollouts.low <= spent.rollouts <= plan.rollouts.high
        assert spent.calls <= plan.calls.high
        assert plan.held_out == 20

    def test_a_plan_says_that_the_model_is_embedded(self) -> None:
        with dspy.context(lm=None):
            plan = compilm.plan(worlds.Sorter(), exact("label"), trainset=worlds.examples(100))
        assert NOTICE in str(plan)


class TestEvaluate:
    """The score of a program, alone and against another, example by example."""

    def evaluated(self, program: dspy.Module | None = None, **more: Any) -> compilm.Evaluation:
        roles = {"default": more.pop("lm", None) or worlds.world_lm()}
        return compilm.evaluate(
            program or worlds.Sorter(), exact("label"), TEST, roles=roles, concurrency=4, **more
        )

    def test_alone_it_is_a_score_with_its_rollouts_in_order(self) -> None:
        found = self.evaluated()
        scores = [rollout.score.value for rollout in found.rollouts]
        assert found.score.n == len(scores) == found.spent.rollouts == 60
        assert found.score.value == pytest.approx(sum(scores) / 60)
        assert found.score.low < found.score.value < found.score.high
        assert (found.gain, found.missing, found.stop) == (None, 0, "")
        right = [worlds.label_of(e.text) == (r.outputs or {})["label"]
                 for e, r in zip(TEST, found.rollouts, strict=True)]  # fmt: skip
        assert right == [score == 1.0 for score in scores]

    def test_against_another_program_the_gain_is_paired(self) -> None:
        better = worlds.Sorter()
        better.sort.demos = [dict(example) for example in TRAIN[:16]]
        found = self.evaluated(better, against=worlds.Sorter())
        alone = self.evaluated()
        assert found.gain is not None
        assert found.gain.n == 60
        assert found.gain.value == pytest.approx(found.score.value - alone.score.value)
        assert found.gain.low > 0
        assert found.spent.rollouts == 120

    def test_a_program_gains_nothing_over_itself(self) -> None:
        found = self.evaluated(against=worlds.Sorter())
        assert found.gain is not None
        assert found.gain.value == 0.0

    @pytest.mark.parametrize(
        "budget",
        [
            Budget(calls=0),
            Budget(seconds=0),
            Budget(rollouts=0),
        ],
    )
    def test_a_budget_for_nothing_is_exceeded(self, budget: Budget) -> None:
        lm = worlds.world_lm()
        with pytest.raises(BudgetExceeded, match="no example was scored before the end: budget"):
            self.evaluated(budget=budget, lm=lm)
        assert worlds.engine_of(lm).calls == 0

    def test_a_budget_for_a_part_scores_that_part_and_says_so(self) -> None:
        found = self.evaluated(budget=Budget(calls=25))
        assert found.score.n == found.spent.calls == 25
        assert found.stop == "budget: 25 calls"

    def test_the_budget_holds_for_both_programs_together(self) -> None:
        lm = worlds.world_lm()
        better = worlds.Sorter()
        better.sort.demos = [dict(example) for example in TRAIN[:4]]
        found = self.evaluated(better, against=worlds.Sorter(), budget=Budget(calls=80), lm=lm)
        assert worlds.engine_of(lm).calls == found.spent.calls <= 80

    def test_a_journal_makes_it_free_the_second_time(self, tmp_path: Path) -> None:
        journal = compilm.open_journal(tmp_path / "runs.db")
        first = self.evaluated(journal=journal)
        lm = worlds.world_lm()
        assert self.evaluated(journal=journal, lm=lm).score == first.score
        assert worlds.engine_of(lm).calls == 0
        journal.close()

    def test_where_no_example_gets_a_score_there_is_no_score(self) -> None:
        def unscored(example: Any, prediction: Any) -> Any:
            return Score.unscored("the judge is away")

        with pytest.raises(DataError, match="none of the 60 examples got a score: the judge is aw"):
            compilm.evaluate(worlds.Sorter(), unscored, TEST, roles={"default": worlds.world_lm()})

    @pytest.mark.parametrize("budget", [None, Budget(calls=20)])
    def test_where_no_model_answers_that_is_the_error(self, budget: Budget | None) -> None:
        down = scripted_lm(lambda request: lm15.ServerError("down"))
        with pytest.raises(CallFailed, match="got a score: a model call failed: LMServerError"):
            self.evaluated(lm=down, clock=ManualClock(), budget=budget)

    def test_where_the_account_is_refused_that_is_the_error(self) -> None:
        refused = scripted_lm(lambda request: lm15.AuthError("bad key sk-123"))
        with pytest.raises(ProviderRejected, match="refuses this account") as caught:
            self.evaluated(lm=refused, clock=ManualClock())
        assert "sk-123" not in str(caught.value)

    def test_examples_without_a_score_are_counted_and_in_no_mean(self) -> None:
        def shaky(request: lm15.Request) -> Any:
            asked = request.messages[-1].text or ""
            return lm15.ServerError("down") if "number 2003\n" in asked else worlds.reply(request)

        found = self.evaluated(lm=scripted_lm(shaky), clock=ManualClock())
        assert (found.missing, found.score.n, len(found.rollouts)) == (1, 59, 60)
        assert "ServerError" in found.rollouts[3].score.missing
