"""What the rules find, what they leave alone, and that no text makes them slow."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import UsageError
from compilm.guardrails.redaction.finding import Finding, settled
from compilm.guardrails.redaction.marks import iban_is_valid, luhn_is_valid
from compilm.guardrails.redaction.rules import KINDS, Rules


def found(text: str, level: str | float = "usual") -> list[tuple[str, str]]:
    return [(each.kind, text[each.start : each.end]) for each in Rules(level=level)(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Mail a.b+c@mail.example.org today", "EMAIL", "a.b+c@mail.example.org"),
        ("my SSN is 123-45-6789.", "SSN", "123-45-6789"),
        ("the card 4539578763621486 is gone", "CARD", "4539578763621486"),
        ("pay GB82WEST12345698765432 now", "IBAN", "GB82WEST12345698765432"),
        ("pay GB82 WEST 1234 5698 7654 32 please", "IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("call (212) 555-0182 ext 4", "PHONE", "(212) 555-0182 ext 4"),
        ("phone: 9498777106", "PHONE", "9498777106"),
        ("see https://example.org/a?b=c for it", "URL", "https://example.org/a?b=c"),
        ("from 10.20.30.40 again", "IP_ADDRESS", "10.20.30.40"),
        ("(MRN: SJ-12345)", "RECORD_NUMBER", "SJ-12345"),
        ("member id HP-678901", "MEMBER_NUMBER", "HP-678901"),
        ("claim number 2024-00417", "CLAIM_NUMBER", "2024-00417"),
        ("seen on March 4th, 2021 for pain", "DATE", "March 4th, 2021"),
        ("seen 3/4/2021", "DATE", "3/4/2021"),
        ("born 1991-06-24", "DATE", "1991-06-24"),
        ("a 93-year-old man", "AGE", "93"),
        ("lives at 14 Mill Lane, Suite 3, Fairview.", "ADDRESS", "14 Mill Lane, Suite 3, Fairview"),
        ("ZIP: 33101", "ADDRESS", "33101"),
        ("it began at 04:22:10 in the night", "DATE", "04:22:10"),
        ("come at 5:30 PM", "DATE", "5:30 PM"),
        ("on Friday, March 3, 2017 we met", "DATE", "Friday, March 3, 2017"),
        ("log of 2001-11-30T04:22:10.123+02:00", "DATE", "2001-11-30T04:22:10.123+02:00"),
        ("paid on 30/Nov/2001", "DATE", "30/Nov/2001"),
        ("valid to Mar-88", "DATE", "Mar-88"),
        ("the stop is Wingertweg 126 today", "ADDRESS", "Wingertweg 126"),
        ("moved from Rua do Arenque 1634 then", "ADDRESS", "Rua do Arenque 1634"),
        ("is 92 Avenue d'Ouchy 109", "ADDRESS", "92 Avenue d'Ouchy 109"),
        ("The Clear Water Works office is shut", "ORGANIZATION", "Clear Water Works"),
        ("I'm Thomas's daughter", "NAME", "Thomas"),
        ("we met Ada Quill and Brown there", "NAME", "Brown"),
        ("olga krylova's killers", "NAME", "olga krylova"),
        ("Ada Quill\nClear water\n14 Mill Lane\nFairview", "ORGANIZATION", "Clear water"),
        ("call 555\u2011123\u20114567 now", "PHONE", "555\u2011123\u20114567"),
        ("my name is Zbigniew\u00a0Wrona", "NAME", "Zbigniew\u00a0Wrona"),
        ("SSN 123-\u200b45-6789", "SSN", "123-\u200b45-6789"),
        ("treated by Dr. Okonkwo there", "NAME", "Okonkwo"),
        ("a woman, Mary K., with asthma", "NAME", "Mary K."),
        ("my name is Zbigniew Wrona", "NAME", "Zbigniew Wrona"),
        ("seen at Elmwood General Hospital last", "ORGANIZATION", "Elmwood General Hospital"),
        ("who lives in Milwaukee, WI now", "PLACE", "Milwaukee, WI"),
    ],
)
def test_an_identifier_is_found_whole(text: str, kind: str, value: str) -> None:
    assert (kind, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "What are the side effects of Losartan in a 55-year-old with Type 2 Diabetes?",
        "Is the Framingham Risk Score of use in Alzheimer's disease or Marfan syndrome?",
        "A history of Wilson's disease diagnosed in 2019, HbA1c of 10, eGFR 45 mL/min.",
        "Guidelines for managing COPD by the ADA and the NYHA class III.",
        "How do I top up my card with Apple Pay? Will I be charged?",
        "It costs $1,250,000.00, or 12.5 % of 3,400.",
        "Take 500 mg in the morning; the ratio was 3:1.",
        "An RF titre of 1:40 or 1:160 is weak; the dilution was 1:80.",
        "Im not sure. I Submitted it, Whats next for the European Union?",
        "An evening of Music and Dance, with Chocolate and British Tea",
    ],
)
def test_plain_words_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_wrong_check_digit_is_less_sure() -> None:
    (right,) = [e for e in Rules()("x 4539578763621486") if e.kind == "CARD"]
    (wrong,) = [e for e in Rules()("x 4539578763621487") if e.kind == "CARD"]
    assert right.score > 0.9 > wrong.score
    assert luhn_is_valid("4539578763621486")
    assert not iban_is_valid("GB82WEST12345698765433")


def test_a_stricter_level_hides_more() -> None:
    text = "Leif said last week that he is 34, on 5 May 2021"
    loose, usual, strict = (len(found(text, each)) for each in ("loose", "usual", "strict"))
    assert loose < usual < strict or loose <= usual < strict


def test_only_wanted_kinds_and_never_what_is_kept() -> None:
    text = "Ana Pratt, a@b.org, at Elm Clinic"
    assert {each.kind for each in Rules(kinds=("EMAIL",))(text)} == {"EMAIL"}
    assert "Elm Clinic" not in str(found(text)) or Rules(keep=frozenset({"elm clinic"}))(text)
    kept = Rules(keep=frozenset({"elm clinic"}))(text)
    assert all(text[each.start : each.end] != "Elm Clinic" for each in kept)


@pytest.mark.parametrize("wrong", ["high", 0.0, 1.5])
def test_an_unknown_level_is_refused(wrong: float | str) -> None:
    with pytest.raises(UsageError, match="a level is"):
        Rules(level=wrong)
    with pytest.raises(UsageError, match="no rule finds"):
        Rules(kinds=("SHOE_SIZE",))


def test_another_detector_finds_beside_the_rules() -> None:
    def shoes(text: str) -> list[Finding]:
        return [Finding(0, 4, "ID_NUMBER", 1.0)]

    assert found("shoe 9") == []
    assert [each.kind for each in Rules(others=(shoes,))("shoe 9")] == ["ID_NUMBER"]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9), st.sampled_from(KINDS))))
def test_settled_findings_cover_the_same_and_never_overlap(
    spans: list[tuple[int, int, str]],
) -> None:
    given_ = [Finding(start, start + length, kind, 0.5) for start, length, kind in spans]
    result = settled(given_)
    assert all(a.end <= b.start for a, b in pairwise(result))
    before = {place for each in given_ for place in range(each.start, each.end)}
    assert before == {place for each in result for place in range(each.start, each.end)}


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    for each in Rules(level="strict")(text):
        assert 0 <= each.start < each.end <= len(text)


@pytest.mark.parametrize(
    "piece",
    ["A ", "Aa ", "12-", "1 ", "12 Aa ", "a@", "A1", "[NAME_1] ", "St ", "of Aa ", "GB12 ", "A\n"],
)
def test_time_grows_with_the_length_and_not_with_its_square(piece: str) -> None:
    def seconds(size: int) -> float:
        text, began = piece * (size // len(piece)), time.process_time()
        Rules()(text)
        return time.process_time() - began

    seconds(500)
    small = max(min(seconds(2_000) for _ in range(3)), 0.001)
    large = min(seconds(16_000) for _ in range(2))
    assert large < small * 32  # eight times the length: a square would be 64


def test_the_order_of_texts_changes_nothing() -> None:
    texts = ["Ana Pratt came", "Grace, can I", "seen at UCSF", "May I?"]
    first = {text: Rules()(text) for text in texts}
    random.Random(0).shuffle(texts)
    assert {text: Rules()(text) for text in texts} == first
