"""A real MCP server for tests, by the official SDK: some tools work, some do what tools do.

`python mcp_server.py` speaks over its standard streams; with a port, over HTTP on loopback.
`state` is a folder in which it counts what reached it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

STATE = Path(os.environ.get("STATE", "."))
READS = ToolAnnotations(read_only_hint=True)
server = MCPServer("claims", instructions="Claims of the desk.")


def note(what: str) -> int:
    """Count `what`; how often it has come."""
    file = STATE / what
    with file.open("a") as lines:
        lines.write(".")
    return file.stat().st_size


class Claim(BaseModel):
    """A claim."""

    number: int
    status: str


@server.tool(annotations=READS)
def lookup(number: Annotated[int, Field(description="the claim's number")]) -> Claim:
    """Find a claim by its number."""
    note("lookup")
    return Claim(number=number, status="open" if number % 2 else "paid")


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fails(reason: str = "no such claim") -> str:
    """Fail."""
    note("fails")
    raise ToolError(reason)


@server.tool()
async def hangs(context: Context) -> str:
    """Never answer; says how far it is, and notes that it was cancelled."""
    note("hangs")
    try:
        await context.report_progress(3, 10, "reading the archive")
        await anyio.sleep(3600)
    except anyio.get_cancelled_exc_class():
        note("cancelled")
        raise
    return "never"


@server.tool()
def dies() -> str:
    """End the server before it answers."""
    note("dies")
    os._exit(3)


@server.tool(annotations=READS)
def dies_once() -> str:
    """End the server the first time, answer the next."""
    if note("dies_once") == 1:
        os._exit(3)
    return "alive"


@server.tool()
def megabyte() -> str:
    """Return a million characters."""
    return "x" * 1_000_000


@server.tool(structured_output=False)
def picture() -> list[Any]:
    """Return a text and a picture."""
    return ["the scan", Image(data=b"\x89PNG" + b"0" * 96, format="png")]


@server.tool()
def setting() -> str:
    """Say what is in the environment."""
    return f"{os.environ.get('CLAIMS_SETTING')}, {os.environ.get('OTHER', 'no other')}"


@server.tool()
def pid() -> int:
    """Say which process this is."""
    return os.getpid()


@server.tool()
def who(context: Context) -> str:
    """Say who asks."""
    return (context.headers or {}).get("authorization", "nobody")


def extra() -> str:
    """A tool that comes later."""
    return "extra"


@server.tool()
async def grow(context: Context) -> str:
    """Add a tool to the server."""
    server.add_tool(extra)
    if (context.protocol_version or "") < "2026":
        await context.session.send_tool_list_changed()
    else:
        await context.notify_tools_changed()
    return "grown"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
