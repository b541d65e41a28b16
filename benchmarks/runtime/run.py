"""Run the parts, peers interleaved, and write a row of JSON for each measurement.

    python -m benchmarks.runtime.run --out build/bench-runtime.jsonl [--rounds 5] [--scale 1]
        [--parts load,mix] [--peers ours,dspy]

Rows of a part that is run again take the place of those that were there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .fleet import Fleet
from .parts import PARTS, Size
from .peers import PEERS

__all__ = ["main"]

_PACKAGES = ("dspy", "openai", "anthropic", "litellm", "langchain-openai", "pydantic-ai-slim")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.runtime.run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the calls in a round")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--peers", default=",".join(PEERS))
    asked = parser.parse_args(arguments)
    parts, peers = asked.parts.split(","), asked.peers.split(",")
    if unknown := {*parts} - {*PARTS} | {*peers} - {*PEERS}:
        parser.error(f"not known: {', '.join(sorted(unknown))}")
    with Fleet(peers) as fleet, _redis() as redis:
        size = Size(asked.rounds, asked.scale, redis)
        for part in parts:
            _part(fleet, size, part, asked.out)
        for peer, why in fleet.absent.items():
            print(f"{peer}: absent, {why}", file=sys.stderr)
    return 0


def _part(fleet: Fleet, size: Size, part: str, out: Path) -> None:
    began, load = time.perf_counter(), os.getloadavg()[0]
    rows = list(PARTS[part](fleet, size))
    seconds = time.perf_counter() - began
    about = {"part": "about", "of": part, "seconds": round(seconds), "peers": fleet.peers}
    about |= {"rounds": size.rounds, "scale": size.scale, "load": [load, os.getloadavg()[0]]}
    about |= {"absent": fleet.absent, "machine": _machine(), "date": time.strftime("%Y-%m-%d")}
    kept = [row for row in _read(out) if part not in (row["part"], row.get("of"))]
    text = "".join(json.dumps(row) + "\n" for row in [*kept, about, *rows])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{part}: {len(rows)} rows in {seconds:.0f} s", file=sys.stderr, flush=True)
    for peer, error in sorted({(row["peer"], row["error"]) for row in rows if "error" in row}):
        print(f"{part}: {peer} fails, {error}", file=sys.stderr, flush=True)


def _read(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def _machine() -> dict[str, Any]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "cores": os.cpu_count(), "packages": found}


@contextmanager
def _redis() -> Iterator[str | None]:
    """The address of a Redis of our own, where there is one to start."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not os.path.exists(path) and process.poll() is None:
            time.sleep(0.01)
        try:
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
