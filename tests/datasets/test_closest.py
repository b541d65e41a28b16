"""Names are suggested and listed in one form."""

from __future__ import annotations

from compilm.datasets.closest import listed, meant


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert meant("TXT", ["Text", "label"]) == " Did you mean 'Text'?"


def test_nothing_near_suggests_nothing() -> None:
    assert meant("zzz", ["text"]) == ""


def test_long_lists_are_cut_and_counted() -> None:
    assert listed(str(n) for n in range(10)).endswith("'7' and 2 more")
    assert listed([]) == "none"
