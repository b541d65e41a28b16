"""Passages by closeness of vectors, in memory: FAISS, exact or by a graph (HNSW)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import ArtifactMismatch, ArtifactUnreadable, MissingExtra, UsageError
from ..programs.embedding import Embedder
from .files import Saved, read_index, write_index
from .passages import Passage, at_least_one
from .rows import one_thread, unit_rows
from .table import PassageTable, last_of_each
from .where import Where

__all__ = ["FaissIndex", "Kind"]

Kind: TypeAlias = Literal["flat", "hnsw"]

_KINDS = {"faiss-flat-v1": "flat", "faiss-hnsw-v1": "hnsw"}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_BUILD_EFFORT = 200  # neighbors looked at while a graph grows
_FEW = 2_000  # passages that a filter leaves: compared one by one rather than met in the graph
_GONE = 64  # deleted passages that stay in a graph, at least, before it is built anew


class FaissIndex:
    """Passages by the cosine of their vectors with the query's.

    `flat` compares the query with every passage: exact, its time grows with them. `hnsw` walks a
    graph of neighbors (Malkov and Yashunin, 2018), `links` for each: it looks at `effort`
    passages and misses a few of the best. Under a condition that leaves few passages, or less
    than a tenth, these are compared one by one in either. Safe under threads; vectors are made
    outside the lock, and searched in one thread.

    Raises `MissingExtra` without FAISS, `UsageError` for settings that find nothing.

    >>> from compilm.retrieval import HashedNgrams
    >>> index = FaissIndex(HashedNgrams(256))
    >>> index.add([Passage("a", "Appeals take 30 days."), Passage("b", "Send claims by fax.")])
    >>> index.search("How long do appeals take?", k=1)[0].id
    'a'
    """

    def __init__(
        self, embedder: Embedder, kind: Kind = "flat", *, links: int = 32, effort: int = 128
    ) -> None:
        if kind not in _NAMES or links < 2 or effort < 1:
            raise UsageError(
                f"an index of kind {kind!r} with {links} links and an effort of {effort}: kinds "
                "are 'flat' and 'hnsw', links 2 or more, effort 1 or more"
            )
        if isinstance(embedder, type) or not hasattr(embedder, "embed"):
            raise UsageError(
                f"{embedder!r} is no embedder: give HashedNgrams(), SentenceModel(folder), "
                "OpenAIEmbedder(model), or Embedding(name, function)"
            )
        if find_spec("faiss") is None:
            raise MissingExtra("faiss", extra="faiss", purpose="search passages by their vectors")
        self.embedder, self.kind, self.links, self.effort = embedder, kind, links, effort
        self._lock = threading.Lock()  # protects the rest
        self._table = PassageTable()
        self._faiss: Any = None  # made when the width is known
        self._gone: set[int] = set()  # places that a graph still holds

    def __len__(self) -> int:
        return len(self._table)

    def __deepcopy__(self, memo: dict[int, Any]) -> FaissIndex:
        return self  # copies of a program search the same passages

    def add(self, passages: Iterable[Passage]) -> None:
        """Put them in; one whose id is there already takes the other's place.

        `ValueError` where the embedder gives no vectors, or of another width than before.
        """
        fresh = last_of_each(passages)
        if not fresh:
            return
        texts = [each.text for each in fresh]
        rows = unit_rows(self.embedder.embed(texts), len(texts), zeros=True)
        with self._lock:
            self._fits(rows.shape[1])
            self._drop(each.id for each in fresh)
            self._insert([self._table.put(each) for each in fresh], rows)

    def delete(self, ids: Iterable[str]) -> int:
        """Take these out; how many there were."""
        with self._lock:
            return self._drop(ids)

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """The passages whose vectors are nearest; none where the embedder sees nothing in it."""
        at_least_one(k)
        return self._near(self.embedder.embed([query]), k, where) if query.strip() else []

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        """As `search`; waits for the embedder in a task."""
        at_least_one(k)
        return self._near(await self.embedder.aembed([query]), k, where) if query.strip() else []

    def save(self, folder: str | Path) -> str:
        """Write the index as data; returns the digest over all of it."""
        import faiss

        with self._lock:
            files = {} if self._faiss is None else {"vectors": faiss.serialize_index(self._faiss)}
            settings = {
                "embedder": self.embedder.name,
                "links": self.links,
                "effort": self.effort,
                "width": 0 if self._faiss is None else self._faiss.d,
            }
            saved = Saved(
                _NAMES[self.kind],
                settings,
                dict(self._table.items()),
                {name: data.tobytes() for name, data in files.items()},
            )
        return write_index(folder, saved)

    @classmethod
    def load(
        cls, folder: str | Path, embedder: Embedder, *, digest: str | None = None
    ) -> FaissIndex:
        """What `save` wrote, for the same embedder; else raises as `read_index` does."""
        saved = read_index(folder, _KINDS, digest=digest)
        settings = saved.settings
        if settings["embedder"] != embedder.name:
            raise ArtifactMismatch(
                f"{folder}: the index was built with the embedder {settings['embedder']!r}, and "
                f"{embedder.name!r} was given: vectors of two embedders cannot be compared. Give "
                "that one, or build the index again"
            )
        index = cls(
            embedder,
            _KINDS[saved.kind],  # type: ignore[arg-type]  # `read_index` lets no other kind pass
            links=settings["links"],
            effort=settings["effort"],
        )
        index._restore(saved, Path(folder))
        return index

    def _restore(self, saved: Saved, folder: Path) -> None:
        import faiss
        import numpy as np

        for place, passage in saved.passages.items():
            self._table.put(passage, place)
        if "vectors" not in saved.files:
            return
        self._faiss = faiss.deserialize_index(np.frombuffer(saved.files["vectors"], dtype="uint8"))
        held = set(faiss.vector_to_array(self._faiss.id_map).tolist())
        if self._faiss.d != saved.settings["width"] or not held >= set(saved.passages):
            raise ArtifactUnreadable(
                f"{folder}: vectors and passages do not belong together. Build the index again"
            )
        self._gone = held - set(saved.passages)

    def _near(self, vectors: Any, k: int, where: Where | None) -> list[Passage]:
        row = unit_rows(vectors, 1, zeros=True)
        with self._lock:
            if self._faiss is None or not len(self._table) or not row.any():
                return []
            self._fits(row.shape[1])
            scores, places = self._nearest(row, min(k, len(self._table)), where)
            return [
                self._table[place].scored(score)
                for score, place in zip(scores, places)
                if place >= 0
            ]

    def _nearest(self, row: Any, k: int, where: Where | None) -> tuple[list[float], list[int]]:
        fitting = self._table.fitting(where)
        if fitting is not None and len(fitting) <= max(_FEW, len(self._table) // 10):
            return self._compared(row, k, fitting)
        with one_thread():
            scores, places = self._faiss.search(row, k, params=self._asked(fitting, k))
        return scores[0].tolist(), places[0].tolist()

    def _compared(self, row: Any, k: int, places: list[int]) -> tuple[list[float], list[int]]:
        """The best of these few, compared one by one."""
        import numpy as np

        if not places:
            return [], []
        found = self._faiss.reconstruct_batch(np.array(places, dtype="int64")) @ row[0]
        best = np.argsort(-found, kind="stable")[:k]
        return found[best].tolist(), [places[one] for one in best]

    def _asked(self, fitting: list[int] | None, k: int) -> Any:
        """Who may be found, and how hard a graph is searched."""
        import faiss
        import numpy as np

        asked: dict[str, Any] = {}
        if fitting is not None:
            asked["sel"] = faiss.IDSelectorBatch(np.array(fitting, dtype="int64"))
        elif self._gone:
            gone = faiss.IDSelectorBatch(np.array(sorted(self._gone), dtype="int64"))
            asked["sel"] = faiss.IDSelectorNot(gone)
        if self.kind == "flat":
            return faiss.SearchParameters(**asked)
        # FAISS's stubs do not know this one.
        parameters: Any = vars(faiss)["SearchParametersHNSW"]
        return parameters(**asked, efSearch=max(self.effort, k))

    def _fits(self, width: int) -> None:
        if self._faiss is not None and self._faiss.d != width:
            raise ValueError(
                f"embedder {self.embedder.name!r} gave {width} numbers, and {self._faiss.d} before"
            )

    def _insert(self, places: list[int], rows: Any) -> None:
        import numpy as np

        if self._faiss is None:
            self._faiss = self._empty(rows.shape[1])
        self._faiss.add_with_ids(rows, np.array(places, dtype="int64"))

    def _empty(self, width: int) -> Any:
        import faiss

        if self.kind == "flat":
            return faiss.IndexIDMap2(faiss.IndexFlatIP(width))
        graph = faiss.IndexHNSWFlat(width, self.links, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = _BUILD_EFFORT
        return faiss.IndexIDMap2(graph)

    def _drop(self, ids: Iterable[str]) -> int:
        import numpy as np

        places = self._table.drop(ids)
        if not places:
            return 0
        if self.kind == "flat":
            self._faiss.remove_ids(np.array(places, dtype="int64"))
        else:
            self._gone.update(places)
            if len(self._gone) > max(_GONE, len(self._table) // 4):
                self._rebuild()
        return len(places)

    def _rebuild(self) -> None:
        """A graph of those that are left: FAISS cannot take a passage out of one."""
        import numpy as np

        places = [place for place, _ in self._table.items()]
        old, self._faiss, self._gone = self._faiss, self._empty(self._faiss.d), set()
        if places:
            rows = old.reconstruct_batch(np.array(places, dtype="int64"))
            self._insert(places, rows)
