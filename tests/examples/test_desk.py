"""The whole desk: compiled as it stands, it takes every scripted conversation to its end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm import open_journal
from compilm.graphs import Runs
from compilm.programs.predictors import predictors
from compilm.reviews import Desk, Reviews
from compilm.runtime.embedded import embedded_lm
from compilm.testing.engines import scripted_lm

FOLDER = Path(__file__).parents[2] / "examples" / "claims"
LINES = (FOLDER / "data" / "conversations.jsonl").read_text("utf-8").splitlines()
SERVER = [sys.executable, str(FOLDER / "server.py"), "--database"]
CONVERSATIONS = [json.loads(line) for line in LINES]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The artifact of `compilm compile --config desk.toml`, as the example's README says."""
    folder = tmp_path_factory.mktemp("desk")
    said = ran(
        "-m", "compilm", "compile", "--config", "desk.toml", "--out", str(folder / "desk"),
        "--journal", str(folder / "desk.db"), "--json",
    )  # fmt: skip
    return folder / "desk", json.loads(said.stdout)


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=FOLDER, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["../../src", "."])}, timeout=600,
    )  # fmt: skip


@pytest.fixture
def desk(monkeypatch):
    """The example's module, as it is imported in its folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("desk", "metric", "program"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import desk

    yield desk
    for name in ("desk", "metric", "program"):
        sys.modules.pop(name, None)


def test_the_script_has_every_end_and_every_condition():
    assert len(CONVERSATIONS) >= 60
    assert {each["ends"] for each in CONVERSATIONS} == {
        "answered", "asked", "person", "apology", "refused"
    }  # fmt: skip
    counts = Counter(each.get("when", "") for each in CONVERSATIONS)
    assert min(counts.values()) >= 2
    assert set(counts) == {
        "", "database-down", "slow", "slow-once", "no-passages", "poisoned-passage"
    }  # fmt: skip
    assert len({json.dumps(each["turns"]) + each.get("when", "") for each in CONVERSATIONS}) == 71


@pytest.mark.slow
@pytest.mark.timeout(900)  # of it 35 s of processor time, where nothing else runs
def test_compiled_it_is_proven_better_and_every_conversation_ends_as_it_should(compiled):
    artifact, result = compiled
    assert result["verdict"] == "proven"
    said = ran("talk.py", str(artifact)).stdout
    assert said.splitlines()[-1] == "71 of 71 conversations end as they should", said


def test_no_model_reads_who_it_is_about(desk, tmp_path):
    heard: list[str] = []
    lm = embedded_lm("embedded/base")
    inner = lm.engine

    class Listening:
        def complete(self, request: Any) -> Any:
            heard.append(repr(request))
            return inner.complete(request)

        def close(self) -> None: ...

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    program = desk.claims_desk(database=str(tmp_path / "claims.sqlite"))
    message = (
        "Patient Marguerite Oakhollow, born 03/14/1961, SSN 000-12-3456, mail lena@example.org: "
        "why was CLM-24-477017 denied, what is the reason?"
    )
    listening = dspy.LM("embedded/base", engine=Listening(), num_retries=0, cache=False)
    with dspy.context(lm=listening):
        found = program(message=message)
    told = "\n".join(heard)
    assert found.outcome == "answer"
    assert "[NAME_1]" in told
    assert not re.search(r"Marguerite|Oakhollow|1961|000-12-3456|lena@", told)


@pytest.mark.parametrize(
    ("message", "asked", "reason"),
    [
        ("Ask for Ana Pratt. What is the claim status?", True, "asked for the claim twice"),
        ("I forgot my portal password, please reset it. Ana Pratt", False, "out of scope"),
        ("Ana Pratt: why was CLM-24-152281 denied? What is the reason?", False, "no policy"),
    ],
)
def test_a_person_is_asked_why_with_names_hidden_and_the_run_goes_on(
    desk, tmp_path, message, asked, reason
):
    server = desk.McpServer("claims", command=[*SERVER, str(tmp_path / "claims.sqlite")])
    script = {
        "out_of_scope": "portal password",
        "denial_reason": "What is the reason?",
        "claim_status": "What is the claim status?",
    }

    def answer(request: Any) -> dict[str, str]:
        said = repr(request)
        intent = next(name for name, words in script.items() if words in said)
        number = "CLM-24-152281" if "CLM-24-152281" in said else "none"
        return {"intent": intent, "claim_number": number, "amount": "none", "service_date": "none"}

    graph = desk.desk(desk.Lookup(server), desk.indexed([]), waits=True)
    reviews = Reviews(str(tmp_path / "reviews.db"))
    office = Desk(Runs(graph, open_journal(tmp_path / "runs.db")), reviews)
    with server, dspy.context(lm=scripted_lm(answer)):
        office.start("m-1", message=message, asked=asked)
        review = reviews.claim(by="bea")
        assert reason in review.reason
        assert "Ana Pratt" not in json.dumps(review.to_json())
        found = office.answer(review.id, by="bea", answer={"reply": "Please call us."})
    assert (found.outcome, found.answer) == ("route", "Please call us.")


def test_policies_in_postgres_and_claims_in_postgres(desk, postgres_url):
    program = desk.claims_desk(database=postgres_url, passages=postgres_url)
    with dspy.context(lm=embedded_lm("embedded/base")):
        found = program(message="Why was CLM-24-110880 denied? What is the reason?")
    assert found.outcome == "answer"
    assert "[CLM-24-110880]" in found.answer
    assert "D-47" in found.record


def test_a_sixth_step_is_three_lines(desk, tmp_path):
    whole = desk.claims_desk(database=str(tmp_path / "claims.sqlite"))
    nodes, edges = dict(whole.nodes), dict(whole.edges)
    nodes["lookup"] = desk.Node(nodes["lookup"], retries=1, fallback="apologize")
    nodes["mood"] = desk.hiding(dspy.Predict("message -> mood: Literal['calm', 'angry']"))
    edges["triage"] = desk.Choice("intent", {"out_of_scope": "person"}, otherwise="mood")
    edges["mood"] = desk.Choice("mood", {"angry": "person"}, otherwise="slots")
    more = desk.Graph(nodes, edges, "screen", whole.inputs, whole.outputs)
    assert len(predictors(more)) == len(predictors(whole)) + 1
    said = {"intent": "denial_reason", "mood": "angry"}
    with dspy.context(lm=scripted_lm(lambda request: said)):
        assert more(message="Denied again?!").outcome == "route"
