"""What an MCP server answered, as a value for a program and a model."""

from __future__ import annotations

from typing import Any

from .failures import ToolSaidNo

__all__ = ["value_of"]


def value_of(result: Any) -> Any:
    """The structured content where there is some, else the texts; raises `ToolSaidNo` on an error.

    Media are told, not shown: a model that reads text can do nothing with them. The SDK wraps
    what is no object in `{"result": …}`; that is taken off.
    """
    if result.is_error:
        raise ToolSaidNo(_texts(result.content) or "the tool failed and does not say why")
    value = result.structured_content
    if value is None:
        return _texts(result.content)
    return value["result"] if isinstance(value, dict) and set(value) == {"result"} else value


def _texts(content: Any) -> str:
    return "\n".join(_text(part) for part in content)


def _text(part: Any) -> str:
    if part.type == "text":
        return str(part.text)
    if part.type in ("image", "audio"):
        return f"[{part.type}: {part.mime_type}, {_bytes(part.data):,} bytes, not shown]"
    if part.type == "resource_link":
        return f"[resource: {part.name}, {part.uri}]"
    resource = getattr(part, "resource", None)
    if (text := getattr(resource, "text", None)) is not None:
        return str(text)
    blob = getattr(resource, "blob", "")
    return f"[resource: {getattr(resource, 'uri', part.type)}, {_bytes(blob):,} bytes, not shown]"


def _bytes(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")
