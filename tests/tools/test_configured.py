"""MCP servers from `compilm.toml`, and what `compilm doctor` says of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from compilm.cli.main import main
from compilm.config import load_config
from compilm.errors import ConfigError
from compilm.tools import configured

from .conftest import SERVER

pytest.importorskip("mcp", reason="the extra mcp is not installed")
FILE = f"""
[tools.claims]
command = [{json.dumps(sys.executable)}, {json.dumps(str(SERVER))}]
env = ["STATE"]
only = ["lookup", "add"]
timeout = 60

[tools]
weather = "http://127.0.0.1:9/mcp"

[runtime]
tool_timeout = 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE", str(tmp_path))
    monkeypatch.delenv("COMPILM_DATA", raising=False)  # of these tests, and no key
    (tmp_path / "compilm.toml").write_text(FILE, "utf-8")
    return tmp_path


def test_a_section_is_a_server(folder: Path) -> None:
    with configured("claims") as server:
        assert [each.name for each in server.tools()] == ["lookup", "add"]
        assert (server.policy.timeout, server.place.cwd) == (60.0, str(folder))
        assert server.tools()[0](number=3) == {"number": 3, "status": "open"}
    assert configured("weather").policy.timeout == 4.0
    with pytest.raises(ConfigError, match=r"no \[tools.claim\] in .*; did you mean 'claims'"):
        configured("claim")


def test_flags_and_variables_reach_it_and_every_key_has_an_origin(folder: Path) -> None:
    env = {"COMPILM_TOOLS_WEATHER_KEY_ENV": "WEATHER_KEY", "COMPILM_TOOLS_CLAIMS_TIMEOUT": "7"}
    config = load_config(None, env=env, cwd=folder, settings=["tools.claims.log=log.txt"])
    assert config.tools["weather"].key_env == "WEATHER_KEY"
    assert config.tools["claims"].timeout == 7.0
    rows = {row.key: row.origin for row in config.describe()}
    assert rows["tools.claims.only"] == "compilm.toml:5"
    assert rows["tools.claims.timeout"] == "env COMPILM_TOOLS_CLAIMS_TIMEOUT"
    assert configured("claims", config).place.log == str(folder / "log.txt")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[tools.a]\ncomand = ['x']",
            "unknown key 'tools.a.comand'; did you mean 'tools.a.command'",
        ),
        ("[tools.a]\nurl = 'http://localhost/'\nremote = 'yes'", "expected true or false"),
        ("[tools.a]\nurl = 'http://localhost/'\napi_key = 'x'", "looks like a key"),
        ("tools = 3", r"expected a table, \[tools\]"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "compilm.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=told):
        load_config(tmp_path, env={}, cwd=tmp_path)


def test_doctor_asks_the_servers_of_this_computer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "compilm.toml").open("a") as file:
        file.write('[tools.far]\nurl = "https://far.example/mcp"\nremote = true\n')
        file.write('[tools.away]\nurl = "https://far.example/mcp"\n')
    assert main(["doctor", "--json"]) == 2
    found = {
        each["what"]: (each["sign"], each["text"])
        for each in json.loads(capsys.readouterr().out)["findings"]
    }
    assert found["tools.claims"] == ("ok", "lookup, add")
    assert found["tools.far"] == (
        "ok",
        "https://far.example/mcp: another host, not asked by doctor",
    )
    assert found["tools.weather"][0] == "xx"
    assert "cannot be reached" in found["tools.weather"][1]
    assert "say remote = true" in found["tools.away"][1]
