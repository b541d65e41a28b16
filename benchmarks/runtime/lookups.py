"""Which hosts a peer looks up or connects to besides the provider, from import to first answer.

    python -m benchmarks.runtime.lookups PEER URL

The interpreter's own audit events tell of each. A process that has been told to stay quiet, by
`LITELLM_LOCAL_MODEL_COST_MAP`, proves nothing, so the variable is taken away.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

__all__ = ["looked_up"]

_VARIABLE = "LITELLM_LOCAL_MODEL_COST_MAP"
_OWN = {"127.0.0.1", "::1", "localhost"}
_PATIENCE_S = 180.0


def looked_up(peer: str, url: str) -> list[str] | None:
    """The hosts, in a process of its own; `None` where the peer is absent or did not answer."""
    environment = {name: value for name, value in os.environ.items() if name != _VARIABLE}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.runtime.lookups", peer, url],
        capture_output=True,
        env={**environment, "OPENAI_API_KEY": "none"},
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return json.loads(told[-1]) if done.returncode == 0 and told else None


def main() -> None:
    """Ask once, and print the hosts."""
    hosts: dict[str, None] = {}

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if event in {"socket.getaddrinfo", "socket.connect"}:
            address = given[0] if event == "socket.getaddrinfo" else given[1]
            host = address[0] if isinstance(address, tuple) else address
            hosts[host.decode() if isinstance(host, bytes) else str(host)] = None

    sys.addaudithook(heard)
    from .peers import PEERS, Setup

    async def once() -> None:
        client = PEERS[sys.argv[1]][1](Setup((sys.argv[2], sys.argv[2])))
        await client.ask("What is the capital of country 1?")

    asyncio.run(once())
    print(json.dumps([host for host in hosts if host not in _OWN]))


if __name__ == "__main__":
    main()
