"""Artifacts are read exactly as written, or refused with one clear error."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from compilm import canonical
from compilm.artifact import (
    Artifact,
    Field,
    Nearest,
    Predictor,
    file,
    parse,
    read,
    schema,
    secret_in,
    write,
)
from compilm.errors import ArtifactError, ArtifactTampered, ArtifactTooNew, ArtifactUnreadable
from compilm.randomness import rng
from compilm.testing.strategies import artifacts, json_values

DIGEST = canonical.text_digest("x")
POOL = ({"question": "Is fire hot?", "answer": "yes"}, {"question": "Is snow?", "answer": "no"})


def body() -> dict[str, Any]:
    """A content and a provenance that are right, fresh for every test to spoil."""
    draft = Predictor(
        "draft",
        "default",
        (Field("question", "str", "${question}"),),
        (Field("answer", "Literal['yes', 'no']", ""),),
        "Answer the question.",
        ({"question": "Is ice cold?", "answer": "yes"}, {"question": "é\u2028", "answer": "no"}),
        Nearest(1, "words-v1", POOL),
    )
    half = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}
    return {
        "content": {
            "program": {
                "reference": "claims.program:Desk",
                "fingerprint": DIGEST,
                "inputs": ["question"],
                "outputs": ["answer"],
                "predictors": [draft.to_json()],
            },
            "adapter": "ChatAdapter",
            "models": {"default": "openai/gpt-5-mini"},
            "metric": {"name": "exact", "fingerprint": ""},
            "data": {"train": {"name": "t", "size": 3, "fingerprint": DIGEST}, "test": None},
            "scores": {"baseline": {"val": half, "test": None}, "compiled": {}, "gain": None},
            "verdict": "proven",
            "search": {"level": 2, "optimizer": None, "budget": {"usd": None}, "seed": 0},
            "parent": None,
        },
        "provenance": {
            "run": "r1",
            "created": "2026-01-02T03:04:05+00:00",
            "spent": {"rollouts": 10, "calls": 12, "tokens": 900, "usd": 0.5, "seconds": 3.25},
            "versions": {"compilm": "0.1.0"},
            "notes": ["a note", {"any": ["thing"]}],
        },
    }


def made() -> Artifact:
    return Artifact.build(**body())


def sealed(document: dict[str, Any]) -> bytes:
    """The bytes of a document with digest and seal made to match it, as a forger would."""
    document["digest"] = canonical.digest(document.get("content"))
    document.pop("seal", None)
    document["seal"] = canonical.digest(document)
    return canonical.dumps(document).encode()


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    artifact = made()
    path = write(artifact, tmp_path / "build" / "desk")
    assert path == tmp_path / "build" / "desk" / "artifact.json"
    assert read(path) == read(path.parent) == artifact
    assert [each.name for each in path.parent.iterdir()] == ["artifact.json"]


def test_the_file_is_canonical_json_and_one_newline(tmp_path: Path) -> None:
    path = write(made(), tmp_path / "one.json")
    data = path.read_bytes()
    assert data == canonical.dumps(json.loads(data)).encode() + b"\n"


def test_another_layout_of_the_same_value_is_the_same_artifact() -> None:
    assert parse(json.dumps(made().to_json(), indent=2).encode()) == made()


@settings(max_examples=30, deadline=None)
@given(artifacts())
def test_every_artifact_survives_bytes_json_and_pickle(artifact: Artifact) -> None:
    assert parse(artifact.document.encode()) == artifact
    assert Artifact.from_json(artifact.to_json()) == artifact
    assert pickle.loads(pickle.dumps(artifact)) == artifact
    assert Artifact.build(artifact.content, artifact.provenance) == artifact


def test_the_digest_covers_the_content_and_not_the_provenance() -> None:
    other = body()
    other["provenance"]["run"] = "r2"
    assert Artifact.build(**other).digest == made().digest
    assert Artifact.build(**other) != made()
    other["content"]["verdict"] = "likely"
    assert Artifact.build(**other).digest != made().digest


def test_an_artifact_cannot_be_changed_through_what_it_gives() -> None:
    artifact = made()
    before = artifact.document
    artifact.content["program"].clear()
    artifact.provenance.clear()
    artifact.predictors[0].demos[0]["answer"] = "no"
    nearest = artifact.predictors[0].nearest
    assert nearest is not None
    nearest.pool[0]["answer"] = "no"
    nearest.to_json()["pool"].clear()
    artifact.scores["baseline"].clear()
    artifact.models["default"] = "other"
    given_body = body()
    built = Artifact.build(**given_body)
    given_body["content"]["program"]["predictors"].clear()
    assert artifact.document == before == built.document
    with pytest.raises(AttributeError):
        artifact.digest = "x"  # type: ignore[misc]


def test_the_named_parts_are_those_of_the_content() -> None:
    artifact = made()
    assert artifact.program_reference == "claims.program:Desk"
    assert artifact.models == {"default": "openai/gpt-5-mini"}
    assert artifact.verdict == "proven"
    assert artifact.scores["gain"] is None
    assert artifact.predictors[0].outputs == (Field("answer", "Literal['yes', 'no']"),)
    assert artifact.predictors[0].nearest == Nearest(1, "words-v1", POOL)


def with_change(path: str, value: Any) -> dict[str, Any]:
    """A body with one value replaced; the path is keys and indices with dots."""
    whole = body()
    place: Any = whole
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in keys:
        place = place[key]
    place[last] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("content.verdict", "", "content.verdict: expected a name"),
        ("content.verdict", None, "content.verdict: expected a text, found None"),
        ("content.extra", 1, "content.extra: unknown key"),
        ("content.program.fingerprint", "sha256:xyz", "is not a digest"),
        ("content.program.predictors", {}, "content.program.predictors: expected a list"),
        ("content.program.predictors.0", 5, "content.program.predictors[0]: expected an object"),
        ("content.program.predictors.0.demos.0", [], "predictors[0].demos[0]: expected an object"),
        ("content.program.predictors.0.inputs.0.type", 3, "inputs[0].type: expected a text"),
        ("content.program.predictors.0.inputs.0.name", "answer", "'answer' stands twice"),
        ("content.program.predictors.0.nearest", None, "nearest: expected an object, found None"),
        ("content.program.predictors.0.nearest.k", 0, "nearest.k: expected 1 or more, found 0"),
        ("content.program.predictors.0.nearest.k", True, "nearest.k: expected a whole number"),
        ("content.program.predictors.0.nearest.embedder", "", "embedder: expected a name"),
        ("content.program.predictors.0.nearest.pool.1", 5, "nearest.pool[1]: expected an object"),
        ("content.program.predictors.0.nearest.more", 5, "nearest.more: unknown key"),
        ("content.models", [], "content.models: expected an object"),
        ("content.search.level", True, "content.search.level: expected a whole number"),
        ("content.search.budget.usd", "2", "content.search.budget.usd: expected a number"),
        ("content.data.train.size", -1, "content.data.train.size: expected a count"),
        ("provenance.created", "yesterday", "is not an ISO date and time in UTC"),
        ("provenance.created", "2026-01-02T03:04:05+02:00", "in UTC"),
        ("content.search.seed", 2**5000, "content.search.seed: a value of type int"),
        ("provenance.notes.0", float("nan"), "provenance.notes[0]: nan has no JSON form"),
        ("provenance.notes.0", b"x", "provenance.notes[0]: a value of type bytes"),
        ("provenance.notes.0", {1: 2}, "the key 1 is not a text"),
        ("provenance.notes.0", "\ud800", "half a surrogate pair"),
    ],
)
def test_a_body_off_its_form_is_refused_with_the_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(ArtifactError, match=re.escape(message)):
        Artifact.build(**with_change(path, value))


def test_two_predictors_of_one_path_are_refused() -> None:
    whole = body()
    whole["content"]["program"]["predictors"] *= 2
    with pytest.raises(ArtifactError, match="'draft' stands twice"):
        Artifact.build(**whole)


def test_a_missing_key_is_named() -> None:
    whole = body()
    del whole["content"]["program"]["inputs"]
    with pytest.raises(ArtifactError, match=r"content\.program\.inputs: missing"):
        Artifact.build(**whole)


def test_nesting_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ArtifactError, match="nested deeper than 64"):
        Artifact.build(**with_change("provenance.notes.0", deep))
    with pytest.raises(ArtifactUnreadable, match="not JSON"):
        parse(b"[" * 200_000)


KEY = "a1" * 12


@pytest.mark.parametrize(
    "text",
    [f"sk-{KEY}", f"AIza{KEY}{KEY}", "AKIA" + "A" * 16, f"Authorization: Bearer {KEY}",
     f"hf_{KEY}{KEY}", f"ghp_{KEY}{KEY}", f"xoxb-{KEY}", "-----BEGIN RSA PRIVATE KEY-----"],
)  # fmt: skip
def test_a_key_in_a_demo_is_refused_by_path_and_not_repeated(text: str) -> None:
    whole = with_change("content.program.predictors.0.demos.1.question", f"use {text} please")
    with pytest.raises(ArtifactError) as caught:
        Artifact.build(**whole)
    assert "content.program.predictors[0].demos[1].question: looks like a key" in str(caught.value)
    assert text not in str(caught.value)
    whole = with_change("content.program.predictors.0.nearest.pool.0.question", text)
    with pytest.raises(ArtifactError, match=r"nearest\.pool\[0\]\.question: looks like a key"):
        Artifact.build(**whole)


def test_a_key_is_known_by_its_name_too() -> None:
    whole = with_change("provenance.notes.0", {"api_key": "hunter2"})
    with pytest.raises(ArtifactError, match=r"notes\[0\]\.api_key: looks like a key"):
        Artifact.build(**whole)
    assert (
        secret_in({"api_key": "", "text": "task-sk-learn, disk-2024, sk-learn-contrib-module"})
        is None
    )


def test_a_later_schema_is_refused_with_both_numbers() -> None:
    document = {**made().to_json(), "schema": 7}
    with pytest.raises(ArtifactTooNew, match=r"a\.json: schema 7 .* up to schema 2.*Upgrade"):
        parse(canonical.dumps(document).encode(), "a.json")


@pytest.mark.parametrize("value", [None, "1", True, 1.0])
def test_a_schema_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ArtifactUnreadable, match="schema"):
        parse(sealed({**made().to_json(), "schema": value}))


def test_an_unknown_older_schema_is_refused() -> None:
    with pytest.raises(ArtifactUnreadable, match="schema 0 is not one"):
        parse(sealed({**made().to_json(), "schema": 0}))


def test_an_older_schema_is_migrated_after_its_seal_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        content = {**old["content"]}
        content["verdict"] = content.pop("outcome")
        return {**old, "content": content}

    monkeypatch.setattr("compilm.artifact.document.MIGRATIONS", {**schema.MIGRATIONS, 0: renamed})
    old = {**made().to_json(), "schema": 0}
    old["content"]["outcome"] = old["content"].pop("verdict")
    assert parse(sealed(old)) == made()
    old["content"]["outcome"] = "likely"
    with pytest.raises(ArtifactTampered):
        parse(canonical.dumps(old).encode())


def test_every_older_schema_has_a_migration() -> None:
    assert list(schema.MIGRATIONS) == list(range(1, schema.SCHEMA))


# As the last version with schema 1 wrote it.
OLD = Path(__file__).parent / "artifacts" / "schema-1.json"


def test_a_file_of_schema_1_is_read_and_stays_what_it_is(tmp_path: Path) -> None:
    old = read(OLD)
    assert old.digest == json.loads(OLD.read_text("utf-8"))["digest"]
    assert old.predictors[0].nearest is None
    assert len(old.predictors[0].demos) == 2
    again = read(write(old, tmp_path))
    assert (again, again.digest, again.to_json()["schema"]) == (old, old.digest, 2)
    whole = body()
    del whole["content"]["program"]["predictors"][0]["nearest"]
    assert Artifact.build(**whole) == old


def test_a_changed_file_of_schema_1_is_tampered() -> None:
    spoiled = OLD.read_text("utf-8").replace("Is ice cold?", "Is ice hot?")
    with pytest.raises(ArtifactTampered, match="seal"):
        parse(spoiled.encode())


def test_a_changed_file_is_tampered_and_a_forged_digest_too() -> None:
    document = made().to_json()
    document["content"]["verdict"] = "likely"
    with pytest.raises(ArtifactTampered, match="the seal does not match"):
        parse(canonical.dumps(document).encode())
    document["seal"] = canonical.digest({k: v for k, v in document.items() if k != "seal"})
    with pytest.raises(ArtifactTampered, match="the digest does not match"):
        parse(canonical.dumps(document).encode())


def test_an_extra_key_beside_the_content_is_refused_even_if_sealed() -> None:
    with pytest.raises(ArtifactUnreadable, match="extra: unknown key"):
        parse(sealed({**made().to_json(), "extra": 1}))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[1]", b"null", b'{"schema":1,"schema":1}', b'{"a":NaN}', b'"\\ud800"'],
)
def test_bytes_that_are_no_artifact_are_unreadable(data: bytes) -> None:
    with pytest.raises(ArtifactUnreadable, match=r"^here: "):
        parse(data, "here")


def test_json_data_that_is_no_artifact_is_unreadable() -> None:
    with pytest.raises(ArtifactUnreadable, match="has no JSON form"):
        Artifact.from_json({"schema": object()})


def test_a_missing_file_is_unreadable_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ArtifactUnreadable, match=r"gone\.json: cannot be read \(No such file"):
        read(tmp_path / "gone.json")


def test_a_file_beyond_the_cap_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(made(), tmp_path)
    monkeypatch.setattr(file, "MAX_BYTES", 100)
    with pytest.raises(ArtifactUnreadable, match="larger than"):
        read(path)


def test_a_failed_write_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(made(), tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device", str(descriptor))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match=r"cannot be written.*No space left"):
        write(Artifact.build(**with_change("content.verdict", "likely")), tmp_path)
    assert read(path) == made()
    assert list(tmp_path.iterdir()) == [path]


def test_reading_comparing_and_showing_need_no_dspy(tmp_path: Path) -> None:
    path = write(made(), tmp_path)
    code = (
        "import sys; from compilm.artifact import read, diff, describe\n"
        f"a = read({str(path)!r}); diff(a, a).text(); describe(a)\n"
        "print([m for m in ('dspy', 'pydantic', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


def spoiled_bytes(data: bytes, dice: random.Random) -> bytes:
    """`data` with a byte changed, dropped or added, or cut short."""
    at = dice.randrange(len(data))
    return dice.choice(
        [
            data[:at],
            data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :],
            data[:at] + data[at + 1 :],
            data[:at] + bytes([dice.randrange(256)]) + data[at:],
            data[:at] + data[at : at + 9] + data[at:],
        ]
    )


def spoiled_value(value: Any, dice: random.Random) -> Any:
    """`value` with one key, item or leaf somewhere in it deleted, added or swapped."""
    odd: list[Any] = [
        None,
        True,
        -1,
        1.5,
        "",
        "x",
        [],
        {},
        {"path": 1},
        "2026-01-01T00:00:00Z",
        DIGEST,
        10**30,
    ]
    if not isinstance(value, dict | list) or not value or dice.random() < 0.1:
        return copy.deepcopy(dice.choice(odd))
    changed = copy.copy(value)
    key: Any = (
        dice.choice(list(changed)) if isinstance(changed, dict) else dice.randrange(len(value))
    )
    action = dice.random()
    if action < 0.15:
        del changed[key]
    elif action < 0.25 and isinstance(changed, dict):
        changed[dice.choice(["name", "api_base", "config", "seal"])] = dice.choice(odd)
    elif isinstance(changed, list) and action < 0.25:
        changed.append(changed[key])
    else:
        changed[key] = spoiled_value(changed[key], dice)
    return changed


def outcome(data: bytes) -> Artifact | None:
    try:
        return parse(data, "spoiled")
    except ArtifactError as error:
        message = str(error)
    assert message.startswith("spoiled: ")
    assert "\n" not in message
    return None


def test_ten_thousand_spoiled_files_are_refused_or_equal() -> None:
    """Bytes changed at random never give another artifact or another kind of error."""
    dice, artifact = rng(0, "spoil"), made()
    data = artifact.document.encode()
    results = [outcome(spoiled_bytes(data, dice)) for _ in range(5000)]
    assert all(result is None or result == artifact for result in results)
    assert results.count(None) > 4800
    document = artifact.to_json()
    for _ in range(2500):
        spoiled = spoiled_value(document, dice)
        result = outcome(canonical.dumps(spoiled).encode())
        assert result is None or result.to_json() == spoiled == document
    forged = read_as = 0
    for _ in range(2500):
        spoiled = spoiled_value(document, dice)
        if isinstance(spoiled, dict):
            forged += 1
            result = outcome(sealed(spoiled))
            read_as += result is not None and result.to_json() == spoiled
            assert result is None or result.to_json() == spoiled
    assert forged > 2000
    assert read_as > 100  # some changes keep the form: then the forger's artifact is what is read


@settings(max_examples=100, deadline=None)
@given(json_values())
def test_any_json_value_is_refused_as_a_document(value: Any) -> None:
    assert outcome(canonical.dumps(value).encode()) is None
