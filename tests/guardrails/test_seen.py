"""What is remembered of redaction: where something was found, not the text, and not for others."""

from __future__ import annotations

import copy
import pickle

from compilm.guardrails.redaction.finding import Finding
from compilm.guardrails.redaction.rules import Rules
from compilm.guardrails.redaction.seen import Seen

TEXT = "Ask Ana Pratt (MRN 445-12)"


def test_a_text_is_looked_through_once_and_not_kept() -> None:
    seen, looked = Seen(), []

    def find(text: str) -> tuple[Finding, ...]:
        looked.append(text)
        return (Finding(4, 13, "NAME", 1.0),)

    assert seen.found(TEXT, find) == seen.found(TEXT, find)
    assert looked == [TEXT]
    assert "Pratt" not in repr(vars(seen))


def test_older_texts_are_let_go_and_long_lists_are_not_kept() -> None:
    seen, looked = Seen(most=4), []

    def find(text: str) -> tuple[Finding, ...]:
        looked.append(text)
        return (Finding(0, 1, "NAME", 1.0),) * (200 if text == "long" else 1)

    for text in ["a", "b", "c", "d", "e", "e", "a", "long", "long"]:
        seen.found(text, find)
    assert looked == ["a", "b", "c", "d", "e", "a", "long", "long"]


def test_a_detector_that_learns_is_asked_again() -> None:
    known: list[str] = []

    def roster(text: str) -> list[Finding]:
        return [Finding(text.index(w), text.index(w) + len(w), "NAME", 1.0) for w in known]

    rules = Rules(others=(roster,))
    assert rules("the zygote desk") == ()
    known.append("zygote")
    assert [each.kind for each in rules("the zygote desk")] == ["NAME"]


def test_copies_of_rules_are_equal_and_find_the_same() -> None:
    rules = Rules("strict", keep=frozenset({"ana pratt"}))
    for other in (copy.deepcopy(rules), pickle.loads(pickle.dumps(rules))):
        assert other == rules
        assert other(TEXT) == rules(TEXT)
