"""Parts of a message as wires spell them: text, data URIs, and what no wire of ours can carry."""

from __future__ import annotations

import base64
import json
from typing import Any

from dspy import lm15

__all__ = ["base64_of", "data_uri", "joined", "text_of", "tool_input", "unsupported"]


def unsupported(wire: str, what: str, instead: str) -> lm15.UnsupportedFeatureError:
    """The refusal of something that a program depends on and `wire` cannot carry."""
    return lm15.UnsupportedFeatureError(f"{wire}: {what} cannot be sent; {instead}")


def text_of(part: Any, wire: str) -> str:
    """A part as text: its text, or its data as compact JSON.

    >>> text_of(lm15.DataPart({"a": 1}), "openai-chat")
    '{"a":1}'
    """
    if part.type == "data":
        return json.dumps(part.value, separators=(",", ":"), ensure_ascii=False)
    if part.type in {"text", "refusal", "thinking"}:
        return str(part.text)
    raise unsupported(wire, f"a {part.type} part here", "only text fits this place")


def joined(content: Any, wire: str) -> str:
    """System content as one text.

    >>> joined((lm15.TextPart("a"), lm15.TextPart("b")), "openai-chat")
    'a\\nb'
    """
    return content if isinstance(content, str) else "\n".join(text_of(p, wire) for p in content)


def base64_of(part: Any) -> str:
    """The bytes of an inline or local medium in base64, without a `data:` prefix."""
    if part.data is not None and not part.data.startswith("data:"):
        return str(part.data)
    return base64.b64encode(part.bytes).decode("ascii")


def data_uri(part: Any) -> str:
    """A medium with its bytes in the address.

    >>> data_uri(lm15.ImagePart(data="aGk=", media_type="image/png"))
    'data:image/png;base64,aGk='
    """
    return f"data:{part.media_type};base64,{base64_of(part)}"


def tool_input(raw: Any) -> dict[str, Any]:
    """The input of a tool call from its JSON text; what does not parse is kept, and says so.

    >>> tool_input('{"city": "Bern"}'), tool_input('{"ci')
    ({'city': 'Bern'}, {'partial_json': '{"ci'})
    """
    if isinstance(raw, dict):
        return raw
    if not raw:
        return {}
    try:
        value = json.loads(raw)
    except ValueError:
        return {"partial_json": str(raw)}
    return value if isinstance(value, dict) else {"value": value}
