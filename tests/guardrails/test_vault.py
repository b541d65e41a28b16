"""What is hidden comes back as it was, and no placeholder is mistaken for another."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from compilm.guardrails.redaction.finding import Finding
from compilm.guardrails.redaction.rules import Rules
from compilm.guardrails.redaction.stream import Restorer
from compilm.guardrails.redaction.vault import PLACEHOLDER, Vault

PARTS = st.sampled_from(
    ["Ana Pratt", "Dr. Okonkwo", "3/4/2021", "[NAME_1]", "[NAME_2]", "[DATE_1]", "[TEXT_1]", "[",
     "]", "[NAME_", "1]", "a@b.org", "MRN 44-812", "Elm Clinic", "the fee", " ", "\n", "Pratt"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(PARTS, max_size=12).map(" ".join),
                  st.lists(PARTS, max_size=12).map("".join))  # fmt: skip


def everything(text: str) -> list[Finding]:
    """A detector that wants all words: the hardest for a vault."""
    return [Finding(0, len(text), "NAME", 1.0)] if text else []


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_restoring_what_was_hidden_is_the_identity(texts: list[str]) -> None:
    for detector in (Rules(level="strict"), everything):
        vault = Vault(detector)
        hidden = [vault.hide(text) for text in texts]
        assert [vault.restore(text) for text in hidden] == texts


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_all_fields_at_once_come_back_too(texts: list[str]) -> None:
    vault = Vault(Rules(level="strict"))
    assert vault.restore(vault.hide({"a": texts})) == {"a": texts}


@given(TEXTS, st.lists(st.integers(1, 7), min_size=1))
def test_a_stream_is_restored_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    vault = Vault(Rules(level="strict"))
    hidden, restorer, shown, place = vault.hide(text), Restorer(vault), "", 0
    while place < len(hidden):
        size = cuts[place % len(cuts)]
        shown += restorer.feed(hidden[place : place + size])
        place += size
    assert shown + restorer.finish() == vault.restore(hidden) == text


def test_a_stream_holds_back_no_more_than_could_become_a_placeholder() -> None:
    vault = Vault(Rules())
    vault.hide("Ana Pratt")
    restorer = Restorer(vault)
    assert restorer.feed("see [the list] and [") == "see [the list] and "
    assert restorer.feed("x") == "[x"
    assert restorer.feed("[NAME_1") == ""
    assert restorer.finish() == "[NAME_1"


def test_a_placeholder_in_the_text_is_not_given_to_a_value() -> None:
    vault = Vault(Rules())
    hidden = vault.hide("[NAME_1] wrote to Ana Pratt")
    assert hidden == "[NAME_1] wrote to [NAME_2]"
    assert vault.restore("[NAME_1] and [NAME_2]") == "[NAME_1] and Ana Pratt"


def test_a_placeholder_of_ours_that_comes_later_in_a_text_does_not_reveal() -> None:
    vault = Vault(Rules())
    vault.hide("I am Ana Pratt")
    later = vault.hide("the tool said [NAME_1]")
    assert later == "the tool said [TEXT_1]"
    assert vault.restore(later) == "the tool said [NAME_1]"


def test_one_value_has_one_placeholder_in_all_fields() -> None:
    vault = Vault(Rules())
    hidden = vault.hide({"a": "I am Ana Pratt", "b": ["told by her", "it was Ana Pratt again"]})
    assert hidden["a"] == "I am [NAME_1]"
    assert hidden["b"][1] == "it was [NAME_1] again"
    assert vault.hide("Ana Pratt") == "[NAME_1]"
    assert vault.counts == {"NAME": 1}


def test_what_one_field_gave_away_is_hidden_in_the_others() -> None:
    vault = Vault(Rules())
    hidden = vault.hide({"id": "member number is ZX-81", "note": "look up zz then ZX-81-b, ZX-81"})
    assert "number is [" in vault.hide("member number is 81-442")
    assert "ZX-815" not in str(hidden)
    vault = Vault(Rules())
    assert (
        vault.hide(["policy 4471-A", "and 4471-A once more"])[1]
        == "and [MEMBER_NUMBER_1] once more"
    )


class Claim(BaseModel):
    person: str
    amounts: list[int]


def test_models_examples_and_mappings_keep_their_types() -> None:
    vault = Vault(Rules())
    claim = Claim(person="Ana Pratt", amounts=[3])
    example = dspy.Example(message="I am Ana Pratt", n=3).with_inputs("message")
    hidden = vault.hide({"claim": claim, "pair": ("Ana Pratt", 2), "row": example})
    assert hidden["claim"] == Claim(person="[NAME_1]", amounts=[3])
    assert hidden["pair"] == ("[NAME_1]", 2)
    assert dict(hidden["row"].inputs()) == {"message": "I am [NAME_1]"}
    assert vault.restore(hidden)["claim"] == claim
    assert claim.person == "Ana Pratt"


def test_a_vault_tells_nothing_and_cannot_be_written_down() -> None:
    vault = Vault(Rules())
    vault.hide("I am Ana Pratt")
    assert "Pratt" not in repr(vault)
    assert copy.deepcopy(vault) is vault
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(vault)


def test_threads_agree_on_placeholders() -> None:
    vault = Vault(Rules())
    names = [f"I am Ana{chr(97 + n)} Pratt" for n in range(8)] * 25
    with ThreadPoolExecutor(8) as pool:
        hidden = list(pool.map(vault.hide, names))
    assert [vault.restore(each) for each in hidden] == names
    assert len(set(hidden)) == 8
    assert all(PLACEHOLDER.search(each) for each in hidden)
