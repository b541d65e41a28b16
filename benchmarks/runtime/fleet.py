"""The peers' processes: jobs go out, rows come back, one peer after another or all at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Fleet"]

# LiteLLM asks the network for its prices otherwise.
_QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "none", "PYTHONHASHSEED": "0"}


class Fleet:
    """A context manager: a process for each of these peers, from its first job to the end."""

    def __init__(self, peers: list[str]) -> None:
        self.peers = peers
        self.absent: dict[str, str] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in self._running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # a thread of some library does not end
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def do(self, peer: str, job: Mapping[str, Any]) -> dict[str, Any]:
        """What the peer answers: `row`, or `error`; nothing once it is known to be absent."""
        if peer in self.absent:
            return {}
        process = self._process(peer)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {peer} ended with {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "absent" in answer:
            self.absent[peer] = answer["absent"]
        return answer

    def together(self, jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The answers to jobs that are done at one time, by peer."""
        with ThreadPoolExecutor(max(1, len(jobs))) as pool:
            return dict(zip(jobs, pool.map(self.do, jobs, jobs.values()), strict=True))

    def _process(self, peer: str) -> subprocess.Popen[str]:
        if peer not in self._running:
            self._running[peer] = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.runtime.worker", peer],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_QUIET},
                text=True,
            )
        return self._running[peer]
