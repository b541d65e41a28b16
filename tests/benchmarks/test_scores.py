"""The page of tasks is a function of the rows: scores, ranks, and paired differences."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.optimizers.scores import best_of_dspy, differences, markdown, ranks
from benchmarks.optimizers.summary import Entry, Runs

OURS, GEPA, KNN = Entry("ours-2", 1000), Entry("gepa", 1000), Entry("knn", 0)


def row(entry: Entry, task: str, seed: int, true: float, **more: Any) -> dict[str, Any]:
    counted = {"calls": 0.99 * entry.budget, "tokens": 5000, "seconds": 2.0}
    made = {"contestant": entry.contestant, "budget": entry.budget, "world": task, "seed": seed}
    return {**made, **counted, "true": true, "gain": true - 0.4, "reported_gain": None, **more}


def some_runs() -> Runs:
    """On claims ours is above GEPA by 0.10 and 0.12; on b77-10 KNN is above both."""
    rows = []
    for seed in (0, 1):
        said = {"verdict": "proven", "reported_gain": 0.25}
        rows += [
            row(OURS, "claims", seed, 0.6 + 0.02 * seed, **said),
            row(GEPA, "claims", seed, 0.5),
            row(KNN, "claims", seed, 0.45),
            row(OURS, "b77-10", seed, 0.8, **said),
            row(GEPA, "b77-10", seed, 0.7),
            row(KNN, "b77-10", seed, 0.82),
        ]
    return Runs([*rows, row(GEPA, "nlupp", 0, 0.3), row(GEPA, "claims", 7, 0.99)])


def test_ranks_are_over_the_tasks_that_all_have() -> None:
    assert ranks(some_runs(), [OURS, GEPA, KNN], ["claims", "b77-10", "nlupp"]) == {
        OURS: 1.5,
        GEPA: 2.5,
        KNN: 2.0,
    }


def test_equal_means_share_a_rank() -> None:
    runs = Runs([row(one, "claims", 0, 0.5) for one in (OURS, GEPA, KNN)])
    assert set(ranks(runs, [OURS, GEPA, KNN], ["claims"]).values()) == {2.0}


def test_the_best_is_looked_for_on_shared_seeds_with_and_without_what_cannot_be_saved() -> None:
    runs = some_runs()
    assert best_of_dspy(runs, OURS, "claims") == GEPA
    assert best_of_dspy(runs, OURS, "b77-10") == KNN
    assert best_of_dspy(runs, OURS, "b77-10", saved=True) == GEPA
    assert best_of_dspy(runs, OURS, "nlupp") is None


def test_one_that_lacks_a_seed_of_ours_is_not_the_best() -> None:
    rows = [row(OURS, "claims", seed, 0.5) for seed in (0, 1)]
    runs = Runs([*rows, row(GEPA, "claims", 0, 0.9), row(KNN, "claims", 0, 0.4)])
    assert best_of_dspy(runs, OURS, "claims") is None


def test_differences_are_paired_by_seed() -> None:
    found = differences(some_runs(), OURS, GEPA, "claims")
    assert found == {0: pytest.approx(0.1), 1: pytest.approx(0.12)}


def test_the_page_has_scores_comparisons_and_verdicts() -> None:
    page = markdown(some_runs())
    assert "| KNNFewShot | 82.0 ± 0.0 | – | 45.0 ± 0.0 | – | 2.0 | 2 | 0 | 0 | 5 | 2 |" in page
    assert "| compilm -O2 | best | -2.0 ± 0.0 KNNFewShot | – | +11.0 ± 1.0 GEPA |" in page
    assert "| compilm -O2 | best that can be saved | +10.0 ± 0.0 GEPA |" in page
    assert "| compilm -O2 | 1,000 | 2 proven | – | 2 proven |" in page
    assert "failed" not in page
    assert page == markdown(some_runs())


def test_the_page_names_what_failed() -> None:
    page = markdown(Runs([{**row(GEPA, "claims", 7, 0.1), "error": "LMError: gone"}]))
    assert "claims, GEPA, 1,000 calls, seed 7: LMError: gone" in page
