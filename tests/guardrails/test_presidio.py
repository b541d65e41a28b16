"""Presidio beside the rules: where it is installed, and where it is not."""

from __future__ import annotations

import copy
import sys

import pytest

from compilm.errors import MissingExtra
from compilm.guardrails import Rules, Vault, presidio


def test_a_missing_presidio_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtra, match=r"pip install 'compilm\[presidio\]'"):
        presidio()


@pytest.mark.filterwarnings("ignore")
def test_its_pattern_recognizers_find_without_a_model_or_a_network() -> None:
    pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is not installed")
    detector = presidio()
    text = "wallet 1BoatSLRHtKNngkdXEeobR76b53LETtpyT, card 4539578763621486"
    assert {each.kind for each in detector(text)} >= {"ACCOUNT_NUMBER", "CARD"}
    assert copy.deepcopy(detector) is detector
    vault = Vault(Rules(others=(detector,)))
    hidden = vault.hide(text)
    assert "1BoatSLRHtKNngkdXEeobR76b53LETtpyT" not in hidden
    assert vault.restore(hidden) == text


def test_an_analyzer_of_ones_own_is_used() -> None:
    class Result:
        start, end, entity_type, score = 0, 4, "PERSON", 0.85

    class Analyzer:
        def analyze(self, *, text: str, language: str, score_threshold: float) -> list[Result]:
            return [Result()]

    (found,) = presidio(Analyzer())("abcd efg")
    assert (found.kind, found.rule) == ("NAME", "presidio PERSON")
