"""The prefix filter finds what comparing every pair finds."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from compilm.datasets.near import near_pairs, shingles

words = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)


def jaccard(a: str, b: str) -> float:
    one, two = shingles(a), shingles(b)
    return len(one & two) / len(one | two) if one and two else 0.0


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(words, st.integers(0, 1)), max_size=12), st.floats(0.1, 1.0))
def test_each_text_gets_its_most_similar_earlier_one_of_each_owner(
    rows: list[tuple[str, int]], least: float
) -> None:
    texts, owners = [row[0] for row in rows], [row[1] for row in rows]
    found = {(owners[pair.first], pair.second): pair for pair in near_pairs(texts, owners, least)}
    for second in range(len(rows)):
        for owner in (0, 1):
            earlier = [first for first in range(second) if owners[first] == owner]
            best = max((jaccard(texts[first], texts[second]) for first in earlier), default=0.0)
            pair = found.get((owner, second))
            assert (pair.similarity if pair else 0.0) == (best if best >= least else 0.0)
            if pair:
                alike = [f for f in earlier if jaccard(texts[f], texts[second]) == best]
                assert pair.first == alike[0]


def test_case_punctuation_and_space_do_not_count() -> None:
    assert shingles("Where  is MY top-up?") == shingles("where is my top up")


def test_short_texts_are_one_run_and_empty_ones_none() -> None:
    assert shingles("Hello!") == {"hello"}
    assert shingles(" ?! ") == frozenset()
    assert list(near_pairs(["", "?"], [0, 0], 0.5)) == []


def test_scripts_without_spaces_are_compared_by_letter() -> None:
    assert shingles("我的卡在") == {"我 的 卡", "的 卡 在"}


def test_templated_texts_stay_cheap_and_are_each_found() -> None:
    text = "please review the claim of this member and decide whether it was paid number "
    template = [text * 3 + str(number) for number in range(1500)]
    pairs = list(near_pairs(template, [0] * 1500, 0.8))
    assert [pair.second for pair in pairs] == list(range(1, 1500))
    assert max(pair.first for pair in pairs) < 100


def test_synthetic_near_copies_are_found_and_nothing_else() -> None:
    chance = random.Random(0)
    vocabulary = [f"word{number}" for number in range(2000)]
    originals = [[chance.choice(vocabulary) for _ in range(40)] for _ in range(300)]
    copies = []
    for original in originals[::3]:
        copy = list(original)
        copy[chance.randrange(40)] = "changed"
        copies.append(copy)
    texts = [" ".join(each) for each in originals + copies]
    pairs = list(near_pairs(texts, [0] * 300 + [1] * 100, 0.8))
    assert [(pair.first, pair.second) for pair in pairs] == [(3 * n, 300 + n) for n in range(100)]
