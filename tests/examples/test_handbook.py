"""The handbook: from documents to an artifact that is served with its index beside it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from examples.handbook import index, metric, program
from fastapi.testclient import TestClient

import compilm
from compilm.cli.main import main
from compilm.errors import ArtifactUnreadable
from compilm.retrieval import FaissIndex, HashedNgrams
from compilm.runtime.http.app import create_app

QUESTION = "How fast is an urgent appeal answered?"
FOLDER = Path(program.__file__).parent


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(x) for x in (FOLDER / "data" / name).read_text("utf-8").split("\n") if x]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example, in which commands are run."""
    copy = tmp_path / "handbook"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("build", "__pycache__"))
    monkeypatch.chdir(copy)
    return copy


def run(*words: str) -> None:
    assert main(list(words)) == 0, words


def test_every_fact_stands_in_its_document_and_has_three_questions() -> None:
    texts = {row["id"]: row for row in rows("documents.jsonl")}
    asked = rows("questions.jsonl")
    for row in asked:
        assert row["fact"] in texts[row["document"]]["text"]
        assert row["desk"] == texts[row["document"]]["desk"]
    assert set(Counter((row["document"], row["fact"]) for row in asked).values()) == {3}
    assert len({row["question"] for row in asked}) == len(asked) == 90
    assert {row["desk"] for row in asked} == set(metric.DESKS)


def test_most_questions_find_their_document(tmp_path: Path) -> None:
    digest = index.build(tmp_path)
    found = FaissIndex.load(tmp_path, HashedNgrams(), digest=digest)
    asked = rows("questions.jsonl")
    hits = [
        row["document"] in {each.document for each in found.search(row["question"], k=2)}
        for row in asked
    ]
    assert sum(hits) / len(hits) > 0.9


def test_documents_become_an_index_a_proven_artifact_and_an_answer(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = index.build(place / "build" / "index")
    run("compile", "--out", "build/handbook", "--json", "--journal", "build/run.db")
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "proven"
    run("run", "build/handbook", "--json", f"question={QUESTION}")
    assert "72 hours" in capsys.readouterr().out
    handbook = program.Handbook(str(place / "build" / "index"))
    runtime = compilm.load(place / "build" / "handbook", handbook)
    with TestClient(create_app(runtime, name="handbook")) as client:
        answer = client.post("/v1/programs/handbook", json={"question": QUESTION}).json()
    assert "72 hours" in answer["answer"]
    (text,) = [row["text"] for row in rows("documents.jsonl") if row["id"] == "appeals"]
    cited = next(each for each in answer["sources"] if each["document"] == "appeals")
    assert "72 hours" in text[cited["start"] : cited["end"]] == cited["text"]
    FaissIndex.load(place / "build" / "index", HashedNgrams(), digest=digest)


def test_without_an_index_the_program_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnreadable, match=r"nowhere/index\.json: No such file"):
        program.Handbook(str(tmp_path / "nowhere"))
