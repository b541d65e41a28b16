"""What a program may call: functions and MCP servers, as `dspy.Tool`s that answer in time."""

from __future__ import annotations

from .configured import configured
from .policy import Policy
from .result import ToolError, ToolResult
from .server import McpServer
from .tool import Tool, tool
from .turn import acall_all, call_all

__all__ = [
    "McpServer",
    "Policy",
    "Tool",
    "ToolError",
    "ToolResult",
    "acall_all",
    "call_all",
    "configured",
    "tool",
]
