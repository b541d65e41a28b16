"""The nearest demonstrations are found, in order, the same everywhere, and never the answer."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from compilm.artifact import Field, Nearest
from compilm.errors import ArtifactTooNew, ProgramError
from compilm.programs.nearest import EMBEDDER, Chooser, Index, scoring, text_fields, words_v1
from compilm.testing.strategies import texts

CARDS = "my card was lost on the train"
POOL = (
    {"text": CARDS, "label": "cards"},
    {"text": "the roof is leaking", "label": "claims"},
    {"text": "I lost my card", "label": "cards"},
    {"text": "charged twice this month", "label": "billing"},
    {"text": "a lost dog in the yard", "label": "other"},
)


def chooser(k: int, pool: tuple[dict[str, Any], ...] = POOL, names: str = "text") -> Chooser:
    return Chooser(Nearest(k, EMBEDDER, pool), dspy.Signature(f"{names} -> label"))


def chosen(k: int, text: str, **more: Any) -> list[str]:
    return [demo.text for demo in chooser(k).choose({"text": text}, **more)]


def cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return math.fsum(weight * other.get(name, 0.0) for name, weight in one.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(texts(), max_size=6), texts())
def test_the_index_gives_the_cosine_with_every_text(pool: list[str], query: str) -> None:
    found = Index(map(words_v1, pool)).similarities(words_v1(query))
    assert found == pytest.approx([cosine(words_v1(text), words_v1(query)) for text in pool])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.lists(texts(), max_size=6, unique=True), texts())
def test_the_k_nearest_are_chosen_and_the_nearest_stands_last(
    k: int, pool: list[str], query: str
) -> None:
    demos = tuple({"text": text, "label": str(n)} for n, text in enumerate(pool))
    found = [int(demo.label) for demo in chooser(k, demos).choose({"text": query})]
    near = Index(map(words_v1, pool)).similarities(words_v1(query))
    ranked = sorted(range(len(pool)), key=lambda place: (-near[place], place))
    assert found == ranked[:k][::-1]


def test_the_question_before_the_call_is_the_most_similar_one() -> None:
    assert chosen(2, "lost my card!") == [CARDS, "I lost my card"]
    assert chosen(1, "water comes through the ROOF, it leaks")[-1] == "the roof is leaking"


def test_a_text_like_none_gets_the_first_of_the_pool() -> None:
    assert chosen(2, "zzz") == ["the roof is leaking", CARDS]
    assert chosen(9, "") == [demo["text"] for demo in POOL][::-1]


def test_what_stands_in_the_prompt_anyway_is_not_chosen_again() -> None:
    fixed = [dspy.Example(text="i LOST my  card", label="x"), {"label": "y"}]
    assert chosen(1, "lost my card", fixed=fixed) == [CARDS]
    assert len(chosen(5, "lost my card", fixed=fixed)) == 4


def test_the_call_itself_is_the_best_demonstration_there_is() -> None:
    assert chosen(1, CARDS) == [CARDS]


def test_a_train_example_never_sees_itself() -> None:
    with scoring({"text": CARDS, "label": "cards"}):
        assert chosen(1, CARDS) == ["I lost my card"]
        assert chosen(1, "My card was lost on  the train") == ["I lost my card"]
        assert len(chosen(5, CARDS)) == 4
    with scoring(None):
        assert chosen(1, CARDS) == [CARDS]
    assert chosen(1, CARDS) == [CARDS]


def test_a_train_example_does_not_see_itself_after_a_step_that_rewrote_it() -> None:
    """A later step gets what an earlier one made of the example, not what the data says."""
    with scoring({"text": CARDS, "label": "cards", "more": 1}):
        assert chosen(1, "my card, lost on the train") == ["I lost my card"]
    with scoring({"message": CARDS, "label": "cards"}):
        assert chosen(1, "my card, lost on the train") == [CARDS]


def test_a_train_example_does_not_see_itself_under_other_names() -> None:
    """A program that calls its input otherwise than the data does."""
    with scoring({"message": CARDS, "label": "cards"}):
        assert chosen(1, CARDS) == ["I lost my card"]


def test_the_threads_of_dspy_know_which_example_is_scored() -> None:
    class Crowd(dspy.Module):
        def forward(self, text: str) -> dspy.Prediction:
            return dspy.Prediction(found=chosen(1, text))

    pairs = [(Crowd(), dspy.Example(text=CARDS).with_inputs("text"))] * 3
    run = dspy.Parallel(num_threads=2, disable_progress_bar=True)
    with scoring({"text": CARDS}):
        assert [each.found for each in run(pairs)] == [["I lost my card"]] * 3


def test_only_the_inputs_count() -> None:
    pool = ({"text": "a", "label": "lost card"}, {"text": "lost card", "label": "a"})
    assert chooser(1, pool).choose({"text": "lost card", "label": "lost card"})[0].label == "a"


def test_all_inputs_count_whatever_their_type() -> None:
    class Claim(BaseModel):
        title: str
        parts: list[str]

    pool = (
        {"claim": {"title": "roof", "parts": ["tiles"]}, "day": "2026-01-02", "label": "a"},
        {"claim": {"title": "car", "parts": ["door"]}, "day": "2024-03-04", "label": "b"},
        {"claim": {"title": "roof", "parts": ["tiles"]}, "day": "2025-07-08", "label": "c"},
    )
    near = chooser(1, pool, "claim, day")
    roof = Claim(title="roof", parts=["tiles"])
    assert near.choose({"claim": roof, "day": date(2025, 7, 8)})[0].label == "c"
    assert near.choose({"claim": Claim(title="a car", parts=[])})[0].label == "b"
    assert near.choose({"claim": object(), "day": None, "other": 1})
    with scoring({"claim": roof, "day": date(2026, 1, 2)}):
        assert near.choose({"claim": roof, "day": date(2026, 1, 2)})[0].label == "c"


def test_pictures_are_passed_over_and_alone_are_refused() -> None:
    fields = [Field("a", "list[dspy.Image]"), Field("b", "dspy.Audio | None"), Field("c", "str")]
    assert text_fields(fields) == ("c",)
    pool = ({"page": "data:image/png;base64,AA", "question": "who?", "label": "x"},)
    both = dspy.Signature("page: dspy.Image, question: str -> label")
    assert Chooser(Nearest(1, EMBEDDER, pool), both).choose({"question": "who?"})[0].label == "x"
    with pytest.raises(ProgramError, match=r"'look' has no input that is text \(page\)"):
        Chooser(Nearest(1, EMBEDDER, pool), dspy.Signature("page: dspy.Image -> label"), "look")


def test_an_embedder_of_a_later_version_is_named() -> None:
    with pytest.raises(ArtifactTooNew, match=r"'a\.b' chooses .* 'words-v9'.* knows words-v1"):
        Chooser(Nearest(1, "words-v9", POOL), dspy.Signature("text -> label"), "a.b")


def test_a_copy_is_the_same_and_a_pickle_chooses_the_same() -> None:
    class Sort(dspy.Signature):
        """Sort."""

        text: str = dspy.InputField()
        label: str = dspy.OutputField()

    globals()["Sort"] = Sort
    Sort.__qualname__ = "Sort"
    near = Chooser(Nearest(2, EMBEDDER, POOL), Sort)
    assert copy.deepcopy(near) is near
    again = pickle.loads(pickle.dumps(near))
    assert again.nearest == near.nearest
    assert again.choose({"text": "lost"}) == near.choose({"text": "lost"})


ELSEWHERE = """
import json, sys
from compilm.programs.nearest import Index, words_v1
pool, query = json.loads(sys.argv[1])
print(json.dumps(Index(map(words_v1, pool)).similarities(words_v1(query))))
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_process_finds_the_same_to_the_last_bit(seed: str) -> None:
    pool, query = [demo["text"] for demo in POOL], "the card that I lost on a train to the yard"
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps([pool, query])],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert json.loads(done.stdout) == Index(map(words_v1, pool)).similarities(words_v1(query))


def test_a_long_text_is_read_from_its_beginning() -> None:
    assert words_v1("card " * 800 + "roof " * 9) == words_v1("card " * 800)
