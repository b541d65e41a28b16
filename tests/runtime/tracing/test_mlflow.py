"""A real MLflow server takes our traces as its own: tree, tokens, model, kind of span, preview."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.tracing.desk import ANSWER, Desk, Kept

from compilm.runtime.stack import Stacks
from compilm.runtime.tracing.otlp import send
from compilm.testing.engines import scripted_lm

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
pytest.importorskip("mlflow")
pytest.importorskip("opentelemetry.proto")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


def kept_of() -> Kept:
    lm = Stacks().over(scripted_lm([ANSWER], model="openai/gpt-5-mini")).lm
    return Kept(Desk, lm)


def test_a_trace_is_one_there_too(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient
    from tests.test_tracking import server, uri_of

    database = tmp_path / "mlflow.db"
    store = MlflowClient(tracking_uri=uri_of(database), registry_uri=uri_of(database))
    place = store.create_experiment("desk", artifact_location=(tmp_path / "artifacts").as_uri())
    kept = kept_of()
    kept.runtime(question="2+2?")
    with server(tmp_path, database) as address:
        for _ in range(2):  # what is sent twice is there once
            assert send([kept.trace()], address, {"x-mlflow-experiment-id": place}) == 1
        client = MlflowClient(tracking_uri=address)
        (found,) = client.search_traces(locations=[place])
    check(found, kept)


def check(found: Any, kept: Kept) -> None:
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
