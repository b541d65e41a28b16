"""Every index passes the kit; what each of them does besides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compilm.retrieval import Bm25, FaissIndex, HashedNgrams, Index, PgVectorIndex
from compilm.testing.retriever_kit import IndexKit


class TestBm25(IndexKit):
    @pytest.fixture
    def index(self) -> Index:
        return Bm25()


class TestFlat(IndexKit):
    @pytest.fixture
    def index(self) -> Index:
        return FaissIndex(HashedNgrams(512))


class TestGraph(IndexKit):
    @pytest.fixture
    def index(self) -> Index:
        return FaissIndex(HashedNgrams(512), "hnsw")


class TestPostgres(IndexKit):
    @pytest.fixture
    def index(self, postgres_url: str) -> Iterator[Index]:
        index = PgVectorIndex(postgres_url, "passages", HashedNgrams(512))
        yield index
        index.close()


class TestHalfPrecision(IndexKit):
    @pytest.fixture
    def index(self, postgres_url: str) -> Iterator[Index]:
        index = PgVectorIndex(postgres_url, "wide", HashedNgrams())
        yield index
        index.close()
