"""A run in MLflow: all of it is there, a second push changes nothing, a failure fails nothing."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.views import stories

from compilm import tracking
from compilm.errors import MissingExtra, UsageError
from compilm.journal import MemoryJournal
from compilm.views.story import Story, read_story

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
pytest.importorskip("mlflow")

# sqlalchemy 2.1 deprecates a loader that mlflow 3.17 asks for when it maps its tables
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

RECORDS = list(stories.proven().read())
PROVEN = read_story(RECORDS)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making its tables takes seconds, copying it none."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client(uri_of(path)).search_experiments()
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> str:
    """The URI of a fresh database."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return uri_of(tmp_path / "mlflow.db")


def uri_of(path: Path) -> str:
    return f"sqlite:///{path}"


def client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(uri: str, experiment: str = "claims-desk") -> dict[str, Any]:
    """The runs of an experiment by candidate; the parent's under an empty name."""
    told = client(uri)
    home = told.get_experiment_by_name(experiment)
    found = told.search_runs([home.experiment_id])
    by_name = {run.data.tags.get("compilm.candidate", ""): run for run in found}
    assert len(by_name) == len(found)
    return by_name


def history(uri: str, run: str, key: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in client(uri).get_metric_history(run, key)]


def paths(uri: str, run: str, under: str | None = None) -> set[str]:
    return {each.path for each in client(uri).list_artifacts(run, under)}


def check_all_there(uri: str, run: str) -> None:
    """Everything a push of the proven run promises."""
    told = client(uri)
    found = runs(uri)
    assert set(found) == {"", *(f"c{n}" for n in range(7))}
    parent = found[""]
    assert (parent.info.run_id, parent.info.status) == (run, "FINISHED")
    assert parent.info.run_name == "compile claims-desk -O2 3f2a9c"
    assert parent.info.start_time == int((stories.START + 1) * 1000)
    assert parent.data.params["metric"] == "exact(desk)"
    assert parent.data.tags["compilm.verdict"] == "proven"
    assert parent.data.tags["mlflow.note.content"].startswith("**Proven better.**")
    assert "not registered" not in parent.data.tags["mlflow.note.content"]
    best = history(uri, run, "best.val")
    assert best[0] == (48, 0.4375)
    assert best[-1] == (360, 0.8125)
    assert len(history(uri, run, "candidate.val")) == 7
    sets = {each.dataset.name: each for each in parent.inputs.dataset_inputs}
    assert set(sets) == {f"messages.jsonl.{split}" for split in stories.SIZES}
    assert all(len(each.dataset.digest) == 36 for each in sets.values())
    assert sets["messages.jsonl.test"].tags[0].value == "test"
    assert paths(uri, run) == {"artifact", "journal.jsonl", "report.html"}
    child = found["c4"]
    assert child.data.tags["mlflow.parentRunId"] == run
    assert child.data.tags["compilm.outcome"] == "won"
    assert child.data.metrics["val.score"] == 0.8125
    assert paths(uri, child.info.run_id) == {"prompts.json", "test.json", "val.json"}
    assert paths(uri, found["c5"].info.run_id) == {"prompts.json", "val.json"}
    first, second = (told.get_prompt_version("claims-desk.route", str(n)) for n in (1, 2))
    assert first.template == stories.GIVEN
    assert second.template.startswith(stories.BETTER)
    assert second.commit_message == "c4 from c3: proposed instructions (run 3f2a9c)"
    reply = told.get_prompt_version("claims-desk.reply", "1")
    assert reply.template == "Write a short { {kind} } reply."
    assert told.get_prompt_version_by_alias("claims-desk.reply", "latest").version == 1
    homes = told.get_prompt("claims-desk.route").tags["_mlflow_experiment_ids"]
    assert homes == f",{parent.info.experiment_id},"


def test_everything_of_a_run_is_in_the_store(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tracking.push(PROVEN, uri=store, records=RECORDS)
    assert capsys.readouterr().out == ""
    check_all_there(store, run)


def test_artifacts_go_beside_the_database(store: str, tmp_path: Path) -> None:
    run = tracking.push(PROVEN, uri=store, records=RECORDS)
    folder = tmp_path / "mlartifacts" / "claims-desk" / run / "artifacts"
    assert "Proven better" in (folder / "report.html").read_text("utf-8")
    assert len((folder / "journal.jsonl").read_text("utf-8").splitlines()) == len(RECORDS)
    assert (folder / "artifact" / "artifact.json").is_file()


def test_nothing_is_written_outside_of_the_store(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    tracking.push(PROVEN, uri=store, records=RECORDS)
    assert list(elsewhere.iterdir()) == []


def test_a_second_push_adds_nothing(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_PAGE", 3)
    first = tracking.push(PROVEN, uri=store, records=RECORDS)
    assert tracking.push(PROVEN, uri=store, records=RECORDS) == first
    check_all_there(store, first)
    assert len(history(store, first, "best.val")) == 7


def test_a_run_that_went_on_is_brought_up_to_date(store: str) -> None:
    begun = RECORDS[: next(i for i, r in enumerate(RECORDS) if r.body.get("id") == "c5")]
    first = tracking.push(read_story(begun), uri=store, records=begun)
    before = runs(store)
    assert before[""].info.status == "RUNNING"
    assert before["c4"].info.status == "RUNNING"
    assert before["c4"].data.tags["compilm.outcome"] == "waiting"
    assert tracking.push(PROVEN, uri=store, records=RECORDS) == first
    check_all_there(store, first)


def test_a_later_run_shares_the_experiment_and_the_prompts_that_did_not_change(store: str) -> None:
    tracking.push(PROVEN, uri=store)
    other = read_story(stories.nothing_gained().read())
    run = tracking.push(other, uri=store)
    tags = client(store).get_run(run).data.tags
    assert tags["compilm.prompt.reply"] == '{"c0": "1"}'
    assert tags["compilm.prompt.route"] == '{"c0": "3"}'
    assert paths(store, run) == {"artifact", "report.html"}


def test_a_saved_folder_is_logged_as_it_is(store: str, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "artifact.json").write_text("{}", encoding="utf-8")
    run = tracking.push(PROVEN, uri=store, artifact_dir=folder)
    assert paths(store, run, "artifact") == {"artifact/artifact.json"}


def test_an_experiment_may_be_named(store: str) -> None:
    tracking.push(Story("r"), uri=store, experiment="mine")
    (run,) = runs(store, "mine").values()
    assert run.info.run_name == "compile r"
    assert paths(store, run.info.run_id) == {"report.html"}


def test_a_deleted_experiment_is_not_brought_back(store: str) -> None:
    told = client(store)
    told.delete_experiment(told.create_experiment("gone"))
    with pytest.raises(UsageError, match="'gone' is deleted"):
        tracking.push(Story("r"), uri=store, experiment="gone")


def test_long_values_many_tags_and_many_figures_fit_the_limits(store: str) -> None:
    decisions = PROVEN.decisions * 40
    story = replace(
        PROVEN,
        split_note="x" * 9000,
        notes=("y" * 9000,),
        models={f"role{n}": "m" for n in range(150)},
        decisions=tuple(replace(row, at=row.at + n) for n, row in enumerate(decisions)),
    )
    run = tracking.push(story, uri=store)
    told = client(store).get_run(run).data
    assert len(told.params["split"]) == 6000
    assert len([name for name in told.params if name.startswith("model.")]) == 150
    assert len(told.tags["mlflow.note.content"]) == 5000
    assert len(history(store, run, "best.val")) == 280


def test_a_store_that_keeps_no_prompts_gets_the_rest(
    store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    def unsupported(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(SqlAlchemyStore, "create_registered_model", unsupported)
    run = tracking.push(PROVEN, uri=store)
    assert "did not register the prompts: NotImplementedError" in caplog.text
    note = client(store).get_run(run).data.tags["mlflow.note.content"]
    assert note.endswith("> The prompts were not registered: NotImplementedError.")
    assert len(runs(store)) == 8


def test_without_mlflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(MissingExtra, match=r"compilm\[mlflow\]"):
        tracking.push(PROVEN, uri="sqlite:///never-made.db")


def test_tracking_a_run_of_the_journal_gives_its_mlflow_run(store: str) -> None:
    run = tracking.track(stories.proven(), "3f2a9c", store)
    assert run is not None
    check_all_there(store, run)


def test_a_tracker_that_fails_is_a_warning_without_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        found = tracking.track(stories.unfinished(), "77aa01", "odd://me:secret@nowhere")
    assert found is None
    assert "MLflow was not told of run 77aa01" in caplog.text
    assert "secret" not in caplog.text


def test_our_own_errors_are_told_in_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert tracking.track(MemoryJournal(), "r", "sqlite:///never-made.db") is None
    assert "JournalError: there are no records of this run" in caplog.text


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://127.0.0.1:5000", None),
        ("sqlite://", None),
        ("sqlite:////data/x/mlflow.db?timeout=5", "file:///data/x/mlartifacts/my_desk"),
    ],
)
def test_only_a_local_database_has_its_artifacts_placed(uri: str, expected: str | None) -> None:
    assert tracking._beside(uri, "my desk") == expected
