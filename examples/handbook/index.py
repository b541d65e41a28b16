"""Documents into an index on disk: `python index.py [FOLDER]` cuts, embeds and saves them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from compilm.retrieval import Document, FaissIndex, HashedNgrams, chunked

DOCUMENTS = Path(__file__).with_name("data") / "documents.jsonl"
INDEX = Path(__file__).with_name("build") / "index"


def documents() -> Iterator[Document]:
    """The sections of the handbook; each knows which desk it belongs to."""
    for line in DOCUMENTS.read_text("utf-8").split("\n"):
        if line:
            row = json.loads(line)
            yield Document(row["id"], row["text"], {"desk": row["desk"], "title": row["title"]})


def build(folder: Path = INDEX) -> str:
    """Write the index; the digest that a program can ask for."""
    index = FaissIndex(HashedNgrams())
    index.add(chunked(documents(), words=40, overlap=10))
    return index.save(folder)


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if sys.argv[1:] else INDEX))
