"""Banking77: the real data set is sampled without leaks, and the program learns from examples."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dspy
import pytest
from examples.banking77 import prepare
from examples.banking77.metric import exact
from examples.banking77.prepare import (
    Official,
    Unreachable,
    ask_hub,
    from_hub,
    main,
    read_folder,
    sample,
)
from examples.banking77.program import Banking77, make, signature

from compilm.config import load_config
from compilm.datasets import load
from compilm.programs.reference import build, locate

from .scripted import scripted

FOLDER = Path(prepare.__file__).parent
LABELS = ["lost_parcel", "Refund_missing", "why_so_slow?"]  # capitals and signs, as the real ones
REAL = Path(os.environ.get("COMPILM_DATA", "")) / "banking77"
HAS_REAL = "COMPILM_DATA" in os.environ and REAL.is_dir()
NEEDS_REAL = "COMPILM_DATA does not name a folder that holds banking77/"


def invented(part: str, each: int) -> list[dict[str, str]]:
    return [
        {"id": f"{part}-{label}-{at}", "text": f"{part} message {at} on {label}", "intent": label}
        for label in LABELS
        for at in range(each)
    ]


def publish(folder: Path, train: list[dict[str, str]], test: list[dict[str, str]]) -> Path:
    """The rows as a folder of the published form."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        lines = [
            json.dumps({"id": row["id"], "text": row["text"], "label": row["intent"]}) + "\n"
            for row in rows
        ]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")
    return folder


class Split(list[dict[str, Any]]):
    """Rows with numbers for labels, as the hub's library gives them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__(rows)
        self.features = {"label": type("ClassLabel", (), {"names": LABELS})}


class TestSample:
    def test_each_label_has_its_share_in_every_split(self) -> None:
        parts = sample(Official(invented("train", 9), invented("test", 9), LABELS),
                       {"train": 4, "val": 3, "test": 5})  # fmt: skip
        for part, size in (("train", 4), ("val", 3), ("test", 5)):
            assert Counter(row["intent"] for row in parts[part]) == dict.fromkeys(LABELS, size)

    def test_no_row_is_in_two_splits_and_test_is_the_official_one(self) -> None:
        parts = sample(Official(invented("train", 20), invented("test", 20), LABELS))
        ids = [row["id"] for rows in parts.values() for row in rows]
        assert len(ids) == len(set(ids)) == 25 * len(LABELS)
        assert all(row["id"].startswith("test-") for row in parts["test"])

    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        train, test = invented("train", 20), invented("test", 20)
        forward = sample(Official(train, test, LABELS))
        assert sample(Official(train[::-1], test[::-1], LABELS)) == forward

    def test_a_text_of_the_test_split_is_not_trained_on(self) -> None:
        train, test = invented("train", 1), invented("test", 2)
        train[0]["text"] = f"  {test[0]['text'].upper()} "
        parts = sample(Official(train, test, LABELS))
        assert [row["id"] for row in parts["train"] if row["intent"] == LABELS[0]] == []
        assert len(parts["test"]) == 6


class TestPrepare:
    def test_a_folder_becomes_the_files_that_the_configuration_names(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = publish(tmp_path / "source", invented("train", 16), invented("test", 11))
        assert main([str(source), "--out", str(tmp_path / "data")]) == 0
        assert capsys.readouterr().out == "train 30, val 15, test 30\n"
        config = load_config(
            str(FOLDER / "compilm.toml"), target=None, flags={}, env={}, cwd=FOLDER, settings=()
        )
        for part, size in (("train", 30), ("val", 15), ("test", 30)):
            named = Path(getattr(config.data, part)).relative_to(FOLDER)
            data = load(
                tmp_path / named,
                inputs=config.data.inputs,
                id=config.data.id,
                labels={"intent": LABELS},
            )
            assert len(data) == size
        program = build(str(config.program), {"labels": str(tmp_path / "data/labels.json")},
                        base=FOLDER)  # fmt: skip
        assert type(program).__name__ == "Banking77"
        assert locate(str(config.metric), FOLDER).__name__ == "exact"

    def test_a_folder_without_the_files_is_an_error_that_says_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "labels.json").write_text("[]", encoding="utf-8")
        assert main([str(tmp_path)]) == 3
        said = capsys.readouterr().err
        assert f"{str(tmp_path)!r} has no train.jsonl and no test.jsonl" in said
        assert "ask the Hugging Face hub" in said

    def test_the_hub_splits_become_rows_with_named_labels(self) -> None:
        splits = {
            "train": Split([{"text": "where is it", "label": 0}]),
            "test": Split([{"text": "give it back", "label": 1}]),
        }
        found = from_hub(splits)
        assert found.labels == LABELS
        assert found.train == [{"id": "b77-train-0", "text": "where is it", "intent": LABELS[0]}]
        assert found.test[0]["intent"] == LABELS[1]

    def test_where_the_hub_holds_a_script_its_conversion_is_taken(self) -> None:
        def load_dataset(name: str, revision: str | None) -> dict[str, Split]:
            if revision is None:
                raise RuntimeError("Dataset scripts are no longer supported")
            assert (name, revision) == (prepare.HUB, prepare.PARQUET)
            return {"train": Split([{"text": "hm", "label": 2}]), "test": Split([])}

        assert ask_hub(load_dataset).train[0]["intent"] == LABELS[2]

    def test_a_hub_that_gives_nothing_is_an_error_with_both_reasons(self) -> None:
        def load_dataset(name: str, revision: str | None) -> dict[str, Split]:
            raise ConnectionError(f"no route to {revision}")

        with pytest.raises(Unreachable, match=f"no route to None; then .*{prepare.PARQUET}"):
            ask_hub(load_dataset)

    def test_without_the_library_an_error_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(Unreachable, match=r"pip install 'compilm\[data\]', or name a folder"):
            prepare.read_hub()


class TestProgram:
    def test_the_labels_are_the_choices_of_the_intent(self) -> None:
        field = signature(LABELS).output_fields["intent"]
        assert list(field.annotation.__args__) == LABELS

    def test_make_without_labels_says_to_run_prepare(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"run prepare\.py first"):
            make(str(tmp_path / "labels.json"))

    def test_the_answer_is_scored_and_a_wrong_one_is_told_the_right_one(self) -> None:
        desk = Banking77(LABELS)
        example = dspy.Example(text="still not here", intent=LABELS[0])
        scored = []
        for said in LABELS[:2]:
            with dspy.context(lm=scripted(lambda _, __, said=said: {"intent": said})):  # type: ignore[misc]
                scored.append(exact(example, desk(text=example.text)))
        assert [each.score for each in scored] == [1.0, 0.0]
        assert scored[1].feedback == "`intent` should be 'lost_parcel', not 'Refund_missing'."


@pytest.mark.skipif(not HAS_REAL, reason=NEEDS_REAL)
class TestRealData:
    def test_the_folder_gives_the_published_sizes(self) -> None:
        official = read_folder(REAL)
        assert (len(official.train), len(official.test), len(official.labels)) == (10003, 3080, 77)

    def test_every_label_has_its_full_share(self) -> None:
        official = read_folder(REAL)
        for part, rows in sample(official).items():
            counts = Counter(row["intent"] for row in rows)
            assert counts == dict.fromkeys(official.labels, prepare.SHARES[part])
