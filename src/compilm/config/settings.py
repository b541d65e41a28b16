"""What a configuration says, as frozen values: one `Config` for one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

__all__ = [
    "CompileSettings",
    "Config",
    "DataSettings",
    "GateSettings",
    "Hedging",
    "RoleSettings",
    "Row",
    "RuntimeSettings",
    "SplitSettings",
    "ToolSettings",
    "TrackSettings",
]

Hedging: TypeAlias = float | Literal["auto", "never"]
"""When a model is late: after so many seconds, when it takes longer than usual, or never."""

_ABOUT = ("file", "folder", "cwd", "target", "targets", "origins")


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """How one role is answered: its models in order of fallback, and how to ask them.

    `key_env` names the environment variable that holds the key; the key itself is never kept.
    `base_url`, `key_env` and `api` are one text, or one for each model. `engine` is what asks:
    `dspy`, `lean` or `sdk`. `api` is what it speaks where a provider has several: `chat` or
    `responses`, of OpenAI. `order` is which model of a chain is asked first: as `given`, or by
    `cost` or `latency`.
    """

    model: tuple[str, ...] = ()
    base_url: str | tuple[str, ...] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    key_env: str | tuple[str, ...] | None = None
    engine: str = "dspy"
    api: str | tuple[str, ...] | None = None
    order: str = "given"


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """An MCP server: a `command` that is started, or a `url` that is asked.

    `env` names the variables that the command gets; `key_env` the one with the bearer token of a
    `url`. Another host is asked only with `remote`. `only` names the tools that are taken,
    `idempotent` those that may be called again, `timeout` is seconds a call, `log` the file for
    what the command complains of.
    """

    command: tuple[str, ...] = ()
    url: str | None = None
    env: tuple[str, ...] = ()
    key_env: str | None = None
    cwd: str | None = None
    log: str | None = None
    remote: bool = False
    only: tuple[str, ...] | None = None
    idempotent: tuple[str, ...] | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Shares of the rows for train, val and test, which sum to 1, and the seed."""

    train: float = 0.4
    val: float = 0.3
    test: float = 0.3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where the examples are: one file that is split, or one file per split.

    `labels` lists the values that a field may take, by field; `limit` reads the first rows only.
    """

    path: str | None = None
    limit: int | None = None
    inputs: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    id: str | None = None
    group: str | None = None
    stratify: str | None = None
    split: SplitSettings | None = None
    train: str | None = None
    val: str | None = None
    test: str | None = None


@dataclass(frozen=True, slots=True)
class CompileSettings:
    """What a compile does: `level` 0 to 3, or an `optimizer` with its options (`level` is None)."""

    level: int | None = None
    optimizer: str | None = None
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    freeze: tuple[str, ...] = ()
    constraints: Mapping[str, Any] = field(default_factory=dict)
    out: str | None = None
    journal: str | None = None
    concurrency: int = 32


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a result must keep: a least score, and a greatest loss against the reference."""

    fail_under: float | None = None
    max_regression: float | None = None


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What stands between a program and its providers when it is served; times are seconds.

    `concurrency` bounds the calls of a server, and those to one account. `timeout` is for one
    attempt, `deadline` for a call in all, `tool_timeout` for a call of a tool. `attempts` are the
    rounds over a role's models, each asked once a round. A model that is late is not waited for
    alone: the next is asked too, and the first answer wins. `hedge` says when: after so long,
    `never`, or, with `auto`, after four times what it usually takes. `breaker` failures in a row
    keep a model from being asked for a while. With `resume`, a stream of text that breaks off is
    gone on with by the next model.
    `budget` and `tenant_budget` are hard limits, as `usd_per_day`, for all and for each tenant.
    `prompt_cache` marks what stays the same of a prompt for Anthropic's cache.
    `cache` is where answers are kept for `cache_ttl` seconds: `none`, `memory`, `sqlite`, the
    file `cache_path`, or `redis` at `redis_url`, whose password is in the environment variable
    that `redis_password_env` names. `semantic` describes the cache of near questions, as
    `{"threshold": 0.95}`; without, there is none. `trace` is what is recorded of calls in the file
    `trace_path`: `none`, `numbers` or `texts`, of the share `trace_sample` and of `trace_rate`
    calls a second at most, the last `trace_keep` of them. `reviews` is the queue of a served
    graph's questions: a file, or the address of a Postgres without a password. `rendering` says
    when the parts of prompts that stay are rendered: `ahead`, once, or anew at each `call`.

    >>> RuntimeSettings().timeout, RuntimeSettings().deadline
    (45.0, 120.0)
    """

    concurrency: int = 32
    timeout: float = 45.0
    deadline: float = 120.0
    attempts: int = 4
    breaker: int = 5
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    tenant_budget: Mapping[str, float] = field(default_factory=dict)
    prompt_cache: bool = False
    resume: bool = False
    hedge: Hedging = "auto"
    cache: str = "none"
    cache_ttl: float = 86_400.0
    cache_path: str | None = None
    redis_url: str | None = None
    redis_password_env: str | None = None
    semantic: Mapping[str, Any] = field(default_factory=dict)
    trace: str = "numbers"
    trace_sample: float = 1.0
    trace_rate: float = 100.0
    trace_keep: int = 10_000
    trace_path: str | None = None
    reviews: str | None = None
    rendering: str = "ahead"
    tool_timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """Where results are mirrored: an MLflow tracking URI."""

    mlflow: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `compilm show config`: a key, its value and where the value came from."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything known about one target. `folder` is where relative references start.

    >>> Config(program="app.py:Desk").origin("program")
    'default'
    """

    program: str | None = None
    name: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    lm: Mapping[str, RoleSettings] = field(default_factory=dict)
    tools: Mapping[str, ToolSettings] = field(default_factory=dict)
    compile: CompileSettings = field(default_factory=CompileSettings)
    gate: GateSettings = field(default_factory=GateSettings)
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    file: Path | None = None
    folder: Path = Path()
    cwd: Path = Path()
    target: str | None = None
    targets: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from: a flag, a variable, a file and line."""
        return self.origins.get(key, "default")

    def base(self, key: str) -> Path:
        """The folder that a relative reference in `key` starts from."""
        return self.cwd if self.origin(key).startswith(("flag ", "env ")) else self.folder

    def describe(self) -> tuple[Row, ...]:
        """Every key with its value and origin, in the order of the documentation.

        >>> Config(program="app.py:Desk").describe()[0]
        Row(key='program', value='app.py:Desk', origin='default')
        """
        found: list[Row] = []
        for item in fields(self):
            if item.name not in _ABOUT:
                found += self._rows(item.name, getattr(self, item.name))
        return tuple(found)

    def _rows(self, key: str, value: Any) -> list[Row]:
        if key in ("lm", "tools"):
            return [
                row for name, set_ in value.items() for row in self._rows(f"{key}.{name}", set_)
            ]
        if is_dataclass(value) and key != "data.split":
            inner = ((f"{key}.{item.name}", getattr(value, item.name)) for item in fields(value))
            return [row for name, one in inner for row in self._rows(name, one)]
        return [Row(key, value, self.origin(key))]
