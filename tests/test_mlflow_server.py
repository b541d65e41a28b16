"""A real MLflow server takes our runs and traces as its own: figures, trees, tokens, previews."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.tracing.desk import ANSWER, Desk, Kept
from tests.test_tracking import PROVEN, RECORDS, check_all_there, client, uri_of

from compilm import tracking
from compilm.runtime.stack import Stacks
from compilm.runtime.tracing.otlp import send
from compilm.testing.engines import scripted_lm

pytest.importorskip("mlflow")
pytest.importorskip("opentelemetry.proto")

pytestmark = [
    pytest.mark.slow,
    # sqlalchemy 2.1 deprecates a loader that mlflow 3.17 asks for when it maps its tables
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of this file: to start one takes as long as a hundred tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    client(uri_of(folder / "mlflow.db")).search_experiments()  # makes the tables
    with server(folder, folder / "mlflow.db") as uri:
        yield uri


@contextmanager
def server(folder: Path, database: Path) -> Iterator[str]:
    """A real MLflow server on loopback, killed in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1", "--backend-store-uri", uri_of(database),
               "--artifacts-destination", str(folder / "served")]  # fmt: skip
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        log.close()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 120.0) -> None:
    """Return when the server answers; fail with its log if it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            process_ended(process, 0.2)
    pytest.fail(f"no MLflow server: {log.read_text()[-2000:]}")


def process_ended(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the process's end, so many seconds at most."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def test_a_run_is_told_whole_and_once(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = tracking.push(PROVEN, uri=address, records=RECORDS)
    assert tracking.push(PROVEN, uri=address, records=RECORDS) == run
    assert capsys.readouterr().out == ""
    check_all_there(address, run)


def test_a_trace_is_one_there_too(address: str) -> None:
    there = client(address)
    place = there.create_experiment("desk")
    lm = Stacks().over(scripted_lm([ANSWER], model="openai/gpt-5-mini")).lm
    kept = Kept(Desk, lm)
    kept.runtime(question="2+2?")
    for _ in range(2):  # what is sent twice is there once
        assert send([kept.trace()], address, {"x-mlflow-experiment-id": place}) == 1
    (found,) = there.search_traces(locations=[place])
    check_trace(found, kept)


def check_trace(found: Any, kept: Kept) -> None:
    """All that MLflow knows of the trace."""
    trace = kept.trace()
    spans = {span.name: span for span in found.data.spans}
    by_id = {span.span_id: span.name for span in found.data.spans}
    assert found.info.trace_id == f"tr-{trace.id}"
    assert (found.info.state, len(found.data.spans)) == ("OK", len(trace.spans))
    assert by_id[spans["draft.predict"].parent_id] == "Desk"
    calls = [span for span in found.data.spans if span.name == "chat gpt-5-mini"]
    assert {by_id[span.parent_id] for span in calls} == {"draft.predict", "check"}
    # the scripted engine answers with the whole name, as no provider does
    assert {(span.span_type, span.model_name) for span in calls} == {
        ("CHAT_MODEL", "openai/gpt-5-mini")
    }
    assert found.info.token_usage == {
        "input_tokens": trace.total("input_tokens"),
        "output_tokens": trace.total("output_tokens"),
        "total_tokens": trace.total("input_tokens") + trace.total("output_tokens"),
    }
    assert "2+2?" in found.info.request_preview
    assert "fine" in found.info.response_preview
    assert "2+2?" in str(calls[0].inputs)
    assert spans["Desk"].attributes["compilm.artifact.digest"] == trace.digest
