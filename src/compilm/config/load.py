"""Flag over environment over file over default: one `Config`, every value with its origin."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError
from .file import File, find_file, named_file
from .secrets import refuse_secrets
from .settings import (
    CompileSettings,
    Config,
    DataSettings,
    GateSettings,
    RoleSettings,
    RuntimeSettings,
    ToolSettings,
    TrackSettings,
)
from .values import KEYS, PATHS, ROLE_KEYS, SECTIONS, TOOL_KEYS, TOP, Wrong, is_text, reader

__all__ = ["load_config"]

_Settings = TypeVar("_Settings")
# "org/name" is a data set of the hub, as a URL is an address: neither is a path of this machine.
_HUB = re.compile(r"[\w.-]+/(?!.*\.(jsonl?|ndjson|csv|tsv|parquet|db)$)[\w.-]+|\w+://.*")
_BELOW = {"lm": ROLE_KEYS, "tools": TOOL_KEYS}
_SHORT = {"lm": "model", "tools": "url"}  # what a text stands for where a table could be
_FLAGS = {"compile.level": "-O", "track.mlflow": "--track"}


@dataclass(slots=True)
class _Layered:
    """Values by dotted key, later sources over earlier ones, with what each one's rank was."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, value: Any, origin: str, rank: int, base: Path) -> None:
        read = reader(key)
        if read is None:
            raise _unknown(key, origin)
        try:
            value = read(value)
        except Wrong as wrong:
            raise ConfigError(f"{origin}: {key} is {value!r}; expected {wrong}") from None
        except ConfigError as error:
            raise ConfigError(f"{origin}: {key}: {error}") from None
        elsewhere = key.startswith("data.") and _HUB.fullmatch(str(value))
        if key in PATHS and not elsewhere:
            value = str(base / Path(value).expanduser())
        self.values[key], self.origins[key], self.ranks[key] = value, origin, rank


def _unknown(key: str, origin: str) -> ConfigError:
    head, _, last = key.rpartition(".")
    named = _BELOW.get(head.partition(".")[0])
    known = [f"{head}.{name}" for name in named] if named else [*KEYS, *SECTIONS]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not near and last:
        near = [name for name in known if name.rsplit(".", 1)[-1] == last][:1]
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return ConfigError(f"{origin}: unknown key {key!r}; {hint}")


def _flatten(table: Mapping[str, Any], place: Callable[[str], str]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if name not in SECTIONS:
            yield name, value
            continue
        if not isinstance(value, dict):
            raise ConfigError(f"{place(name)}: {name} is {value!r}; expected a table, [{name}]")
        for inner, item in value.items():
            if name in _BELOW:
                settings = item if isinstance(item, dict) else {_SHORT[name]: item}
                yield from ((f"{name}.{inner}.{key}", v) for key, v in settings.items())
            else:
                yield f"{name}.{inner}", item


def _from_file(layered: _Layered, file: File, target: str | None) -> str | None:
    """Put the file's values, those of the chosen target over the shared ones."""
    shared = {key: value for key, value in file.table.items() if key != "target"}
    targets = file.table.get("target", {})
    if not isinstance(targets, dict) or not all(isinstance(t, dict) for t in targets.values()):
        raise ConfigError(f"{file.place('target')}: target: expected tables, [target.NAME]")
    if target is None and "program" not in shared and len(targets) == 1:
        target = next(iter(targets))
    if target is not None and target not in targets:
        named = ", ".join(targets) or "none"
        raise ConfigError(f"{file.path.name} has no [target.{target}]; its targets: {named}")
    _put_table(layered, file, shared, "")
    if target is not None:
        _put_table(layered, file, targets[target], f"target.{target}.")
    return target


def _put_table(layered: _Layered, file: File, table: dict[str, Any], prefix: str) -> None:
    def place(key: str) -> str:
        return file.place(f"{prefix}{key}")

    refuse_secrets(table, "", file.path.name)
    for key, value in _flatten(table, place):
        layered.put(key, value, place(key), 1, file.path.parent)


def _from_text(key: str, text: str) -> Any:
    """A flag's or variable's text as its key wants it: TOML where it is TOML, else the text."""
    if is_text(key):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put_text(layered: _Layered, key: str, text: str, origin: str, rank: int, cwd: Path) -> None:
    value = _from_text(key, text)
    refuse_secrets(value, key, origin)
    layered.put(key, value, origin, rank, cwd)


_NO_SETTING = frozenset({"COMPILM_DATA", "COMPILM_SERVERS"})  # of benchmarks and tests


def _env_key(name: str) -> str | None:
    """The dotted key that an environment variable means; None where it is not ours."""
    rest = name.removeprefix("COMPILM_").lower()
    section, _, inner = rest.partition("_")
    if named := _BELOW.get(section):
        ends = sorted((key for key in named if inner.endswith(f"_{key}")), key=len)
        whole = f"{inner[: -len(ends[-1]) - 1]}.{ends[-1]}" if ends else inner
        return f"{section}.{whole}"
    if section in SECTIONS:
        return f"{section}.{inner}"
    near = difflib.get_close_matches(rest, TOP, n=1, cutoff=0.8)
    return rest if near else None


def _from_env(layered: _Layered, env: Mapping[str, str], cwd: Path) -> None:
    for name in sorted(env):
        is_ours = name.startswith("COMPILM_") and name not in _NO_SETTING
        key = _env_key(name) if is_ours else None
        if key is not None and env[name]:
            _put_text(layered, key, env[name], f"env {name}", 2, cwd)


def _from_flags(
    layered: _Layered, flags: Mapping[str, Any], settings: Sequence[str], cwd: Path
) -> None:
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting!r}: expected key=value, as compile.seed=3")
        _put_text(layered, key.strip(), text.strip(), f"flag --set {key.strip()}", 3, cwd)
    for key, value in flags.items():
        flag = _FLAGS.get(key) or "--" + key.rsplit(".", 1)[-1].replace("_", "-")
        if isinstance(value, str):
            _put_text(layered, key, value, f"flag {flag}", 4, cwd)
        elif value is not None:
            layered.put(key, value, f"flag {flag}", 4, cwd)


def load_config(
    path: str | Path | None,
    *,
    target: str | None = None,
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str],
    cwd: Path,
    settings: Sequence[str] = (),
) -> Config:
    """The configuration of one target; `path` None means: look for the file.

    `flags` are dotted keys with the values of flags (None: not given); `settings` are the texts of
    `--set key=value`. Raises `ConfigError` that names the place, the key and what is expected.

    >>> load_config(None, env={"COMPILM_COMPILE_BUDGET": "2usd"}, cwd=Path("/")).compile.budget
    {'usd': 2.0}
    """
    layered = _Layered()
    named = path if path is not None else env.get("COMPILM_CONFIG") or None
    target = target if target is not None else env.get("COMPILM_TARGET") or None
    where = cwd / Path(named).expanduser() if named is not None else find_file(cwd)
    file = named_file(where) if where is not None else None
    if file is not None:
        target = _from_file(layered, file, target)
    elif target is not None:
        raise ConfigError(f"target {target!r} needs a compilm.toml, and none was found in {cwd}")
    _from_env(layered, env, cwd)
    _from_flags(layered, flags or {}, settings, cwd)
    _settle(layered)
    return _assemble(layered, file, target, cwd)


def _settle(layered: _Layered) -> None:
    """Decide between keys that exclude each other: the higher source wins, equals are an error."""
    chosen = "compile.optimizer" in layered.values
    _prefer(layered, "compile.level", "compile.optimizer")
    _settle_options(layered, chosen)
    for split in ("train", "val", "test"):
        _prefer(layered, "data.path", f"data.{split}")
    if layered.values.get("compile.level") is None and not layered.values.get("compile.optimizer"):
        layered.values["compile.level"] = 2


def _settle_options(layered: _Layered, chosen: bool) -> None:
    """Options of an optimizer that another source has replaced go with it."""
    key, of = "compile.optimizer_options", "compile.optimizer"
    if key not in layered.values:
        return
    replaced = layered.ranks[key] == 1 and layered.ranks.get(of, 1) > 1
    if replaced or (chosen and of not in layered.values):
        _drop(layered, key)


def _drop(layered: _Layered, key: str) -> None:
    for kept in (layered.values, layered.origins, layered.ranks):
        del kept[key]


def _prefer(layered: _Layered, one: str, other: str) -> None:
    if one not in layered.values or other not in layered.values:
        return
    ranks = layered.ranks[one], layered.ranks[other]
    if ranks[0] == ranks[1]:
        raise ConfigError(
            f"{layered.origins[one]}: {one} and {other} exclude each other; keep one of them"
        )
    _drop(layered, one if ranks[0] < ranks[1] else other)


def _assemble(layered: _Layered, file: File | None, target: str | None, cwd: Path) -> Config:
    values = layered.values
    targets = tuple(file.table.get("target", {})) if file is not None else ()
    folder = file.path.parent if file is not None else cwd
    runtime = _section(RuntimeSettings, "runtime", values)
    if runtime.cache == "sqlite" and runtime.cache_path is None:
        runtime = replace(runtime, cache_path=str(folder / ".compilm" / "cache.db"))
    return Config(
        **{key: values[key] for key in TOP if key in values},
        data=_section(DataSettings, "data", values),
        lm=_sections(RoleSettings, "lm", values),
        tools=_sections(ToolSettings, "tools", values),
        compile=_section(CompileSettings, "compile", values),
        gate=_section(GateSettings, "gate", values),
        runtime=runtime,
        track=_section(TrackSettings, "track", values),
        file=file.path if file is not None else None,
        folder=folder,
        cwd=cwd,
        target=target,
        targets=targets,
        origins=layered.origins,
    )


def _sections(
    kind: type[_Settings], prefix: str, values: Mapping[str, Any]
) -> dict[str, _Settings]:
    """The sections below a section, by name: those of `[lm.ROLE]` by role."""
    names = dict.fromkeys(key.split(".")[1] for key in values if key.startswith(f"{prefix}."))
    return {name: _section(kind, f"{prefix}.{name}", values) for name in names}


def _section(kind: type[_Settings], prefix: str, values: Mapping[str, Any]) -> _Settings:
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]  # each is a dataclass
    return kind(**{n: values[f"{prefix}.{n}"] for n in names if f"{prefix}.{n}" in values})
