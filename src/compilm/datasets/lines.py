r"""The lines of a UTF-8 file, one at a time, cut at `\n` and nowhere else.

`str.splitlines` also cuts at U+2028, U+0085 and others, which may stand inside a JSON string.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import DataError
from .closest import listed, meant

__all__ = ["Line", "open_file", "text_lines"]

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Line(NamedTuple):
    """One line: its number (from 1) and its text, line end included."""

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """The lines of the file, read as they are asked for; a UTF-8 byte order mark is dropped.

    Raises DataError, with the line, where the bytes are not UTF-8.
    """
    offset, has_utf8 = 0, False
    with open_file(path) as file:
        for number, raw in enumerate(file, start=1):
            bare = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            try:
                text = bare.decode("utf-8")
            except UnicodeDecodeError as error:
                at = offset + len(raw) - len(bare) + error.start
                raise DataError(
                    _not_utf8(bare, error.start, at, has_utf8), file=str(path), line=number
                ) from None
            if "\0" in text:
                raise DataError(
                    "holds a NUL character, so it is UTF-16 or no text at all: save it as UTF-8",
                    file=str(path),
                    line=number,
                )
            has_utf8 = has_utf8 or not bare.isascii()
            offset += len(raw)
            yield Line(number, text)


def open_file(path: Path) -> BinaryIO:
    """The file opened for reading bytes, or a DataError that says what stands there instead."""
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(_not_found(path), file=str(path)) from None
    except IsADirectoryError:
        names = sorted(item.name for item in path.iterdir() if item.is_file())
        message = f"is a folder: name one file (it has {listed(names)})"
        raise DataError(message, file=str(path)) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", file=str(path)) from None


def _not_found(path: Path) -> str:
    if not path.parent.is_dir():
        return f"not found: there is no folder {str(path.parent)!r}"
    names = sorted(item.name for item in path.parent.iterdir() if item.is_file())
    hint = meant(path.name, names)
    return f"not found.{hint}" if hint else f"not found: its folder has {listed(names)}"


def _not_utf8(line: bytes, start: int, offset: int, has_utf8: bool) -> str:
    where = f"byte {offset} (0x{line[start]:02x}) is not UTF-8"
    if offset == 0 and line[:2] in _UTF16:
        return f"{where}: the file is UTF-16; save it as UTF-8"
    seems, shown = _guess(line[start : start + 1])
    if has_utf8:
        return (
            f"{where}: earlier lines are, so the file mixes encodings; this line seems "
            f"{seems} (there it is {shown!r}); rewrite the line in UTF-8"
        )
    return f"{where}: it seems {seems} (there it is {shown!r}); save the file as UTF-8"


def _guess(byte: bytes) -> tuple[str, str]:
    try:
        return "cp1252", byte.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing in cp1252
        return "latin-1", byte.decode("latin-1")
