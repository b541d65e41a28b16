"""Lines are cut at `\\n` only, and bytes that are not UTF-8 are found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from compilm.datasets.lines import open_file, text_lines
from compilm.errors import DataError


def lines_of(path: Path, content: bytes) -> list[tuple[int, str]]:
    path.write_bytes(content)
    return [(line.number, line.text) for line in text_lines(path)]


def error_of(path: Path, content: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        lines_of(path, content)
    assert caught.value.file == str(path)
    return caught.value


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\x0bd\x0ce\rf\ng"
    found = lines_of(tmp_path / "x", text.encode())
    assert found == [(1, "a\u2028b\u0085c\x0bd\x0ce\rf\n"), (2, "g")]


def test_a_byte_order_mark_is_dropped_once(tmp_path: Path) -> None:
    bom = b"\xef\xbb\xbf"
    assert lines_of(tmp_path / "x", bom + b"a\n" + bom + b"b") == [(1, "a\n"), (2, "\ufeffb")]


def test_a_byte_of_cp1252_is_named_with_line_offset_and_meaning(tmp_path: Path) -> None:
    error = error_of(tmp_path / "x", b"abc\nd\xe9f\n")
    assert error.line == 2
    assert "byte 5 (0xe9)" in str(error)
    assert "cp1252 (there it is 'é')" in str(error)


def test_the_offset_counts_the_byte_order_mark(tmp_path: Path) -> None:
    assert "byte 4 (0xe9)" in str(error_of(tmp_path / "x", b"\xef\xbb\xbfa\xe9"))
    assert "byte 5 (0xe9)" in str(error_of(tmp_path / "x", b"\xef\xbb\xbfa\n\xe9"))


def test_a_file_that_was_utf8_until_here_mixes_encodings(tmp_path: Path) -> None:
    error = error_of(tmp_path / "x", "é\n".encode() + b"caf\xe9\n")
    assert error.line == 2
    assert "mixes encodings" in str(error)


def test_a_byte_that_cp1252_lacks_seems_latin_1(tmp_path: Path) -> None:
    assert "latin-1" in str(error_of(tmp_path / "x", b"\x81"))


@pytest.mark.parametrize("mark", ["utf-16", "utf-16-be"])
def test_utf16_is_recognized(tmp_path: Path, mark: str) -> None:
    content = "\ufeffhi".encode(mark) if mark == "utf-16-be" else "hi".encode(mark)
    assert "is UTF-16" in str(error_of(tmp_path / "x", content))


def test_a_nul_character_is_no_text(tmp_path: Path) -> None:
    error = error_of(tmp_path / "x", b"a\n" + "hi".encode("utf-16-le"))
    assert error.line == 2
    assert "NUL" in str(error)


def test_a_missing_file_names_its_likeness(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(DataError, match=r"trian\.jsonl: not found\. Did you mean 'train\.jsonl'\?"):
        open_file(tmp_path / "trian.jsonl")


def test_a_missing_file_without_likeness_lists_the_folder(tmp_path: Path) -> None:
    (tmp_path / "claims.csv").touch()
    with pytest.raises(DataError, match=r"not found: its folder has 'claims\.csv'"):
        open_file(tmp_path / "zzz")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        open_file(tmp_path / "nowhere" / "train.jsonl")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(DataError, match=r"is a folder: name one file \(it has 'train\.jsonl'\)"):
        open_file(tmp_path)


def test_what_the_system_refuses_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        open_file(tmp_path / ("long" * 200))
