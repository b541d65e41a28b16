"""JSON that is sent: with half a character in it too, as a model that stops in the middle says."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import JSONResponse

__all__ = ["Json"]


class Json(JSONResponse):
    """A JSON answer; what has no form in UTF-8 is escaped.

    >>> Json({"a": "caf\\u00e9"}).body.decode(), Json({"a": "\\ud83d"}).body
    ('{"a":"café"}', b'{"a":"\\\\ud83d"}')
    """

    def render(self, content: Any) -> bytes:
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
