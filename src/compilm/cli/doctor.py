"""Look at this installation and its surroundings for known trouble; nothing is spent or sent.

Servers of tools on this computer are started, or asked for their list.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from ..config import Config
from ..errors import CompilmError, ConfigError
from .options import configuration
from .out import Out
from .place import journal_path, shown, trace_path

__all__ = ["Finding", "arguments", "run"]

EXAMPLES = "Exit code 0: nothing that must be mended; 2: something must."

_LIBRARIES = ("dspy", "openai", "anthropic", "numpy", "rich")
_EXTRAS = {
    "serve": ("fastapi", "uvicorn"),
    "data": ("datasets", "pandas", "pyarrow"),
    "mlflow": ("mlflow",),
    "faiss": ("faiss-cpu",),
    "otel": ("opentelemetry-proto",),
    "notebook": ("ipython", "ipykernel"),
    "redis": ("redis",),
    "mcp": ("mcp",),
    "postgres": ("psycopg",),
    "sentences": ("tokenizers",),
    "png": ("resvg-py",),
}
_KEY_NAMES = re.compile(r"[A-Z0-9_]+_API_KEY|AWS_ACCESS_KEY_ID|GOOGLE_APPLICATION_CREDENTIALS")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `sign` is `ok`, `!!` (worth knowing) or `xx` (must be mended)."""

    sign: str
    what: str
    text: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options: none but every verb's."""
    parser.set_defaults(verb="doctor")


def run(args: argparse.Namespace, out: Out) -> int:
    """Look, and tell what was found."""
    config = configuration(args)
    findings = [found for look in _LOOKS for found in look(config)]
    for finding in findings:
        out.mark(finding.sign, f"{finding.what:11} {finding.text}")
    broken = sum(finding.sign == "xx" for finding in findings)
    out.emit({"findings": findings, "broken": broken})
    return 2 if broken else 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _major(version: str | None) -> int:
    return int(version.split(".")[0]) if version and version[0].isdigit() else 0


def _python(_: Config) -> Iterator[Finding]:
    right = (3, 11) <= sys.version_info[:2] < (3, 14)
    told = f"{platform.python_version()} on {platform.system()}"
    yield Finding(
        "ok" if right else "!!", "python", told + ("" if right else "; tested: 3.11-3.13")
    )


def _libraries(_: Config) -> Iterator[Finding]:
    for name in _LIBRARIES:
        found = _version(name)
        yield Finding("ok" if found else "xx", name, found or "not installed: pip install compilm")
    dspy = _version("dspy") or ""
    if dspy and not dspy.startswith("3.4."):
        yield Finding("xx", "dspy", f"{dspy} is not supported: pip install 'dspy>=3.4,<3.5'")


def _extras(_: Config) -> Iterator[Finding]:
    for extra, names in _EXTRAS.items():
        missing = [name for name in names if _version(name) is None]
        if missing:
            told = f"{', '.join(missing)} missing: pip install 'compilm[{extra}]' if you want it"
            yield Finding("!!", f"[{extra}]", told)
        else:
            told = ", ".join(f"{name} {_version(name)}" for name in names)
            yield Finding("ok", f"[{extra}]", told)


def _combinations(_: Config) -> Iterator[Finding]:
    """Versions that are known not to go together."""
    if _version("litellm") and _major(_version("openai")) >= 3:
        told = f"openai {_version('openai')} with litellm: pip install 'openai>=2.20,<3'"
        yield Finding("xx", "openai", told)
    flows = {name: _version(name) for name in ("mlflow", "mlflow-skinny", "mlflow-tracing")}
    installed = {name: version for name, version in flows.items() if version}
    if len(set(installed.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in installed.items())
        yield Finding("xx", "mlflow", f"{told}: these share one folder and must be equal")
    if cached := _version("diskcache"):
        told = (
            f"{cached} unpickles what it finds (CVE-2025-69872). It comes with dspy; compilm does "
            "not use it. Keep DSPY_CACHEDIR where nobody else can write"
        )
        yield Finding("!!", "diskcache", told)
    if _version("litellm") and os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP", "").lower() != "true":
        told = "fetches a price list when imported; LITELLM_LOCAL_MODEL_COST_MAP=True stops that"
        yield Finding("!!", "litellm", told)


def _keys(config: Config) -> Iterator[Finding]:
    """The names of the key variables that are set; their values are never read further."""
    named = {name for role in config.lm.values() for name in _texts(role.key_env)}
    present = sorted(n for n in os.environ if os.environ[n] and _KEY_NAMES.fullmatch(n))
    present += sorted(name for name in named - set(present) if os.environ.get(name))
    told = ", ".join(present) or "none set: only the embedded engine can answer"
    yield Finding("ok" if present else "!!", "keys", told)
    for name in sorted(named - set(present)):
        yield Finding("xx", "keys", f"{name} is named in the configuration and not set")


def _texts(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given or ()


def _stacks(config: Config) -> Iterator[Finding]:
    """What stands between the program and its providers, as it is built; nothing is asked."""
    from ..assemble import stacks_from
    from ..prices import Prices

    for role, settings in config.lm.items():
        if not all(map(os.environ.get, _texts(settings.key_env))):
            continue  # told above
        try:
            found = stacks_from({role: settings}, config.runtime, Prices(config.prices))
        except ConfigError as error:
            yield Finding("xx", f"lm.{role}", str(error))
            continue
        for stack in found.values():
            for name, what in stack.lines:
                sign = "!!" if name == "price" and "not known" in what else "ok"
                yield Finding(sign, f"lm.{role}", f"{name:11}{what}")


def _tools(config: Config) -> Iterator[Finding]:
    """Servers of tools: those of this computer are asked what they have, others are only told."""
    from ..tools import configured

    for name in config.tools:
        try:
            with configured(name, config) as server:
                if server.place.is_elsewhere:
                    server.place.headers()
                    told = f"{server.place.where}: another host, not asked by doctor"
                else:
                    told = ", ".join(str(tool.name) for tool in server.tools()) or "no tools"
        except CompilmError as error:
            yield Finding("xx", f"tools.{name}", str(error))
        else:
            yield Finding("ok", f"tools.{name}", told)


def _journal(config: Config) -> Iterator[Finding]:
    path = journal_path(config)
    folder = next(one for one in (path.parent, *path.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        told = f"{shown(path)}: cannot be written ({error.strerror}); set compile.journal"
        yield Finding("xx", "journal", told)
    else:
        yield Finding("ok", "journal", f"{shown(path)} can be written")


def _traces(config: Config) -> Iterator[Finding]:
    which = f"of the last {config.runtime.trace_keep:,} calls in {shown(trace_path(config))}"
    told = {
        "none": "not kept (runtime.trace)",
        "numbers": f"{which}; no texts",
        "texts": f"{which}, inputs and answers in clear",
    }
    yield Finding("ok", "traces", told[config.runtime.trace])


def _configured(config: Config) -> Iterator[Finding]:
    if config.file is None:
        yield Finding("!!", "config", "no compilm.toml here or above: compilm init writes one")
    else:
        yield Finding("ok", "config", shown(config.file))


def _embedded(_: Config) -> Iterator[Finding]:
    """Ask the embedded engine one question through DSPy, as a compile without a key would."""
    try:
        import dspy

        from ..assemble import roles_from

        asked = dspy.Predict("question -> answer")
        with dspy.context(lm=roles_from({})["default"]):
            asked(question="Is anyone there?")
    except Exception as error:  # border: a diagnosis tells what is broken and goes on
        yield Finding("xx", "embedded", f"{type(error).__name__}: {error}")
    else:
        yield Finding("ok", "embedded", "the embedded engine answers (it is no language model)")


_LOOKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _python,
    _libraries,
    _extras,
    _combinations,
    _configured,
    _keys,
    _stacks,
    _tools,
    _journal,
    _traces,
    _embedded,
)
