"""The index: what is near is found, what is over or too much is not."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from compilm.clock import ManualClock
from compilm.errors import ProgramError, UsageError
from compilm.retrieval.rows import unit_rows
from compilm.runtime.near import Embedding, Shelves
from compilm.runtime.near.embedding import embedder_of
from compilm.runtime.near.shelves import Kept


def kept(key: str, until: float = inf) -> Kept:
    return Kept(key, (), key.encode(), until)


def keys(shelves: Shelves, frame: str, *vector: float, threshold: float = 0.9) -> list[str]:
    rows = unit_rows([vector], 1)
    return [each.kept.key for each in shelves.near(frame, rows, threshold)]


def test_the_nearest_come_first_and_what_is_far_does_not_come() -> None:
    shelves = Shelves()
    for key, vector in {"far": [0.0, 1.0], "near": [1.0, 0.3], "same": [2.0, 0.0]}.items():
        shelves.put("f", unit_rows([vector], 1), kept(key))
    assert keys(shelves, "f", 1.0, 0.0) == ["same", "near"]
    assert keys(shelves, "g", 1.0, 0.0) == []


def test_of_several_texts_each_must_be_near() -> None:
    shelves = Shelves()
    shelves.put("f", unit_rows([[1.0, 0.0], [1.0, 0.0]], 2), kept("a"))
    asked = unit_rows([[1.0, 0.0], [0.8, 0.6]], 2)
    assert [round(one.similarity, 3) for one in shelves.near("f", asked, 0.7)] == [0.8]
    assert shelves.near("f", asked, 0.85) == []  # their mean is 0.9


def test_an_answer_whose_time_is_over_is_gone() -> None:
    clock = ManualClock()
    shelves = Shelves(clock=clock)
    shelves.put("f", unit_rows([[1.0, 0.0]], 1), kept("a", until=clock.now() + 60.0))
    clock.advance(59.0)
    assert keys(shelves, "f", 1.0, 0.0) == ["a"]
    clock.advance(1.0)
    assert (keys(shelves, "f", 1.0, 0.0), len(shelves)) == ([], 0)


def test_the_bound_holds_and_what_was_used_last_stays() -> None:
    shelves = Shelves(entries=32)
    for n in range(32):
        shelves.put(f"f{n % 5}", unit_rows([[1.0, float(n)]], 1), kept(str(n)))
    shelves.used("0")
    shelves.put("f", unit_rows([[1.0, 0.0]], 1), kept("new"))
    assert len(shelves) == 31
    assert keys(shelves, "f0", 1.0, 0.0) == ["0"]
    assert keys(shelves, "f1", 1.0, 1.0, threshold=0.999) == []


def test_of_two_answers_to_one_question_the_last_is_kept() -> None:
    shelves, rows = Shelves(), unit_rows([[1.0, 0.0]], 1)
    shelves.put("f", rows, kept("a"))
    shelves.put("f", rows, Kept("a", (), b"later", inf))
    assert [one.kept.value for one in shelves.near("f", rows, 0.9)] == [b"later"]
    assert len(shelves) == 1


def test_vectors_that_are_none_are_refused() -> None:
    for wrong in ([], [[]], [[0.0, 0.0]], [[float("nan"), 1.0]], [[1.0], [1.0]], [1.0]):
        with pytest.raises(ValueError, match="an embedder gave"):
            unit_rows(wrong, 1)
    shelves = Shelves()
    shelves.put("f", unit_rows([[1.0, 0.0]], 1), kept("a"))
    with pytest.raises(ValueError, match="3 numbers, and 2 before"):
        shelves.put("f", unit_rows([[1.0, 0.0, 0.0]], 1), kept("b"))
    assert keys(shelves, "f", 1.0, 0.0, 0.0) == []


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="keeps nothing"):
        Shelves(entries=0)


def test_threads_find_what_they_put() -> None:
    shelves = Shelves(entries=100)

    def put(n: int) -> int:
        rows = unit_rows([[1.0, float(n)]], 1)
        shelves.put(f"f{n % 3}", rows, kept(str(n)))
        return len(shelves.near(f"f{n % 3}", rows, 0.99))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(put, range(600)))
    assert len(shelves) <= 100
    assert max(found) <= 8


def test_a_function_without_a_twin_is_called_in_a_thread() -> None:
    seen: list[int] = []

    def embed(texts: list[str]) -> list[list[float]]:
        seen.append(threading.get_ident())
        return [[1.0] for _ in texts]

    embedding = Embedding("ones", embed)
    assert embedding.embed(["a"]) == asyncio.run(embedding.aembed(["a"])) == [[1.0]]
    assert seen[0] == threading.get_ident() != seen[1]


def test_an_embedder_is_found_by_its_name_or_the_error_says_why() -> None:
    assert embedder_of("builtins:sorted").name == "builtins:sorted"
    with pytest.raises(ProgramError, match="no_such"):
        embedder_of("builtins:no_such")
    with pytest.raises(UsageError, match="is no embedder"):
        embedder_of("builtins:__doc__")
