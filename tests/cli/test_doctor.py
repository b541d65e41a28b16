"""`compilm doctor` names what is wrong with an installation, and never shows a key."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from compilm.cli import doctor
from compilm.config import Config

SECRET = "sk-" + "0a" * 16


@pytest.fixture
def keyless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any provider's key."""
    import os

    for name in list(os.environ):
        if doctor._KEY_NAMES.fullmatch(name):
            monkeypatch.delenv(name)
    return folder


def versions(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    """Let these distributions have these versions, or none."""
    real = metadata.version

    def version(name: str) -> str:
        found = changed[name] if name in changed else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)


def found(command: Command) -> dict[str, list[tuple[str, str]]]:
    """The findings by what was looked at."""
    by: dict[str, list[tuple[str, str]]] = {}
    for one in command("doctor", "--json").json["findings"]:
        by.setdefault(one["what"], []).append((one["sign"], one["text"]))
    return by


def test_this_installation_is_sound(keyless: Path, command: Command) -> None:
    done = command("doctor")
    assert done.code == 0
    assert "embedded" in done.out
    assert "xx" not in {line[:2] for line in done.out.splitlines()}


def test_keys_are_named_and_never_shown(
    keyless: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(command)["keys"][0][0] == "!!"
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("MY_OWN", SECRET)
    (keyless / "compilm.toml").write_text(
        "[lm.default]\nmodel = 'm'\nkey_env = 'MY_OWN'\n"
        "[lm.judge]\nmodel = 'j'\nkey_env = 'NOT_SET'\n"
    )
    done = command("doctor")
    assert "OPENAI_API_KEY, MY_OWN" in done.out
    assert "NOT_SET is named in the configuration and not set" in done.out
    assert SECRET not in done.out + done.err
    assert done.code == 2


@pytest.mark.parametrize(
    ("changed", "what", "sign", "told"),
    [
        ({"openai": "3.1.0", "litellm": "1.0"}, "openai", "xx", "openai>=2.20,<3"),
        ({"mlflow-skinny": "3.1.0"}, "mlflow", "xx", "must be equal"),
        ({"diskcache": "5.6.3"}, "diskcache", "!!", "CVE-2025-69872"),
        ({"dspy": "3.5.0"}, "dspy", "xx", "dspy>=3.4,<3.5"),
        ({"rich": None}, "rich", "xx", "not installed"),
        ({"faiss-cpu": None}, "[faiss]", "!!", "compilm[faiss]"),
        ({"litellm": "1.0"}, "litellm", "!!", "LITELLM_LOCAL_MODEL_COST_MAP"),
    ],
)
def test_known_trouble_is_named(
    keyless: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str | None],
    what: str,
    sign: str,
    told: str,
) -> None:
    monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP", raising=False)
    versions(monkeypatch, **changed)
    last_sign, last_told = found(command)[what][-1]
    assert (last_sign, told in last_told) == (sign, True)


def test_what_is_not_installed_is_no_trouble(
    keyless: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("diskcache", "litellm", "mlflow", "mlflow-skinny", "mlflow-tracing")
    versions(monkeypatch, **dict.fromkeys(names))
    assert not {"diskcache", "litellm", "mlflow"} & set(found(command))


def test_a_python_that_was_not_tested_is_told(
    keyless: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 15, 0))
    assert next(doctor._python(Config())).sign == "!!"


def test_the_configuration_is_named(keyless: Path, command: Command) -> None:
    assert found(command)["config"][0][0] == "!!"
    (keyless / "compilm.toml").write_text("")
    assert found(command)["config"] == [("ok", "compilm.toml")]


CHAIN = """
[lm.default]
model = ["openai/a", "anthropic/b"]
engine = "lean"
[lm.judge]
model = "openai/c"
key_env = "JUDGE_KEY"
[lm.small]
model = "embedded/base"
[runtime]
deadline = 7
attempts = 2
"""


def test_the_stack_of_each_role_is_told_as_it_is_built(keyless: Path, command: Command) -> None:
    (keyless / "compilm.toml").write_text(CHAIN)
    told = found(command)
    assert [text.split()[0] for _, text in told["lm.default"]] == [
        "deadline", "coalesce", "retry", "fallback", "hedge",
        *["breaker", "limiter", "timeout", "price", "provider"] * 2,
    ]  # fmt: skip
    assert ("ok", "deadline   7 s for a call in all") in told["lm.default"]
    assert ("ok", "provider   2. anthropic/b by lean") in told["lm.default"]
    assert "lm.judge" not in told  # its key is missing, and that is told
    assert "lm.small" not in told  # in this process, with nothing between


def test_a_price_is_told_and_an_unknown_one_is_marked(keyless: Path, command: Command) -> None:
    chain = 'lm.default.model = ["openai/gpt-5-mini", "openai/unheard-of"]\n'
    (keyless / "compilm.toml").write_text(f"{chain}runtime.prompt_cache = true")
    told = [(sign, text) for sign, text in found(command)["lm.default"] if "price " in text]
    (known, dollars), (unknown, said) = told
    assert (known, "1. $0.25 in, $2 out for 1,000,000 tokens" in dollars) == ("ok", True)
    assert (unknown, '[prices."openai/unheard-of"] gives one' in said) == ("!!", True)
    given = '[prices."openai/unheard-of"]\ninput = 1\noutput = 3\n'
    (keyless / "compilm.toml").write_text(chain + given)
    assert ("ok", "price      2. $1 in, $3 out for 1,000,000 tokens (given)") in (
        found(command)["lm.default"]
    )


def test_a_budget_is_told_and_one_that_cannot_be_kept_is_an_error(
    keyless: Path, command: Command
) -> None:
    budget = "[runtime]\nbudget = { usd_per_day = 20, tokens_per_call = 9000 }\n"
    budget += "tenant_budget = { calls_per_day = 100 }\n"
    (keyless / "compilm.toml").write_text(f'lm.default.model = "openai/gpt-5-mini"\n{budget}')
    wanted = "budget     $20 a day, 9,000 tokens a call; 100 calls a day and tenant"
    assert found(command)["lm.default"][0] == ("ok", wanted)
    (keyless / "compilm.toml").write_text(f'lm.default.model = "openai/unheard-of"\n{budget}')
    ((sign, text),) = found(command)["lm.default"]
    assert (sign, "there is a budget in usd, and the price of" in text) == ("xx", True)
    (keyless / "compilm.toml").write_text("runtime.budget = { usd_per_week = 3 }")
    done = command("doctor")
    assert (done.code, "expected a table of calls_per_day" in done.err) == (2, True)


def test_a_cache_is_told_and_not_made_and_a_file_that_is_none_is_told(
    keyless: Path, command: Command
) -> None:
    (keyless / "compilm.toml").write_text('lm.default.model = "openai/a"\nruntime.cache="sqlite"')
    path = keyless / ".compilm" / "cache.db"
    sign, text = found(command)["lm.default"][0]
    assert (sign, text) == ("ok", f"cache      an answer serves for 86400 s, in {path}")
    assert not path.exists()
    path.parent.mkdir(exist_ok=True)
    path.write_text("no database at all, and long enough to look at " * 9)
    ((sign, text),) = found(command)["lm.default"]
    assert (sign, "is not a cache" in text) == ("xx", True)


def test_a_redis_is_told_by_its_place_and_not_asked(
    keyless: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_WORD", SECRET)
    address = 'runtime.redis_url = "redis://127.0.0.1:1/0"\n'
    kept = f'runtime.cache = "redis"\n{address}runtime.redis_password_env = "REDIS_WORD"\n'
    (keyless / "compilm.toml").write_text(f'{kept}lm.default.model = "openai/a"\n')
    done = command("doctor")
    assert "cache      an answer serves for 86400 s, in Redis at 127.0.0.1:1/0" in done.out
    assert SECRET not in done.out + done.err
    monkeypatch.delenv("REDIS_WORD")
    ((sign, text),) = found(command)["lm.default"]
    assert (sign, "'REDIS_WORD', which is not set" in text) == ("xx", True)


def test_a_role_that_cannot_be_built_is_told(keyless: Path, command: Command) -> None:
    (keyless / "compilm.toml").write_text('[lm.default]\nmodel = ["openai/a", "embedded/base"]')
    ((sign, text),) = found(command)["lm.default"]
    assert (sign, "in a chain" in text) == ("xx", True)


def test_a_journal_that_cannot_be_written_is_told(keyless: Path, command: Command) -> None:
    (keyless / "file").write_text("")
    done = command("doctor", "--set", "compile.journal=file/run.db")
    assert (done.code, "set compile.journal" in done.out) == (2, True)


def test_an_engine_that_fails_is_told(
    keyless: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dspy

    class Broken:
        """Stands for an LM that was configured and cannot answer."""

        model = "broken"

        def __call__(self, *_: object, **__: object) -> None:
            raise RuntimeError("out of order")

    monkeypatch.setattr("compilm.assemble.default_lm", Broken)
    with dspy.context(lm=None):
        assert found(command)["embedded"][0][0] == "xx"


def test_a_long_name_stands_apart_from_what_is_told(keyless: Path, command: Command) -> None:
    (keyless / "compilm.toml").write_text('[tools.claims]\ncommand = ["no-such-program"]\n')
    assert "tools.claims " in command("doctor").out
