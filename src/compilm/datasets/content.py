"""What an example says, apart from how it is written: its JSON form, its key, its text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from .. import canonical
from ..errors import DataError

__all__ = ["input_key", "input_text", "json_form", "normal"]


def json_form(
    fields: Iterable[tuple[str, Any]], *, file: str | None = None, line: int | None = None
) -> dict[str, canonical.Json]:
    """The fields as JSON data; DataError names a field whose value has none.

    NaN, bytes and text with half a character have none.
    """
    found: dict[str, canonical.Json] = {}
    for name, value in fields:
        try:
            found[name] = canonical.plain(value)
        except (TypeError, RecursionError) as error:
            message = f"{error}: give text, a number, a list or an object, or leave the field out"
            raise DataError(message, file=file, line=line, field=name) from None
        if (half := _half_character(found[name])) is not None:
            message = f"holds half of a character ({half!a}), which no model can be sent: repair it"
            raise DataError(message, file=file, line=line, field=name)
    return found


def _half_character(value: canonical.Json) -> str | None:
    """A surrogate without its pair: JSON can write one, and no encoding can."""
    text = value if isinstance(value, str) else canonical.dumps(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None


def normal(text: str) -> str:
    r"""`text` without what spelling alone changes: case, width of white space, composed accents.

    >>> normal("  Late\u00a0PAYMENT\n")
    'late payment'
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def input_text(inputs: Mapping[str, Any]) -> str:
    """The inputs as one text, field by field in the order of their names."""
    return "\n".join(_text(inputs[name]) for name in sorted(inputs))


def input_key(inputs: Mapping[str, Any]) -> str:
    """A digest that two examples share when their inputs are equal after `normal`."""
    return canonical.digest({name: normal(_text(value)) for name, value in inputs.items()})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical.dumps(canonical.plain(value))
