"""A run told to MLflow: its story replayed with explicit client calls, as often as one likes.

Nothing here uses MLflow's active run or its other state of thread and process. A second push of
the same run updates the first one's runs and adds none.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from . import canonical
from .errors import CompilmError, MissingExtra, UsageError
from .journal import Journal, Record
from .views import tracked
from .views.page import page
from .views.rows import CandidateRow
from .views.story import BASELINE, Story, read_story

__all__ = ["push", "track"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_PARAM, _TAG, _DIGEST = 6000, 5000, 36  # what MLflow's stores take at most
_HOMES = "_mlflow_experiment_ids"  # ",1,7,": the experiments whose pages show a prompt
_PAGE = 1000  # runs in one answer
_NAMES, _FIGURES = 100, 1000  # params or tags, and metrics, in one request


def push(
    story: Story,
    *,
    uri: str,
    experiment: str | None = None,
    artifact_dir: str | Path | None = None,
    records: Iterable[Record] = (),
) -> str:
    """The id of the MLflow run that now tells this story; a repeated push updates it.

    uri: a tracking server's address, or `sqlite:///path.db`, whose artifacts then go beside the
    file. experiment: its name, else the run's. artifact_dir: the folder that was saved, logged as
    it is; without it the report and the artifact are written from the story. records: logged as
    `journal.jsonl`.

    Each candidate becomes a child run; metrics have the number of calls as their step. Raises
    `MissingExtra` without mlflow, and what mlflow raises.
    """
    with _mlflow():
        client = _client(uri)
        home = _experiment(client, uri, experiment or story.name or "compilm")
        known = _known(client, home, story.run)
        parent = known.get("") or _create(client, home, story)
        _parent(client, home, parent, story, fresh="" not in known)
        for row in story.candidates:
            _child(client, home, parent, story, row, known.get(row.id))
        _files(client, parent, story, artifact_dir, records)
        _end(client, parent, story)
    return parent


def track(
    journal: Journal,
    run: str,
    uri: str,
    *,
    experiment: str | None = None,
    artifact_dir: str | Path | None = None,
) -> str | None:
    """The MLflow run that tells a run of the journal; `None` and a warning if that failed.

    It never raises: a tracker does not fail a compile. The warning holds neither the address nor
    mlflow's message, for both may hold a password.

    >>> from compilm.journal import MemoryJournal
    >>> track(MemoryJournal(), "no such run", "sqlite:///never-made.db") is None
    True
    """
    try:
        records = list(journal.read(run))
        story = read_story(records)
        return push(
            story, uri=uri, experiment=experiment, artifact_dir=artifact_dir, records=records
        )
    except Exception as error:  # border: a failing tracker never fails a compile
        told = f": {error}" if isinstance(error, CompilmError) else ""
        _log.warning("MLflow was not told of run %s: %s%s", run, type(error).__name__, told)
        _log.debug("the failed push", exc_info=True)
        return None


@contextmanager
def _mlflow() -> Iterator[None]:
    """MLflow imported, its announcements on stderr: stdout belongs to the caller's data."""
    # With litellm installed and no network its import deadlocks against MLflow's import hook.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with redirect_stdout(sys.stderr):
        try:
            import mlflow.tracking  # noqa: F401 - only to learn whether it is there
        except ImportError as error:
            raise MissingExtra("mlflow", extra="mlflow", purpose="track runs") from error
        yield


def _client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment(client: Any, uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=_beside(uri, name)))
    if found.lifecycle_stage != "active":
        raise UsageError(
            f"the MLflow experiment {name!r} is deleted: restore it, or name another one"
        )
    return str(found.experiment_id)


def _beside(uri: str, name: str) -> str | None:
    """Where artifacts of a local database go; a server decides for itself."""
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    if path == uri.partition("?")[0] or not path:
        return None
    return (Path(path).resolve().parent / "mlartifacts" / tracked.key(name)).as_uri()


def _known(client: Any, home: str, run: str) -> dict[str, str]:
    """The MLflow runs of this run by candidate; the parent's under an empty name."""
    found: dict[str, str] = {}
    token: str | None = None
    while True:
        query = f"tags.`compilm.run` = '{run}'"
        some = client.search_runs([home], query, max_results=_PAGE, page_token=token)
        for each in some:
            found.setdefault(each.data.tags.get("compilm.candidate", ""), each.info.run_id)
        token = some.token
        if not token:
            return found


def _create(client: Any, home: str, story: Story) -> str:
    level = story.optimizer or ("" if story.level is None else f"-O{story.level}")
    made = client.create_run(
        home,
        start_time=_ms(story.started),
        tags={"compilm.run": story.run},
        run_name=" ".join(
            filter(None, ["compile", story.name, level, story.run.rpartition("-")[2]])
        ),
    )
    return str(made.info.run_id)


def _ms(at: float) -> int:
    return int(at * 1000)


def _parent(client: Any, home: str, run: str, story: Story, *, fresh: bool) -> None:
    trouble = _prompts(client, home, run, story)
    note = tracked.note(story) + (f"\n> {trouble}" if trouble else "")
    tags = {**tracked.tags(story), "mlflow.note.content": note}
    _log_all(client, run, tracked.metrics(story), tags, tracked.params(story), fresh=fresh)
    _inputs(client, run, story)


def _log_all(
    client: Any,
    run: str,
    metrics: Sequence[tracked.Measured],
    tags: Mapping[str, str],
    params: Mapping[str, str],
    *,
    fresh: bool,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    told = set() if fresh else _told(client, run, {each.key for each in metrics})
    figures = [(m.key, m.value, _ms(m.at), m.step) for m in metrics]
    news = [each for each in dict.fromkeys(figures) if each not in told]
    for some in _batches(news, _FIGURES):
        client.log_batch(run, metrics=[Metric(*each) for each in some])
    for some_tags in _batches(sorted(tags.items()), _NAMES):
        client.log_batch(run, tags=[RunTag(name, _cut(text, _TAG)) for name, text in some_tags])
    for some_params in _batches(sorted(params.items()), _NAMES):
        client.log_batch(
            run, params=[Param(name, _cut(text, _PARAM)) for name, text in some_params]
        )


def _told(client: Any, run: str, keys: Iterable[str]) -> set[tuple[str, float, int, int]]:
    """The figures that the run has already, for stores that would keep them twice."""
    return {
        (each.key, each.value, each.timestamp, each.step)
        for name in sorted(keys)
        for each in client.get_metric_history(run, name)
    }


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _inputs(client: Any, run: str, story: Story) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for row in story.data:
        digest = canonical.short(row.fingerprint, _DIGEST) or "unknown"
        source = json.dumps({"name": row.name})
        profile = json.dumps({"examples": row.size})
        name = f"{row.name or story.name}.{row.split}"
        made = Dataset(name, digest, "local", source, profile=profile)
        inputs.append(DatasetInput(made, tags=[InputTag("mlflow.data.context", row.split)]))
    if inputs:
        client.log_inputs(run, datasets=inputs)


def _child(
    client: Any, home: str, parent: str, story: Story, row: CandidateRow, known: str | None
) -> None:
    tags = {**tracked.candidate_tags(story, row.id), "mlflow.parentRunId": parent}
    run = known
    if run is None:
        name = f"{row.id} {row.move}"
        made = client.create_run(home, start_time=_ms(row.at), tags=tags, run_name=name)
        run = str(made.info.run_id)
    tables = [split for split in ("val", "test") if story.cells(row.id, split)]
    shown = [{"path": f"{split}.json", "type": "table"} for split in tables]
    tags["mlflow.loggedArtifacts"] = json.dumps(shown)
    figures = tracked.candidate_metrics(story, row.id)
    _log_all(client, run, figures, tags, {}, fresh=known is None)
    for split in tables:
        client.log_dict(run, tracked.table(story, row.id, split), f"{split}.json")
    prompts = {path: asdict(prompt) for path, prompt in row.predictors.items()}
    client.log_dict(run, canonical.plain(prompts), "prompts.json")
    decided = story.outcome(row.id)
    if decided is not None or story.finished:
        client.set_terminated(run, "FINISHED", _ms(decided.at if decided else story.last))


def _prompts(client: Any, home: str, run: str, story: Story) -> str:
    """Register the prompts of the baseline and of what was shipped; what went wrong, if anything.

    Versions are remembered in tags of the run, so that a repeated push registers none.
    """
    shown = [BASELINE, *([story.shipped] if story.shipped not in ("", BASELINE) else [])]
    linked: list[dict[str, str]] = []
    try:
        had = client.get_run(run).data.tags
        for path in story.prompts:
            tag = f"compilm.prompt.{tracked.key(path)}"
            name = tracked.key(f"{story.name or 'compilm'}.{path}")
            versions = json.loads(had.get(tag, "{}"))
            for id in shown:
                if id not in versions:
                    versions[id] = _registered(client, home, story, id, path, name)
            client.set_tag(run, tag, json.dumps(versions))
            linked += [{"name": name, "version": v} for v in dict.fromkeys(versions.values())]
        client.set_tag(run, "mlflow.linkedPrompts", json.dumps(linked))
    except Exception as error:  # border: not every store keeps prompts, and the rest still counts
        _log.warning("MLflow did not register the prompts: %s", type(error).__name__)
        return f"The prompts were not registered: {type(error).__name__}."
    return ""


def _registered(client: Any, home: str, story: Story, id: str, path: str, name: str) -> str:
    """The registry's version of a candidate's prompt; the latest one if it says the same.

    `register_prompt` and `load_prompt` would also tag the prompt with whatever experiment this
    process has active, from a thread of their own; these calls do only what they say.
    """
    text = tracked.prompt_text(story.prompt(id, path)) or "(no instructions)"
    found = client.get_prompt(name)
    homes = found.tags.get(_HOMES, ",") if found is not None else ","
    latest = client.get_prompt_version_by_alias(name, "latest") if found is not None else None
    if found is None:
        client.create_prompt(name)
    if f",{home}," not in homes:
        client.set_prompt_tag(name, _HOMES, f"{homes}{home},")
    if latest is None or latest.template != text:
        row = story.candidate(id)
        origin = f" from {row.parent}: {row.move}" if row and row.parent else ": as given"
        latest = client.create_prompt_version(
            name,
            text,
            description=f"{id}{origin} (run {story.run})",
            tags={"compilm.run": story.run, "compilm.candidate": id},
        )
    return str(latest.version)


def _files(
    client: Any,
    run: str,
    story: Story,
    artifact_dir: str | Path | None,
    records: Iterable[Record],
) -> None:
    if artifact_dir is not None:
        client.log_artifacts(run, str(artifact_dir), "artifact")
    elif story.artifact:
        client.log_text(run, canonical.dumps(dict(story.artifact)), "artifact/artifact.json")
    client.log_text(run, page(story), "report.html")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with path.open("w", encoding="utf-8") as lines:
            for record in records:
                lines.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
        if path.stat().st_size:
            client.log_artifact(run, str(path))


def _end(client: Any, run: str, story: Story) -> None:
    if story.finished:
        client.set_terminated(run, "FINISHED", _ms(story.last))
