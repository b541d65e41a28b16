"""Saved indexes: what is loaded is what was saved, or an error says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compilm import canonical
from compilm.errors import (
    ArtifactError,
    ArtifactMismatch,
    ArtifactTampered,
    ArtifactTooNew,
    ArtifactUnreadable,
)
from compilm.retrieval import Bm25, FaissIndex, HashedNgrams, Passage
from compilm.testing.retriever_kit import PASSAGES

EMBEDDER = HashedNgrams(256)


def saved(folder: Path, kind: str = "flat") -> FaissIndex:
    index = FaissIndex(EMBEDDER, kind)  # type: ignore[arg-type]
    index.add(PASSAGES)
    index.save(folder)
    return index


def body_of(folder: Path) -> dict[str, object]:
    body: dict[str, object] = json.loads((folder / "index.json").read_text("utf-8"))
    return body


def sealed(folder: Path, **changes: object) -> None:
    """The head again with other values and the digest that belongs to them."""
    body = {**body_of(folder), **changes}
    body.pop("digest")
    body["digest"] = canonical.digest(body)
    (folder / "index.json").write_text(canonical.dumps(body), "utf-8")


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_an_index_is_loaded_as_it_was_saved(tmp_path: Path, kind: str) -> None:
    one = saved(tmp_path, kind)
    other = FaissIndex.load(tmp_path, EMBEDDER)
    assert (other.kind, len(other), other.links) == (kind, len(PASSAGES), one.links)
    for query in ("denial reason", "fax", "rain"):
        assert other.search(query, k=9) == one.search(query, k=9)
    other.add([Passage("new", "Parrots talk.")])
    assert other.search("parrots", k=1)[0].id == "new"


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_what_was_deleted_stays_so(tmp_path: Path, kind: str) -> None:
    index = saved(tmp_path, kind)
    index.delete(["fax"])
    index.add([Passage("denial", "Parrots talk.")])
    index.save(tmp_path)
    other = FaissIndex.load(tmp_path, EMBEDDER)
    assert len(other) == len(PASSAGES) - 1
    assert other.search("denial fax parrots", k=9) == index.search("denial fax parrots", k=9)
    assert "fax" not in {each.id for each in other.search("fax mail", k=9)}


def test_an_empty_index_can_be_saved(tmp_path: Path) -> None:
    FaissIndex(EMBEDDER).save(tmp_path)
    other = FaissIndex.load(tmp_path, EMBEDDER)
    assert other.search("fax") == []
    other.add(PASSAGES)
    assert other.search("fax", k=1)[0].id == "fax"


def test_words_are_loaded_with_their_settings(tmp_path: Path) -> None:
    index = Bm25(k1=0.9, b=0.4)
    index.add([*PASSAGES, Passage("odd", "half a character: \ud800 and a line\u2028end")])
    digest = index.save(tmp_path)
    other = Bm25.load(tmp_path, digest=digest)
    assert (other.k1, other.b) == (0.9, 0.4)
    for query in ("denial of a claim", "half a line"):
        assert other.search(query, k=9) == index.search(query, k=9)


def test_equal_indexes_have_equal_digests_and_others_another(tmp_path: Path) -> None:
    index = FaissIndex(EMBEDDER)
    index.add(PASSAGES)
    one, again = index.save(tmp_path / "a"), index.save(tmp_path / "b")
    index.add([Passage("new", "Parrots talk.")])
    assert one == again != index.save(tmp_path / "c")


def test_saving_again_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    index = saved(tmp_path)
    (tmp_path / "artifact.json").write_text("{}")
    index.add([Passage("new", "Parrots talk.")])
    index.save(tmp_path)
    suffixes = sorted(each.suffix for each in tmp_path.iterdir() if each.name != "artifact.json")
    assert suffixes == [".bin", ".json", ".jsonl"]
    assert (tmp_path / "artifact.json").exists()


@pytest.mark.parametrize("pattern", ["vectors-*.bin", "passages-*.jsonl", "index.json"])
def test_a_changed_byte_is_refused(tmp_path: Path, pattern: str) -> None:
    saved(tmp_path)
    (file,) = tmp_path.glob(pattern)
    data = bytearray(file.read_bytes())
    at = data.find(b"appeal") if pattern.startswith("passages") else len(data) // 2
    data[at] = ord("x") if data[at] != ord("x") else ord("y")
    file.write_bytes(data)
    with pytest.raises(ArtifactError) as raised:
        FaissIndex.load(tmp_path, EMBEDDER)
    assert isinstance(raised.value, ArtifactTampered | ArtifactUnreadable)
    assert "build" in str(raised.value)


@pytest.mark.parametrize("pattern", ["vectors-*.bin", "passages-*.jsonl", "index.json"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, pattern: str) -> None:
    saved(tmp_path)
    (file,) = tmp_path.glob(pattern)
    file.unlink()
    with pytest.raises(ArtifactUnreadable, match=file.name):
        FaissIndex.load(tmp_path, EMBEDDER)


def test_an_exchanged_index_is_refused_where_the_digest_is_known(tmp_path: Path) -> None:
    index = saved(tmp_path)
    digest = index.save(tmp_path)
    FaissIndex.load(tmp_path, EMBEDDER, digest=digest)
    index.add([Passage("lie", "All appeals are granted.")])
    index.save(tmp_path)
    FaissIndex.load(tmp_path, EMBEDDER)
    with pytest.raises(ArtifactMismatch, match="build it again"):
        FaissIndex.load(tmp_path, EMBEDDER, digest=digest)


def test_another_embedder_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(ArtifactMismatch, match=r"'ngrams-v1/256', and 'ngrams-v1/128'"):
        FaissIndex.load(tmp_path, HashedNgrams(128))


def test_another_kind_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(ArtifactMismatch, match=r"'faiss-flat-v1'.*bm25-v1 was asked"):
        Bm25.load(tmp_path)


def test_a_later_form_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    sealed(tmp_path, form=2)
    with pytest.raises(ArtifactTooNew, match="form 2"):
        FaissIndex.load(tmp_path, EMBEDDER)


def test_files_cannot_be_named_from_outside(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "secret").write_text("x")
    sealed(tmp_path, files={"passages": "sha256:00", "../secret": "sha256:00"})
    with pytest.raises(ArtifactUnreadable):
        FaissIndex.load(tmp_path, EMBEDDER)


def test_vectors_and_passages_belong_together(tmp_path: Path) -> None:
    saved(tmp_path / "a")
    lexical = Bm25()
    lexical.add([Passage("z", "Parrots."), Passage("y", "Cats."), *PASSAGES, Passage("x", "Dogs.")])
    lexical.save(tmp_path / "b")
    (passages,) = (tmp_path / "b").glob("passages-*.jsonl")
    (tmp_path / "a" / passages.name).write_bytes(passages.read_bytes())
    mark = body_of(tmp_path / "b")["files"]["passages"]  # type: ignore[index]
    files = {**body_of(tmp_path / "a")["files"], "passages": mark}  # type: ignore[dict-item]
    sealed(tmp_path / "a", files=files, size=len(PASSAGES) + 3)
    with pytest.raises(ArtifactUnreadable, match="belong together"):
        FaissIndex.load(tmp_path / "a", EMBEDDER)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": "1"}', '{"form": 1}', "\x00"])
def test_what_is_no_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ArtifactUnreadable, match="not an index that compilm wrote"):
        Bm25.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        Bm25().save(tmp_path / "file")
