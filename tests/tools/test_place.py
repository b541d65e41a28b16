"""Where an MCP server may be, and what reaches it."""

from __future__ import annotations

from typing import Any

import pytest

from compilm.errors import ConfigError, UsageError
from compilm.tools import McpServer
from compilm.tools.place import Place


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "either a command"),
        ({"command": ("a",), "url": "http://localhost/mcp"}, "either a command"),
        ({"url": "claims.internal"}, "is not understood"),
        ({"url": "ftp://localhost/mcp"}, "is not understood"),
        ({"url": "http://ann:secret@localhost/mcp"}, "holds it with key_env"),
        ({"url": "https://claims.example/mcp"}, "claims.example is another host"),
        ({"url": "http://localhost.example/mcp"}, "is another host"),
        ({"url": "http://10.0.0.7/mcp"}, "is another host"),
        ({"url": "http://claims.example/mcp", "remote": True, "key_env": "K"}, "only over https"),
        ({"command": ("a",), "key_env": "K"}, "key_env is for a url"),
    ],
)
def test_places_that_make_no_sense_or_are_elsewhere_are_refused(
    given: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Place("claims", **given)
    assert "secret@" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "a.localhost"])
def test_this_computer_needs_no_leave(host: str) -> None:
    assert Place("claims", url=f"http://{host}:80/mcp").where == f"http://{host}:80/mcp"


def test_another_host_is_asked_when_told() -> None:
    place = Place("claims", url="https://claims.example/mcp", remote=True, key_env="CLAIMS_KEY")
    assert place.headers({"CLAIMS_KEY": "abc"}) == {"Authorization": "Bearer abc"}
    with pytest.raises(ConfigError, match="CLAIMS_KEY is not set"):
        place.headers({})
    assert Place("claims", url="http://localhost/mcp").headers({}) == {}


def test_a_command_gets_the_variables_that_are_named() -> None:
    place = Place("claims", command=("a", "b"), env=("X", "Y"))
    assert place.variables({"X": "1", "Y": "2", "Z": "3"}) == {"X": "1", "Y": "2"}
    with pytest.raises(ConfigError, match="Y is not set"):
        place.variables({"X": "1"})


def test_a_command_in_one_text_is_refused() -> None:
    with pytest.raises(UsageError, match=r"give a list, as \['python', 'x.py'\]"):
        McpServer("claims", command="python x.py")
