"""Every test runs as on a fresh machine: no network but this computer, no keys, no old caches."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from typing import Any

from hypothesis import HealthCheck, settings
from tests.servers import postgres_server, postgres_url

# Fixtures for every test; a server starts when the first one asks for it.
__all__ = ["postgres_server", "postgres_url"]

_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "MLFLOW_TRACKING_URI")
_HERE = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname())

# DSPy reads this when it is imported; what an older engine answered must not be answered again.
_CACHE = tempfile.TemporaryDirectory(prefix="compilm-tests-", ignore_cleanup_errors=True)


# What a busy machine does to the time of one example says nothing about the code.
settings.register_profile("compilm", deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_configure() -> None:
    settings.load_profile("compilm")
    for key in _KEYS:
        os.environ.pop(key, None)
    os.environ["DSPY_CACHEDIR"] = _CACHE.name
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    sys.addaudithook(_close_the_network)


def _close_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave this computer, as a machine without a network does."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name not in _HERE and not name.startswith("127."):
        raise socket.gaierror(f"tests have no network; asked for {name!r}")
