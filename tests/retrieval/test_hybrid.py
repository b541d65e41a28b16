"""Fusion of rankings, and what becomes of parts that fail or are late."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from compilm.clock import ManualClock
from compilm.errors import DeadlineExceeded, NoneAnswered, UsageError
from compilm.retrieval import Bm25, Bounded, FaissIndex, HashedNgrams, Hybrid, Passage, fused
from compilm.retrieval.where import Where
from compilm.testing.retriever_kit import PASSAGES, IndexKit


@dataclass
class Fixed:
    """Finds these, or raises, after waiting for `go`."""

    ids: str
    error: Exception | None = None
    go: threading.Event | None = None
    asked: list[tuple[int, Where | None]] = field(default_factory=list)

    def search(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        self.asked.append((k, where))
        if self.go is not None:
            self.go.wait(10)
        if self.error is not None:
            raise self.error
        return [Passage(one, one) for one in self.ids][:k]

    async def asearch(self, query: str, k: int = 5, where: Where | None = None) -> list[Passage]:
        if self.go is not None:
            await asyncio.Event().wait()
        return self.search(query, k, where)


class Both(Hybrid):
    """A hybrid that passages can be put into, for the kit."""

    def __init__(self) -> None:
        self.indexes = (Bm25(), FaissIndex(HashedNgrams(512)))
        super().__init__(self.indexes)

    def add(self, passages: Sequence[Passage]) -> None:
        for each in self.indexes:
            each.add(passages)

    def delete(self, ids: Sequence[str]) -> int:
        return max([each.delete(ids) for each in self.indexes])

    def __len__(self) -> int:
        return len(self.indexes[0])


class TestHybrid(IndexKit):
    @pytest.fixture
    def index(self) -> Both:
        return Both()


def ids(passages: Sequence[Passage]) -> str:
    return "".join(each.id for each in passages)


def test_ranks_are_summed_as_the_formula_says() -> None:
    found = fused([[Passage(x, x) for x in "abc"], [Passage(x, x) for x in "cad"]], flat=60)
    assert ids(found) == "acbd"
    assert found[0].score == pytest.approx(1 / 61 + 1 / 62)
    assert found[3].score == pytest.approx(1 / 63)


def test_a_weight_of_nothing_leaves_a_ranking_out_of_the_order() -> None:
    rankings = [[Passage(x, x) for x in "ab"], [Passage(x, x) for x in "ba"]]
    assert ids(fused(rankings, [1.0, 0.0])) == "ab"
    assert ids(fused(rankings, [0.0, 1.0])) == "ba"


def test_parts_are_asked_deeper_than_what_is_wanted_and_under_the_same_condition() -> None:
    parts = [Fixed("abc"), Fixed("cba")]
    Hybrid(parts, depth=20).search("q", 2, {"a": 1})
    Hybrid(parts, depth=20).search("q", 40)
    asyncio.run(Hybrid(parts, depth=20).asearch("q", 3))
    assert [each.asked for each in parts] == [[(20, {"a": 1}), (40, None), (20, None)]] * 2


def test_all_parts_must_answer_unless_fewer_are_enough(caplog: pytest.LogCaptureFixture) -> None:
    parts = [Fixed("ab"), Fixed("", OSError("secret place"))]
    for ask in (lambda h: h.search("q"), lambda h: asyncio.run(h.asearch("q"))):
        with pytest.raises(NoneAnswered, match="1: Fixed: OSError"):
            ask(Hybrid(parts))
        caplog.clear()
        assert ids(ask(Hybrid(parts, least=1))) == "ab"
        assert "1: Fixed is left out: OSError" in caplog.text
        assert "secret" not in caplog.text
        with pytest.raises(NoneAnswered):
            ask(Hybrid([parts[1], parts[1]], least=1))


def test_the_error_of_a_single_part_is_raised_as_it_is() -> None:
    with pytest.raises(OSError, match="gone"):
        Hybrid([Fixed("", OSError("gone"))]).search("q")


def test_a_late_part_is_left_out_in_threads() -> None:
    clock, go = ManualClock(), threading.Event()
    slow = Fixed("z", go=go)
    hybrid = Hybrid([Fixed("ab"), slow], timeout=5.0, least=1, clock=clock)
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(ids(hybrid.search("q"))))
    asking.start()
    while not clock.waiting:
        pass
    clock.advance(5.0)
    asking.join(10)
    go.set()
    assert answers == ["ab"]


def test_a_late_part_is_left_out_in_tasks() -> None:
    slow = Fixed("z", go=threading.Event())
    assert ids(asyncio.run(Hybrid([Fixed("ab"), slow], timeout=0.01, least=1).asearch("q"))) == "ab"
    with pytest.raises(NoneAnswered, match="1: Fixed: DeadlineExceeded"):
        asyncio.run(Hybrid([Fixed("ab"), slow], timeout=0.01).asearch("q"))


def test_a_bounded_retriever_answers_in_time_or_says_so() -> None:
    go = threading.Event()
    assert ids(Bounded(Fixed("ab"), 5.0).search("q")) == "ab"
    assert ids(asyncio.run(Bounded(Fixed("ab"), 5.0).asearch("q"))) == "ab"
    with pytest.raises(DeadlineExceeded, match="no passages within"):
        Bounded(Fixed("ab", go=go), 0.01).search("q")
    go.set()
    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s"):
        asyncio.run(Bounded(Fixed("ab", go=threading.Event()), 0.01).asearch("q"))


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": [1.0]},
        {"weights": [1.0, -1.0]},
        {"depth": 0},
        {"flat": -1},
        {"least": 0},
        {"least": 3},
        {"timeout": 0.0},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Hybrid([Fixed("a"), Fixed("b")], **settings)  # type: ignore[arg-type]


def test_no_parts_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        Hybrid([])
    with pytest.raises(UsageError, match="leave no time"):
        Bounded(Bm25(), 0.0)


def test_the_two_together_find_what_either_does() -> None:
    both = Both()
    both.add(PASSAGES)
    assert both.search("denial reason", k=1)[0].id == "denial"
