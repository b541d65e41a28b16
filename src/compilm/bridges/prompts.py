"""The text that a foreign program is handed: a `str` that knows where its values and demos go."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["DEMOS", "Prompt", "as_lines"]

DEMOS = "demos"
"""The name of the place for demonstrations: a text says `{demos}` where they are to stand."""

Told = Callable[[str, Mapping[str, Any], Mapping[str, Any]], None]


class Prompt(str):
    """A named text as it stands now, demonstrations in their place; any SDK takes it as a `str`.

    `format` puts values into their places, and `record` tells what came of the text where nobody
    could hear it. Copies are the prompt itself.

    >>> prompt = Prompt("answer", "Be brief.\\n{demos}\\nQ: {question}", "Q: 1+1?\\nA: 2")
    >>> print(prompt.format(question="2+2?"))
    Be brief.
    Q: 1+1?
    A: 2
    Q: 2+2?
    """

    name: str
    _template: str
    _shown: str
    _told: Told | None
    _values: Mapping[str, Any]

    def __new__(
        cls,
        name: str,
        template: str,
        shown: str = "",
        *,
        told: Told | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Prompt:
        self = super().__new__(cls, _filled(template, shown, values or {}))
        self.name, self._template, self._shown = name, template, shown
        self._told, self._values = told, values or {}
        if told is not None:
            told("issued", {"prompt": self}, self._values)
        return self

    def format(self, *args: object, **values: object) -> str:
        """The prompt with these values in the places that are named for them.

        A place that the text has lost (an optimizer wrote it anew) costs no value: it is added at
        the end, as a line with its name. Other braces stay as they are, so JSON needs no doubling.
        """
        if args:
            raise TypeError(f"the places of {self.name!r} have names: give values by keyword")
        return Prompt(
            self.name,
            self._template,
            self._shown,
            told=self._told,
            values={**self._values, **values},
        )

    def record(self, **values: Any) -> None:
        """Tell one use of this text: the values of its fields, what went in and what came out.

        Inputs that are left out are those of the program, or what `format` was given.
        """
        if self._told is not None:
            self._told("recorded", {"prompt": self}, values)

    @property
    def values(self) -> Mapping[str, Any]:
        """What `format` was given."""
        return self._values

    def __deepcopy__(self, memo: dict[int, Any]) -> Prompt:
        return self

    def __copy__(self) -> Prompt:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def as_lines(demos: Sequence[Mapping[str, Any]]) -> str:
    """Demonstrations as `name: value` lines, an empty line between two.

    >>> print(as_lines([{"question": "1+1?", "answer": 2}]))
    question: 1+1?
    answer: 2
    """
    return "\n\n".join(
        "\n".join(f"{name}: {_text(value)}" for name, value in demo.items()) for demo in demos
    )


def _filled(template: str, shown: str, values: Mapping[str, Any]) -> str:
    """The template with demos and values in place, each only once looked through for places."""
    places = {DEMOS: shown, **{name: _text(value) for name, value in values.items()}}
    pattern = "|".join(re.escape(f"{{{name}}}") for name in places)
    met: set[str] = set()

    def put(match: re.Match[str]) -> str:
        name = match[0][1:-1]
        met.add(name)
        return places[name]

    text = re.sub(pattern, put, template)
    lost = [f"{name}: {text}" for name, text in places.items() if name not in (*met, DEMOS)]
    examples = [f"Examples:\n\n{shown}"] if shown and DEMOS not in met else []
    # Where a question is part of the text, examples after it would be read as more of it.
    before, after = (examples, []) if values else ([], examples)
    return "\n\n".join([*before, text, *after, *(["\n".join(lost)] if lost else [])])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
