"""A configuration says one thing for each key, where it came from, and what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.config import (
    Config,
    RuntimeSettings,
    SplitSettings,
    find_file,
    load_config,
    parse_budget,
)
from compilm.config.values import KEYS, ROLE_KEYS
from compilm.errors import ConfigError

WHOLE = """\
program = "desk.py:Desk"
metric = "exact(team)"
args = { k = 5 }

[data]
path = "rows.jsonl"
inputs = ["message"]
id = "id"
group = "thread"
labels = { team = ["orders", "returns"] }
split = { train = 0.5, val = 0.25, test = 0.25, seed = 3 }

[lm.default]
model = ["anthropic/a", "openai/b"]
temperature = 0.5
max_tokens = 200
key_env = "MY_VARIABLE"

[lm]
proposer = "openai/big"

[compile]
level = 1
budget = { rollouts = 100, usd = 2.5 }
freeze = ["judge"]
out = "build/desk"

[gate]
fail_under = 0.75

[track]
mlflow = "sqlite:///mlflow.db"
"""


def load(
    folder: Path,
    text: str | None = None,
    *,
    name: str = "compilm.toml",
    env: dict[str, str] | None = None,
    flags: dict[str, Any] | None = None,
    settings: tuple[str, ...] = (),
    target: str | None = None,
) -> Config:
    """The configuration of a folder that holds this file and the root of its repository."""
    (folder / ".git").mkdir(exist_ok=True)
    if text is not None:
        (folder / name).write_text(text)
    return load_config(
        None, target=target, flags=flags or {}, env=env or {}, cwd=folder, settings=settings
    )


def refused(folder: Path, text: str | None = None, **more: Any) -> str:
    """The message of the `ConfigError`."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **more)
    return str(caught.value)


def test_the_runtime_and_the_engine_of_a_role_are_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [lm.default]
        model = ["a/b", "c/d"]
        base_url = ["http://a", "http://c"]
        engine = "lean"
        api = ["responses", "messages"]
        order = "latency"
        [runtime]
        timeout = 5
        deadline = 9.5
        attempts = 2
        breaker = 3
        tokens_per_minute = 7
        resume = true
        hedge = 2.5
        """,
        env={"COMPILM_RUNTIME_REQUESTS_PER_MINUTE": "60", "COMPILM_LM_DEFAULT_KEY_ENV": "MY_KEY"},
    )
    assert config.runtime == RuntimeSettings(32, 5.0, 9.5, 2, 3, 60.0, 7.0, resume=True, hedge=2.5)
    assert config.lm["default"].base_url == ("http://a", "http://c")
    assert (config.lm["default"].key_env, config.lm["default"].engine) == ("MY_KEY", "lean")
    assert config.lm["default"].api == ("responses", "messages")
    assert config.lm["default"].order == "latency"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'runtime.hedge = "often"',
            'expected "auto", "never" or a finite number from 0.001 to 86400',
        ),
        ("runtime.timeouts = 3", "unknown key 'runtime.timeouts'; did you mean 'runtime.timeout'"),
        ("compile.constraints.show_val = 0", "expected true or false"),
        ("runtime.timeout = 0", "runtime.timeout is 0; expected"),
        ("runtime.attempts = 0", "runtime.attempts is 0; expected"),
        ('runtime.cache = "disk"', "expected one of none, memory, sqlite, redis"),
        ('runtime.redis_url = "http://a"', "runtime.redis_url: expected redis://HOST:PORT/DB"),
        ("runtime.redis_url = 3", "runtime.redis_url: expected redis://HOST:PORT/DB"),
        ('runtime.rendering = "never"', "expected one of ahead, call"),
        ("runtime.cache_ttl = 0", "runtime.cache_ttl is 0; expected"),
        ("runtime.requests_per_minute = -1", "runtime.requests_per_minute is -1; expected"),
        ('lm.default.engine = "litellm"', "expected one of dspy, lean, sdk"),
        ('lm.default.order = "luck"', "expected one of given, cost, latency"),
        ("lm.default.base_url = 3", "one text for each model"),
        (
            'lm.default.api = ["chat", "rest"]',
            "expected one of chat, responses, messages, or a list",
        ),
    ],
)
def test_a_runtime_that_makes_no_sense_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert told in refused(tmp_path, text)


def test_a_cache_without_a_path_lies_beside_the_configuration(tmp_path: Path) -> None:
    config = load(tmp_path, '[runtime]\ncache = "sqlite"\ncache_ttl = 60')
    assert config.runtime.cache_path == str(tmp_path / ".compilm" / "cache.db")
    assert config.runtime.cache_ttl == 60.0
    config = load(tmp_path, '[runtime]\ncache = "sqlite"\ncache_path = "kept/here"')
    assert config.runtime.cache_path == str(tmp_path / "kept" / "here")
    assert load(tmp_path, "[runtime]\ncache_ttl = 60").runtime.cache_path is None


def test_every_key_of_the_file_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    assert (config.program, config.metric, config.args) == (
        "desk.py:Desk",
        "exact(team)",
        {"k": 5},
    )
    assert config.data.path == str(tmp_path / "rows.jsonl")
    assert config.data.inputs == ("message",)
    assert config.data.labels == {"team": ("orders", "returns")}
    assert config.data.split == SplitSettings(0.5, 0.25, 0.25, 3)
    assert config.lm["default"].model == ("anthropic/a", "openai/b")
    assert config.lm["default"].temperature == 0.5
    assert config.lm["default"].key_env == "MY_VARIABLE"
    assert config.lm["proposer"].model == ("openai/big",)
    assert config.compile.budget == {"rollouts": 100, "usd": 2.5}
    assert config.compile.out == str(tmp_path / "build/desk")
    assert (config.compile.level, config.compile.freeze) == (1, ("judge",))
    assert config.gate.fail_under == 0.75
    assert config.track.mlflow == "sqlite:///mlflow.db"
    assert (config.folder, config.target) == (tmp_path, None)


def test_nothing_configured_gives_the_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.file, config.program, config.lm) == (None, None, {})
    assert (config.compile.level, config.compile.seed, config.compile.concurrency) == (2, 0, 32)
    assert {row.origin for row in config.describe()} == {"default"}


class TestPrecedence:
    TEXT = "[compile]\nseed = 1\n"

    def test_a_flag_wins_over_everything(self, tmp_path: Path) -> None:
        config = load(
            tmp_path,
            self.TEXT,
            env={"COMPILM_COMPILE_SEED": "2"},
            flags={"compile.seed": 4},
            settings=("compile.seed=3",),
        )
        assert (config.compile.seed, config.origin("compile.seed")) == (4, "flag --seed")

    def test_set_wins_over_the_environment(self, tmp_path: Path) -> None:
        env = {"COMPILM_COMPILE_SEED": "2"}
        config = load(tmp_path, self.TEXT, env=env, settings=("compile.seed=3",))
        assert config.compile.seed == 3
        assert config.origin("compile.seed") == "flag --set compile.seed"

    def test_the_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        config = load(tmp_path, self.TEXT, env={"COMPILM_COMPILE_SEED": "2"})
        assert config.compile.seed == 2
        assert config.origin("compile.seed") == "env COMPILM_COMPILE_SEED"

    def test_the_file_wins_over_the_default(self, tmp_path: Path) -> None:
        config = load(tmp_path, self.TEXT)
        assert (config.compile.seed, config.origin("compile.seed")) == (1, "compilm.toml:2")

    def test_what_is_not_given_changes_nothing(self, tmp_path: Path) -> None:
        env = {"COMPILM_COMPILE_SEED": ""}
        assert load(tmp_path, self.TEXT, env=env, flags={"compile.seed": None}).compile.seed == 1

    def test_an_optimizer_on_the_command_line_replaces_the_files_level(
        self, tmp_path: Path
    ) -> None:
        config = load(tmp_path, "compile.level = 1\n", flags={"compile.optimizer": "dspy.COPRO"})
        assert (config.compile.level, config.compile.optimizer) == (None, "dspy.COPRO")

    def test_a_level_on_the_command_line_replaces_the_files_optimizer(self, tmp_path: Path) -> None:
        config = load(tmp_path, 'compile.optimizer = "dspy.COPRO"\n', flags={"compile.level": 3})
        assert (config.compile.level, config.compile.optimizer) == (3, None)
        assert config.origin("compile.level") == "flag -O"

    def test_options_go_with_the_optimizer_they_belong_to(self, tmp_path: Path) -> None:
        file = '[compile]\noptimizer = "dspy.COPRO"\n[compile.optimizer_options]\nbreadth = 5\n'
        assert load(tmp_path, file).compile.optimizer_options == {"breadth": 5}
        for other in ({"compile.optimizer": "dspy.GEPA"}, {"compile.level": 1}):
            assert load(tmp_path, file, flags=other).compile.optimizer_options == {}
        flags = {
            "compile.optimizer": "dspy.GEPA",
            "compile.optimizer_options": "{ auto = 'light' }",
        }
        assert load(tmp_path, file, flags=flags).compile.optimizer_options == {"auto": "light"}

    def test_options_are_a_table(self, tmp_path: Path) -> None:
        message = refused(tmp_path, '[compile]\noptimizer = "dspy.COPRO"\noptimizer_options = 3\n')
        assert "compile.optimizer_options is 3; expected a table" in message

    def test_level_and_optimizer_in_one_file_are_refused(self, tmp_path: Path) -> None:
        message = refused(tmp_path, '[compile]\nlevel = 1\noptimizer = "dspy.COPRO"\n')
        assert "compile.level and compile.optimizer exclude each other" in message


class TestEnvironment:
    def test_a_role_is_reached(self, tmp_path: Path) -> None:
        env = {"COMPILM_LM_DEFAULT_MODEL": "openai/x", "COMPILM_LM_DEFAULT_MAX_TOKENS": "9"}
        role = load(tmp_path, env=env).lm["default"]
        assert (role.model, role.max_tokens) == (("openai/x",), 9)

    def test_values_are_read_as_toml_or_as_text(self, tmp_path: Path) -> None:
        env = {
            "COMPILM_DATA_INPUTS": '["a", "b"]',
            "COMPILM_COMPILE_FREEZE": "judge, rank",
            "COMPILM_COMPILE_BUDGET": "{ calls = 3 }",
            "COMPILM_PROGRAM": "2.py:Two",
        }
        config = load(tmp_path, env=env)
        assert config.data.inputs == ("a", "b")
        assert config.compile.freeze == ("judge", "rank")
        assert config.compile.budget == {"calls": 3}
        assert config.program == "2.py:Two"

    def test_a_misspelled_variable_of_ours_is_refused(self, tmp_path: Path) -> None:
        message = refused(tmp_path, env={"COMPILM_COMPILE_SEDE": "1"})
        assert "env COMPILM_COMPILE_SEDE" in message
        assert "'compile.seed'" in message
        assert "program" in refused(tmp_path, env={"COMPILM_PROGAM": "a:b"})
        assert "lm.default" in refused(tmp_path, env={"COMPILM_LM_DEFAULT": "m"})

    def test_variables_of_others_are_left_alone(self, tmp_path: Path) -> None:
        assert load(tmp_path, env={"COMPILM_HOME": "/x", "PATH": "/bin"}).origins == {}

    def test_file_and_target_can_be_named(self, tmp_path: Path) -> None:
        (tmp_path / "other.toml").write_text('[target.a]\nprogram = "a:b"\n[target.c]\n')
        env = {"COMPILM_CONFIG": "other.toml", "COMPILM_TARGET": "a"}
        config = load(tmp_path, env=env)
        assert (config.program, config.target, config.targets) == ("a:b", "a", ("a", "c"))


class TestDiscovery:
    def test_a_folder_above_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "compilm.toml").write_text('data.path = "rows.csv"\n')
        below = tmp_path / "src" / "deep"
        below.mkdir(parents=True)
        config = load_config(None, env={}, cwd=below, flags={"compile.out": "build"})
        assert config.data.path == str(tmp_path / "rows.csv")
        assert config.compile.out == str(below / "build")
        assert config.base("data.path") == tmp_path
        assert config.base("compile.out") == below

    def test_the_root_of_the_repository_ends_the_search(self, tmp_path: Path) -> None:
        (tmp_path / "compilm.toml").write_text("")
        inside = tmp_path / "repository"
        (inside / ".git").mkdir(parents=True)
        assert find_file(inside) is None

    def test_pyproject_is_read_where_it_has_our_table(self, tmp_path: Path) -> None:
        text = '[project]\nname = "x"\n\n[tool.compilm.compile]\nseed = 5\n'
        config = load(tmp_path, text, name="pyproject.toml")
        assert (config.compile.seed, config.origin("compile.seed")) == (5, "pyproject.toml:5")

    def test_pyproject_without_our_table_is_passed_over(self, tmp_path: Path) -> None:
        assert load(tmp_path, "[project]\n", name="pyproject.toml").file is None

    def test_compilm_toml_comes_before_pyproject(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.compilm.compile]\nseed = 5\n")
        assert load(tmp_path, "[compile]\nseed = 6\n").compile.seed == 6

    def test_a_folder_can_be_named(self, tmp_path: Path) -> None:
        (tmp_path / "compilm.toml").write_text("compile.seed = 8\n")
        assert load_config(tmp_path, env={}, cwd=Path("/")).compile.seed == 8

    def test_a_named_file_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot read"):
            load_config("missing.toml", env={}, cwd=tmp_path)

    def test_a_named_pyproject_must_have_our_table(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("")
        with pytest.raises(ConfigError, match=r"no \[tool\.compilm\]"):
            load_config("pyproject.toml", env={}, cwd=tmp_path)

    def test_a_hub_name_is_not_made_a_path(self, tmp_path: Path) -> None:
        assert load(tmp_path, 'data.path = "org/name"\n').data.path == "org/name"
        assert load(tmp_path, 'data.path = "rows/a.csv"\n').data.path == str(
            tmp_path / "rows/a.csv"
        )


class TestTargets:
    TEXT = """\
metric = "exact(a)"
[compile]
seed = 1
budget = { calls = 5 }
[target.one]
program = "one:One"
[target.two]
program = "two:Two"
[target.two.compile]
seed = 2
"""

    def test_a_target_overrides_the_shared_keys_and_inherits_the_rest(self, tmp_path: Path) -> None:
        config = load(tmp_path, self.TEXT, target="two")
        assert (config.program, config.metric) == ("two:Two", "exact(a)")
        assert (config.compile.seed, config.compile.budget) == (2, {"calls": 5})
        assert config.origin("compile.seed") == "compilm.toml:10"
        assert config.origin("metric") == "compilm.toml:1"

    def test_none_is_chosen_among_several(self, tmp_path: Path) -> None:
        config = load(tmp_path, self.TEXT)
        assert (config.target, config.program, config.targets) == (None, None, ("one", "two"))

    def test_the_only_one_is_chosen(self, tmp_path: Path) -> None:
        assert load(tmp_path, '[target.one]\nprogram = "one:One"\n').target == "one"

    def test_an_unknown_one_is_refused_with_the_known(self, tmp_path: Path) -> None:
        message = refused(tmp_path, self.TEXT, target="three")
        assert "no [target.three]" in message
        assert "one, two" in message

    def test_one_without_any_file_is_refused(self, tmp_path: Path) -> None:
        assert "needs a compilm.toml" in refused(tmp_path, target="one")

    def test_they_are_tables(self, tmp_path: Path) -> None:
        assert "[target.NAME]" in refused(tmp_path, "target = 3\n")


class TestMessages:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("[compile]\nsede = 1\n", "compilm.toml:2: unknown key 'compile.sede'"),
            ("[compile]\nsede = 1\n", "did you mean 'compile.seed'?"),
            ("seed = 1\n", "did you mean 'compile.seed'?"),
            ("[lm.default]\nmodle = 'm'\n", "did you mean 'lm.default.model'?"),
            ("qqq = 1\n", "known are program"),
            (
                "[compile]\nseed = 'a'\n",
                "compilm.toml:2: compile.seed is 'a'; expected a whole num",
            ),
            ("compile.seed = true\n", "expected a whole number of at least 0"),
            ("compile.level = 4\n", "expected a whole number from 0 to 3"),
            ("compile.concurrency = 0\n", "from 1 to 4096"),
            ("gate.fail_under = 'x'\n", "expected a finite number"),
            ("gate.fail_under = nan\n", "expected a finite number"),
            ("gate.fail_under = inf\n", "expected a finite number"),
            ("gate.max_regression = -1\n", "expected a finite number of at least 0"),
            ("program = 3\n", "expected a text that is not empty"),
            ("program = ' '\n", "expected a text that is not empty"),
            ("data.inputs = [1]\n", 'expected a list of texts, as ["a", "b"]'),
            ("data.inputs = ['']\n", "expected a list of texts"),
            ("args = 3\n", "expected a table"),
            ("data.labels = ['a']\n", "expected allowed values by field"),
            ("compile = 3\n", "compilm.toml:1: compile is 3; expected a table, [compile]"),
            ("data.split = { train = 0.5 }\n", "shares that sum to 1"),
            ("data.split = { train = 0.5, dev = 0.5 }\n", "shares that sum to 1"),
            ("data.split = { val = 0.5, test = 0.5 }\n", "shares that sum to 1"),
            ("data.split = 3\n", "shares that sum to 1"),
            ("data.split = { train = 2.0, val = -1.0 }\n", "expected a finite number from 0 to 1"),
            ("compile.budget = 3\n", "rollouts = 1000"),
            ("compile.budget = { euro = 3 }\n", "rollouts = 1000"),
            ("compile.budget = { calls = true }\n", "rollouts = 1000"),
            ("compile.budget = { calls = 0 }\n", "calls must be above 0"),
            ("compile.budget = { calls = 1.5 }\n", "counted in whole numbers"),
            ("compile.budget = '3 euro'\n", "'3euro' is not understood"),
            ("compile.budget = '3calls,4calls'\n", "names calls twice"),
            ("data.path = 'a'\ndata.train = 'b'\n", "data.path and data.train exclude each other"),
            ("a = = b\n", "compilm.toml is not valid TOML"),
        ],
    )
    def test_say_where_what_and_what_is_expected(
        self, tmp_path: Path, text: str, expected: str
    ) -> None:
        assert expected in refused(tmp_path, text)

    def test_name_the_flag(self, tmp_path: Path) -> None:
        message = refused(tmp_path, flags={"compile.budget": "3pounds"})
        assert message.startswith("flag --budget: compile.budget")

    def test_name_the_setting(self, tmp_path: Path) -> None:
        assert "expected key=value" in refused(tmp_path, settings=("compile.seed",))
        message = refused(tmp_path, settings=("compile.sed=1",))
        assert message.startswith("flag --set compile.sed: unknown key")


class TestSecrets:
    VALUE = "sk-" + "ab12" * 8

    @pytest.mark.parametrize(
        "text",
        [
            "[lm.default]\nmodel = 'm'\napi_key = 'short'\n",
            f"args = {{ key = '{VALUE}' }}\n",
            f"args = {{ deep = [{{ x = '{VALUE}' }}] }}\n",
            "args = { password = 'abc' }\n",
            "[lm.default]\ntoken = 'abc'\n",
            f"[target.a]\nprogram = '{VALUE}'\n",
        ],
    )
    def test_are_refused_and_never_repeated(self, tmp_path: Path, text: str) -> None:
        message = refused(tmp_path, text)
        assert "Keys come only from the environment" in message
        assert self.VALUE not in message
        assert "abc" not in message

    def test_are_refused_in_flags_and_variables_too(self, tmp_path: Path) -> None:
        message = refused(tmp_path, env={"COMPILM_LM_DEFAULT_MODEL": self.VALUE})
        assert "Keys come only from the environment" in message
        assert self.VALUE not in message

    @pytest.mark.parametrize(
        "text", ["hf_" + "a1" * 15, "AIza" + "b2" * 16, "Bearer abc", "AKIA" + "A1" * 8]
    )
    def test_of_every_usual_form_are_refused(self, tmp_path: Path, text: str) -> None:
        assert "Keys come only" in refused(tmp_path, f"args = {{ x = '{text}' }}\n")

    @pytest.mark.parametrize("text", ["key_customer_number_2024", "hf_banking77_train_rows_2024"])
    def test_are_not_seen_in_common_names(self, tmp_path: Path, text: str) -> None:
        assert load(tmp_path, f"data.id = '{text}'\n").data.id == text

    def test_max_tokens_is_none(self, tmp_path: Path) -> None:
        role = load(tmp_path, "[lm.a]\nmodel = 'openai/gpt-5'\nmax_tokens = 3\n").lm["a"]
        assert role.max_tokens == 3


class TestBudget:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1000rollouts", {"rollouts": 1000}),
            ("1_000 rollouts", {"rollouts": 1000}),
            ("1 rollout", {"rollouts": 1}),
            ("2usd", {"usd": 2.0}),
            ("$2.50", {"usd": 2.5}),
            ("2000calls,5000TOKENS", {"calls": 2000, "tokens": 5000}),
            ("90s", {"seconds": 90.0}),
            ("20m", {"seconds": 1200.0}),
            ("1h30m", {"seconds": 5400.0}),
            ("45 seconds", {"seconds": 45.0}),
        ],
    )
    def test_is_read_from_text(self, text: str, expected: dict[str, float]) -> None:
        assert parse_budget(text) == expected

    @pytest.mark.parametrize("text", ["", "3", "calls", "1.5calls", "-3calls", "0calls", "1m,2h"])
    def test_what_means_nothing_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError):
            parse_budget(text)

    @given(
        st.dictionaries(
            st.sampled_from(["rollouts", "calls", "tokens"]), st.integers(1, 10**9), min_size=1
        )
    )
    def test_what_is_written_is_what_is_read(self, budget: dict[str, int]) -> None:
        assert parse_budget(",".join(f"{n}{unit}" for unit, n in budget.items())) == budget


def test_every_key_is_described_once_with_its_origin(tmp_path: Path) -> None:
    rows = load(tmp_path, WHOLE).describe()
    keys = [row.key for row in rows]
    roles = {f"lm.{role}.{key}" for role in ("default", "proposer") for key in ROLE_KEYS}
    assert len(keys) == len(set(keys))
    assert set(keys) == set(KEYS) | roles
    assert {row.key: row.origin for row in rows}["data.group"] == "compilm.toml:9"


def test_reading_a_configuration_imports_nothing_heavy() -> None:
    code = "import sys, compilm.config; print('dspy' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
