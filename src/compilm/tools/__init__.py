"""What a program may call: Python functions and MCP servers, as `dspy.Tool`s that answer in time."""
