"""Chunks: whole sentences, no word lost, and offsets that point into the document."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.errors import DataError, UsageError
from compilm.retrieval import Document, Passage, chunked, chunks, numbered, sentence_spans

TEXTS = st.text(alphabet="ab Cd.!?\n é“”)。1", max_size=400)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("  \n ", []),
        ("No end", ["No end"]),
        ("One. Two! Three? Four…", ["One.", "Two!", "Three?", "Four…"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Dr. Bo met J. Ray at 5 p.m. sharp.", ["Dr. Bo met J. Ray at 5 p.m. sharp."]),
        ("It costs $3.50. See sec. 4.2 for more.", ["It costs $3.50.", "See sec. 4.2 for more."]),
        ("Heading\n\nA line\nthat goes on.", ["Heading", "A line\nthat goes on."]),
        ("Use e.g. a fax. It works.", ["Use e.g. a fax.", "It works."]),
        ("你好。再见。", ["你好。", "再见。"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@given(TEXTS, st.integers(1, 12), st.data(), st.sampled_from(["sentences", "words"]))
def test_every_word_is_in_a_passage_that_says_where(
    text: str, words: int, data: st.DataObject, by: str
) -> None:
    overlap = data.draw(st.integers(0, words // 2))
    made = chunks(Document("d", text), words=words, overlap=overlap, by=by)  # type: ignore[arg-type]
    covered: set[int] = set()
    for number, each in enumerate(made):
        assert (each.id, each.document) == (f"d#{number}", "d")
        assert text[each.start : each.end] == each.text
        assert 0 < len(each.text.split()) <= words
        covered.update(range(each.start, each.end))
    assert not [at for at, sign in enumerate(text) if not sign.isspace() and at not in covered]
    assert [each.start for each in made] == sorted({each.start for each in made})
    assert [each.end for each in made] == sorted({each.end for each in made})


def test_neighbors_share_words_up_to_the_overlap() -> None:
    text = " ".join(f"w{n}" for n in range(100))
    made = chunks(Document("d", text), words=20, overlap=5, by="words")
    for one, other in pairwise(made):
        assert one.text.split()[-5:] == other.text.split()[:5]
    assert len(made) == 7


def test_a_sentence_is_cut_only_where_it_is_longer_than_a_passage() -> None:
    long = " ".join(["long"] * 30) + "."
    made = chunks(Document("d", f"Short one. {long} Short two."), words=10, overlap=0)
    assert [len(each.text.split()) for each in made] == [10, 10, 10, 4]
    assert made[-1].text.endswith("Short two.")


def test_passages_know_what_is_known_of_their_document() -> None:
    about = {"plan": "gold"}
    made = chunked([Document("a", "One. Two.", about), Document("b", "Three.")], words=1, overlap=0)
    assert [(each.id, each.metadata) for each in made] == [
        ("a#0", about),
        ("a#1", about),
        ("b#0", {}),
    ]


@pytest.mark.parametrize(("words", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_sizes_that_cut_nothing_are_refused(words: int, overlap: int) -> None:
    with pytest.raises(UsageError, match="half of that"):
        chunks(Document("d", "Text."), words=words, overlap=overlap)


@pytest.mark.parametrize("wrong", [("", "text"), ("id", ""), (3, "text")])
def test_a_passage_needs_an_id_and_a_text(wrong: tuple[str, str]) -> None:
    with pytest.raises(DataError, match="needs a text"):
        Passage(*wrong)


def test_a_passage_of_several_lines_is_one_line_of_a_prompt() -> None:
    assert numbered([Passage("a", "One\n[2] two")]) == "[1] One [2] two"


def test_a_line_of_points_takes_no_time_by_its_square() -> None:
    began = time.process_time()
    sentence_spans("Fees" + "." * 100_000 + "12")
    assert time.process_time() - began < 5  # a square took minutes
