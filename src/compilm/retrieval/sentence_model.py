"""Sentence models of the BERT family, run with numpy: no torch, nothing downloaded, no pickle."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import DataError, MissingExtra

__all__ = ["SentenceModel"]

_TYPES = {"F32": "<f4", "F16": "<f2"}
_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_LONGEST = 8_000  # characters of a text that are read; far above any model's tokens
_BATCH = 32


class SentenceModel:
    """The mean of a BERT model's last layer, as all-MiniLM-L6-v2 and its kin were trained for.

    `folder` holds `config.json`, `tokenizer.json` and `model.safetensors`, as models are published.
    Read are the first `tokens` tokens of a text, its specials included. `name` stands in indexes:
    by default the folder's. The weights stay in memory (90 MB for MiniLM-L6); one passage of 100
    words takes about 0.08 s of one core.

    Raises:
        MissingExtra: tokenizers is not installed.
        DataError: the folder has no such model, or one of another family.
    """

    def __init__(self, folder: str | Path, *, name: str | None = None, tokens: int = 256) -> None:
        if find_spec("tokenizers") is None:
            raise MissingExtra("tokenizers", extra="sentences", purpose="read text for a model")
        from tokenizers import Tokenizer

        place = Path(folder)
        for file in _FILES:
            if not (place / file).is_file():
                raise DataError("missing: a sentence model needs it", file=str(place / file))
        self._config = json.loads((place / "config.json").read_text("utf-8"))
        if self._config.get("model_type") != "bert":
            raise DataError(
                f"a model of the family {self._config.get('model_type')!r}, and only 'bert' is "
                "known here: use another embedder for it",
                file=str(place / "config.json"),
            )
        self.name = name or f"sentences/{place.resolve().name}"
        self._tokenizer: Any = Tokenizer.from_file(str(place / "tokenizer.json"))
        longest = int(self._config["max_position_embeddings"])
        self._tokenizer.enable_truncation(min(tokens, longest))
        self._tokenizer.no_padding()
        self._weights = _weights(place / "model.safetensors")

    def __deepcopy__(self, memo: dict[int, Any]) -> SentenceModel:
        return self  # weights are only read

    def embed(self, texts: Sequence[str]) -> Any:
        """A row of length one for each text."""
        import numpy as np

        clean = [text[:_LONGEST].encode("utf-8", "replace").decode() for text in texts]
        read = [each.ids for each in self._tokenizer.encode_batch(clean)]
        rows = np.zeros((len(read), int(self._config["hidden_size"])), dtype="float32")
        order = sorted(range(len(read)), key=lambda place: len(read[place]))
        for start in range(0, len(order), _BATCH):  # texts of one length waste no work
            part = order[start : start + _BATCH]
            rows[part] = self._means([read[place] for place in part])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    async def aembed(self, texts: Sequence[str]) -> Any:
        """As `embed`, in a thread."""
        return await asyncio.to_thread(self.embed, texts)

    def _means(self, ids: list[list[int]]) -> Any:
        import numpy as np

        width = max(map(len, ids))
        tokens = np.array([each + [0] * (width - len(each)) for each in ids])
        there = np.array([[1.0] * len(each) + [0.0] * (width - len(each)) for each in ids], "f4")
        hidden = self._embedded(tokens)
        unseen = (1.0 - there)[:, None, None, :] * np.float32(-1e9)
        for layer in range(int(self._config["num_hidden_layers"])):
            hidden = self._layer(hidden, unseen, f"encoder.layer.{layer}.")
        return (hidden * there[:, :, None]).sum(1) / there.sum(1, keepdims=True)

    def _embedded(self, tokens: Any) -> Any:
        weights = self._weights
        hidden = weights["embeddings.word_embeddings.weight"][tokens]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        hidden += weights["embeddings.token_type_embeddings.weight"][0]
        return self._normal(hidden, "embeddings.LayerNorm")

    def _layer(self, hidden: Any, unseen: Any, name: str) -> Any:
        """One layer of the encoder (Devlin et al., 2019): attention, then two dense steps."""
        mixed = self._dense(
            self._attention(hidden, unseen, f"{name}attention.self."),
            f"{name}attention.output.dense",
        )
        hidden = self._normal(hidden + mixed, f"{name}attention.output.LayerNorm")
        wide = _gelu(self._dense(hidden, f"{name}intermediate.dense"))
        narrow = self._dense(wide, f"{name}output.dense")
        return self._normal(hidden + narrow, f"{name}output.LayerNorm")

    def _attention(self, hidden: Any, unseen: Any, name: str) -> Any:
        import numpy as np

        texts, length, size = hidden.shape
        heads = int(self._config["num_attention_heads"])

        def parted(which: str) -> Any:
            flat = self._dense(hidden, name + which)
            return flat.reshape(texts, length, heads, size // heads).transpose(0, 2, 1, 3)

        query, key, value = parted("query"), parted("key"), parted("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(math.sqrt(size // heads)) + unseen
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return (scores @ value).transpose(0, 2, 1, 3).reshape(texts, length, size)

    def _dense(self, hidden: Any, name: str) -> Any:
        flat = hidden.reshape(-1, hidden.shape[-1]) @ self._weights[f"{name}.weight"].T
        flat += self._weights[f"{name}.bias"]
        return flat.reshape(*hidden.shape[:-1], -1)

    def _normal(self, hidden: Any, name: str) -> Any:
        import numpy as np

        centered = hidden - hidden.mean(-1, keepdims=True)
        spread = (centered * centered).mean(-1, keepdims=True)
        scaled = centered / np.sqrt(spread + np.float32(self._config["layer_norm_eps"]))
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: Any) -> Any:
    """x times the normal distribution's share below x; erf as in Abramowitz and Stegun, 7.1.26."""
    import numpy as np

    bent = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1.0 / (1.0 + np.float32(0.3275911) * bent)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = np.sign(x) * (1.0 - series * np.exp(-bent * bent))
    return 0.5 * x * (1.0 + erf)


def _weights(file: Path) -> dict[str, Any]:
    """The tensors of a safetensors file: a length, a JSON table, and numbers where it says."""
    import numpy as np

    data = np.memmap(file, dtype="uint8", mode="r")
    try:
        end = 8 + int.from_bytes(data[:8].tobytes(), "little")
        table = json.loads(data[8:end].tobytes())
        return {
            name.removeprefix("bert."): np.frombuffer(
                data[end + entry["data_offsets"][0] : end + entry["data_offsets"][1]].tobytes(),
                dtype=_TYPES[entry["dtype"]],
            )
            .astype("float32", copy=False)
            .reshape(entry["shape"])
            for name, entry in table.items()
            if name != "__metadata__" and entry["dtype"] in _TYPES
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"no safetensors file ({error!r})", file=str(file)) from error
