"""What a program is asked on the command line: inputs as words or rows, checked, and answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ..runtime.load import Runtime

__all__ = ["Caller", "given_inputs"]


def given_inputs(items: Iterable[str]) -> dict[str, Any]:
    """The inputs in `key=text`, `key=@file` and `key:=json`."""
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.rstrip(":"):
            raise UsageError(f"{item!r}: expected key=text, key=@file or key:=json, or - alone")
        found[key.rstrip(":")] = _value(item, text, is_json=key.endswith(":"))
    return found


def _value(item: str, text: str, *, is_json: bool) -> Any:
    if is_json:
        try:
            return json.loads(text)
        except ValueError as error:
            raise UsageError(f"{item!r}: not JSON after := ({error})") from None
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{item!r}: {error}") from None
    return text


class Caller:
    """A runtime with its inputs checked and typed as its HTTP endpoint does it."""

    def __init__(self, runtime: Runtime) -> None:
        from ..runtime.http.schema import request_model

        self._runtime = runtime
        self.inputs = runtime.inputs
        self._model = request_model("Input", runtime.program, runtime.inputs, runtime.optional)

    def answer(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs for these inputs; `UsageError` names a wrong or missing one."""
        from pydantic import ValidationError

        from ..runtime.http.schema import answer_of

        try:
            body = self._model.model_validate(dict(given))
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
            )
            wanted = ", ".join(self.inputs)
            raise UsageError(f"{told}. The program takes {wanted}") from None
        return answer_of(
            self._runtime(**{name: getattr(body, name) for name in body.model_fields_set})
        )
