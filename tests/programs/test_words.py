"""The features that artifacts rely on stay what they are, and let related words meet."""

from __future__ import annotations

import pytest

from compilm import canonical
from compilm.programs.words import features, words

TEXTS = (
    "",
    "My card hasn't arrived: where's it?",
    "ÜBER-große Straße, naïve café №5",
    "卡丢了,怎么办?",
    "カードをなくしました",
    "a_b 1,234.50 EUR " * 40,
)


def test_the_features_of_a_text_are_those_that_artifacts_were_compiled_with() -> None:
    """A change here changes what every artifact with `words-v1` shows: give it another name."""
    found = canonical.digest([sorted(features(text).items()) for text in TEXTS])
    assert found == ("sha256:161f6a1cc2ed311a51cfca2d028484813dd357cb1468fc33f57ec8157e17eb80")


@pytest.mark.parametrize(
    ("one", "other"),
    [("lost card", "my cards were lost"), ("payment", "repayments"), ("卡丢了", "我的卡丢了吗")],
)
def test_related_texts_share_features(one: str, other: str) -> None:
    assert features(one).keys() & features(other).keys()


def test_every_word_is_lower_case() -> None:
    assert words("It's LOST_card №5") == ["it's", "lost", "card", "5"]
