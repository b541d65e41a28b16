"""The tests that every index of passages must pass: subclass `IndexKit` and give its fixture."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..errors import UsageError
from ..retrieval import Index, Passage, Retriever

__all__ = ["PASSAGES", "IndexKit"]

PASSAGES = (
    Passage("appeal", "An appeal must reach us within 180 days.", {"plan": "gold", "page": 1}),
    Passage("fax", "Claims can be sent by fax or mail.", {"plan": "silver", "page": 2}),
    Passage(
        "denial",
        "A denial letter names the reason for the denial.",
        {"plan": "gold", "page": 3.5, "old": True},
        document="guide",
        start=10,
        end=58,
    ),
    Passage("weather", "It rains in the mountains; bring 'boots' & a \\ hat%s.", {"page": True}),
)


class IndexKit:
    """What every index must do. Override `index` with an empty one."""

    @pytest.fixture
    def index(self) -> Index:
        raise NotImplementedError("give an empty index")

    @pytest.fixture
    def filled(self, index: Index) -> Index:
        index.add(PASSAGES)
        return index

    def test_it_is_what_it_says(self, index: Index) -> None:
        assert isinstance(index, Index)
        assert isinstance(index, Retriever)

    def test_an_empty_one_finds_nothing(self, index: Index) -> None:
        assert (len(index), index.search("appeal"), index.delete(["appeal"])) == (0, [], 0)
        index.add([])
        assert asyncio.run(index.asearch("appeal")) == []

    def test_what_shares_most_with_the_query_comes_first(self, filled: Index) -> None:
        assert filled.search("reasons for a denial")[0].id == "denial"
        assert filled.search("appeal within days")[0].id == "appeal"

    def test_a_passage_comes_back_as_it_was(self, filled: Index) -> None:
        for given in PASSAGES:
            (found,) = filled.search(given.text, k=1)
            assert found.score is not None
            assert found == given.scored(found.score)

    def test_scores_fall(self, filled: Index) -> None:
        scores = [each.score or 0.0 for each in filled.search("denial of an appeal by mail", k=4)]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0

    def test_at_most_k_are_found_and_fewer_than_one_cannot_be_asked_for(
        self, filled: Index
    ) -> None:
        assert len(filled.search("claims denial appeal rain", k=2)) == 2
        assert len(filled.search("claims denial appeal rain", k=99)) <= len(PASSAGES)
        for k in (0, -1):
            with pytest.raises(UsageError, match="1 or more"):
                filled.search("claims", k=k)
            with pytest.raises(UsageError, match="1 or more"):
                asyncio.run(filled.asearch("claims", k=k))

    @pytest.mark.parametrize("query", ["", "   ", "\n"])
    def test_a_query_that_says_nothing_finds_nothing(self, filled: Index, query: str) -> None:
        assert filled.search(query) == []
        assert asyncio.run(filled.asearch(query)) == []

    @pytest.mark.parametrize("query", ["?!", "\ud800 denial", "a" * 30_000, "'; drop table x; --"])
    def test_odd_queries_do_no_harm(self, filled: Index, query: str) -> None:
        filled.search(query)
        assert len(filled) == len(PASSAGES)

    @pytest.mark.parametrize(
        ("where", "ids"),
        [
            ({"plan": "gold"}, {"appeal", "denial"}),
            ({"plan": ["gold", "silver"]}, {"appeal", "denial", "fax"}),
            ({"plan": "gold", "page": 1}, {"appeal"}),
            ({"page": 1.0}, {"appeal"}),
            ({"page": [True]}, {"weather"}),
            ({"old": True}, {"denial"}),
            ({"plan": "lead"}, set()),
            ({"plan": []}, set()),
            ({"nothing": "x"}, set()),
            ({}, {"appeal", "fax", "denial", "weather"}),
        ],
    )
    def test_only_what_fits_the_condition_is_found(
        self, filled: Index, where: dict[str, object], ids: set[str]
    ) -> None:
        query = "appeal claims denial fax rains"
        assert {each.id for each in filled.search(query, 9, where)} == ids  # type: ignore[arg-type]
        found = asyncio.run(filled.asearch(query, 9, where))  # type: ignore[arg-type]
        assert {each.id for each in found} == ids

    def test_a_condition_that_is_none_is_refused(self, filled: Index) -> None:
        with pytest.raises(UsageError, match=r"where\['plan'\]"):
            filled.search("appeal", where={"plan": {"not": "gold"}})  # type: ignore[dict-item]

    def test_a_second_passage_with_an_id_takes_the_place_of_the_first(self, filled: Index) -> None:
        filled.add([Passage("fax", "x"), Passage("fax", "Parrots talk.", {"plan": "bird"})])
        assert len(filled) == len(PASSAGES)
        assert filled.search("parrots", k=1)[0].text == "Parrots talk."
        assert [each.id for each in filled.search("fax mail", 9, {"plan": "silver"})] == []

    def test_what_is_deleted_is_not_found(self, filled: Index) -> None:
        assert filled.delete(["denial", "nobody"]) == 1
        assert len(filled) == len(PASSAGES) - 1
        assert "denial" not in {each.id for each in filled.search("denial letter", k=9)}
        filled.add([PASSAGES[2]])
        assert filled.search("denial letter", k=1)[0].id == "denial"

    def test_all_can_be_deleted_and_added_again(self, filled: Index) -> None:
        assert filled.delete([each.id for each in PASSAGES]) == len(PASSAGES)
        assert (len(filled), filled.search("denial")) == (0, [])
        filled.add(PASSAGES)
        assert filled.search("denial letter", k=1)[0].id == "denial"

    def test_tasks_find_what_threads_find(self, filled: Index) -> None:
        queries = ["appeal", "fax", "denial reason", "rain"] * 8

        async def all_of_them() -> list[list[Passage]]:
            return await asyncio.gather(*map(filled.asearch, queries))

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(filled.search, queries))
        assert found == asyncio.run(all_of_them()) == [filled.search(each) for each in queries]

    def test_it_can_be_filled_while_it_is_searched(self, filled: Index) -> None:
        def fill(number: int) -> None:
            filled.add([Passage(f"n{number}", f"Note {number} about parrots.")])

        with ThreadPoolExecutor(8) as threads:
            done = [threads.submit(fill, number) for number in range(20)]
            found = list(threads.map(lambda _: filled.search("denial", k=1), range(40)))
        assert [each.result() for each in done] == [None] * 20
        assert {each[0].id for each in found} == {"denial"}
        assert len(filled) == len(PASSAGES) + 20

    def test_a_copy_of_a_program_searches_the_same_passages(self, filled: Index) -> None:
        held = {"retriever": filled}
        assert copy.deepcopy(held)["retriever"] is filled
