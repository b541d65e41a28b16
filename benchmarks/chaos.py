"""Kill a compile at random moments, start it again until it ends, and hold it against a calm one.

    python benchmarks/chaos.py --kills 20 --seed 0

A compile runs through the command line against an HTTP server on loopback that counts what
arrives. It is killed (SIGKILL) when a request arrives, when an answer has been written out, or a
moment after one, and started again with the same command. In the end the artifact must be the one
of a compile that nobody disturbed, and no request may arrive whose answer is in the journal. What
was in flight at a kill may be asked again: at most as many requests as run side by side. One row
a compile; the exit code is 1 if anything of this does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.request import urlopen

from compilm.engine import Engine
from compilm.journal import SqliteJournal
from compilm.runtime.embedded import EmbeddedEngine
from compilm.testing.wire import WireServer

__all__ = ["KillingServer", "Shot", "Story", "asked_until_done", "journaled"]

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_S = 300.0
_KEY = "CHAOS_KEY"
# Two calls a rollout: at a kill, answers are kept whose rollout is not.
_PROGRAM = '''"""Which team of a bicycle shop a customer's message goes to, in two steps."""

from typing import Literal

import dspy


class Route(dspy.Signature):
    """Choose the team that should answer the message."""

    message: str = dspy.InputField()
    gist: str = dspy.InputField()
    team: Literal["orders", "workshop", "returns", "billing"] = dspy.OutputField()


class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.shorten = dspy.Predict("message -> gist")
        self.route = dspy.Predict(Route)

    def forward(self, message: str) -> dspy.Prediction:
        return self.route(message=message, gist=self.shorten(message=message).gist)
'''


@dataclass(frozen=True, slots=True)
class Shot:
    """When to kill: at the n-th request of a session (from 1), or at or after its n-th answer."""

    number: int
    at: Literal["asked", "answered", "later"] = "asked"
    delay_s: float = 0.0


class KillingServer(WireServer):
    """A server that signs each answer with its request's digest, and shoots when told to.

    The client keeps the signature with the answer, so a journal says which requests it answers.
    """

    def __init__(self, engine: Engine, *, latency: float = 0.0) -> None:
        super().__init__(engine, fail=self._arrived, latency=latency)
        self._shot: Shot | None = None
        self._kill: Callable[[], None] = lambda: None
        self._before = (0, 0)
        complain = self._server.handle_error

        def handle_error(request: Any, address: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # the client was killed
                complain(request, address)

        self._server.handle_error = handle_error  # type: ignore[method-assign, assignment]

    def __enter__(self) -> KillingServer:
        super().__enter__()
        return self

    def aim(self, shot: Shot | None, kill: Callable[[], None]) -> None:
        """From now on count for this shot."""
        self._before = (self.asked.total(), self.answered.total())
        self._shot, self._kill = shot, kill

    def answer(self, body: bytes) -> tuple[int, dict[str, Any], str]:
        """As the wire server does, signed."""
        status, answer, digest = super().answer(body)
        return status, {**answer, "id": digest}, digest

    def delivered(self, digest: str) -> None:
        """The answer was written out; perhaps this is the moment."""
        super().delivered(digest)
        self._fire(self.answered.total() - self._before[1], "answered", "later")

    def settled(self) -> None:
        """Return when everything a dead client has sent is counted."""
        with urlopen(f"{self.url}/models", timeout=_PATIENCE_S) as answer:  # the last in the queue
            answer.read()
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(timeout=_PATIENCE_S)

    def _arrived(self, place: int) -> None:
        self._fire(place - self._before[0], "asked")

    def _fire(self, count: int, *moments: str) -> None:
        shot = self._shot
        if shot is None or shot.at not in moments or count < shot.number:
            return
        self._shot = None
        if shot.at == "later":
            threading.Timer(shot.delay_s, self._kill).start()
        else:
            self._kill()


@dataclass(slots=True)
class Story:
    """What came of one command that was killed and started again until it ended.

    asked: requests by digest over all sessions; lost: those asked whose answer is in no journal;
    again: requests that arrived although their answer was in the journal before.
    """

    kills: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Requests asked whose answer never came into the journal: in flight at a kill."""
        return (self.asked - self.kept).total()

    def violations(self, calm: Story, concurrency: int) -> list[str]:
        """What does not hold, in words; `calm` is the same compile undisturbed."""
        found = []
        if _digest(self.result) != _digest(calm.result):
            found.append(f"artifact {_digest(self.result)} is not {_digest(calm.result)}")
        if self.again:
            found.append(f"{self.again.total()} requests came again after their answer was kept")
        if self.kept != calm.kept:
            found.append("the journal holds other answers than the calm one")
        if self.lost > concurrency * self.kills:
            found.append(f"{self.lost} requests were lost in {self.kills} kills")
        return found


def journaled(path: Path) -> Counter[str]:
    """The requests whose answers this journal holds, by digest."""
    if not path.exists():
        return Counter()
    journal = SqliteJournal(path)
    try:
        return Counter(r.body["response"]["id"] for r in journal.read(kinds=["call"]))
    finally:
        journal.close()


def asked_until_done(
    command: Sequence[str],
    server: KillingServer,
    journal: Path,
    *,
    shots: Callable[[Counter[str]], Shot | None],
    usual: Mapping[str, int] | None = None,
) -> Story:
    """Run `command` until it ends by itself, killed once a session by the shot that `shots` gives.

    shots: what to do in the next session, from what the journal holds. usual: how often each
    request comes in an undisturbed compile; once where nothing is said.
    """
    story, before_all = Story(), Counter(server.asked)
    while not story.result:
        kept, before = journaled(journal), Counter(server.asked)
        found = _session(command, server, shots(kept))
        story.kills += found is None
        story.result = found or {}
        for digest, count in (server.asked - before).items():
            over = kept[digest] + count - (usual or {}).get(digest, 1)
            if kept[digest] and over > 0:
                story.again[digest] += over
    story.asked, story.kept = server.asked - before_all, journaled(journal)
    return story


def _session(
    command: Sequence[str], server: KillingServer, shot: Shot | None
) -> dict[str, Any] | None:
    """The JSON on the last line of the command's output; `None` if it was killed."""
    with tempfile.TemporaryDirectory() as folder:
        # No cache but the journal, and no measurement of a process that will not end.
        kept = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        process = subprocess.Popen(
            command,
            env={**kept, "DSPY_CACHEDIR": folder, "PYTHONPATH": paths, _KEY: "none"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        server.aim(shot, process.kill)
        try:
            out, told = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
    server.aim(None, lambda: None)
    server.settled()
    if process.returncode == -signal.SIGKILL:
        return None
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{told[-4000:]}")
    return dict(json.loads(out.splitlines()[-1]))


def _digest(result: Mapping[str, Any]) -> str:
    artifact = result.get("artifact")
    return str(artifact["digest"] if artifact else result.get("digest"))


def main(argv: Sequence[str] | None = None) -> int:
    """Kill as often as asked; 1 if anything does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--budget", default="300rollouts")
    parser.add_argument("--concurrency", type=int, default=8)
    asked = parser.parse_args(argv)
    rng, kills, wrong = random.Random(asked.seed), 0, 0
    print(_row("compile", "kills", "requests", "kept", "in flight", "again", "verdict", "holds"))
    while kills < asked.kills:
        number = asked.seed + wrong + kills
        calm, story = _trial(asked, number, asked.kills - kills, rng)
        kills += story.kills
        found = story.violations(calm, asked.concurrency)
        wrong += bool(found)
        told = "; ".join(found) or "yes"
        print(
            _row(
                f"seed {number}", story.kills, story.asked.total(), story.kept.total(), story.lost,
                story.again.total(), story.result["verdict"], told,
            ),
            flush=True,
        )  # fmt: skip
        if wrong > 3:
            break
    print(f"{kills} kills, {wrong} compiles that do not hold")
    return 1 if wrong else 0


def _trial(
    asked: argparse.Namespace, number: int, most: int, rng: random.Random
) -> tuple[Story, Story]:
    """One compile undisturbed, and the same one under fire at most `most` times."""
    with (
        tempfile.TemporaryDirectory() as name,
        KillingServer(EmbeddedEngine(), latency=0.02) as server,
    ):
        folder = Path(name)
        _project(folder, server.url)

        def command(which: str) -> list[str]:
            return [
                sys.executable, "-m", "compilm", "compile", f"-O{asked.level}", "--yes", "--json",
                "--config", str(folder / "compilm.toml"), "--budget", asked.budget,
                "--seed", str(number), "--concurrency", str(asked.concurrency),
                "--journal", str(folder / f"{which}.db"), "--out", str(folder / which),
                "--progress", "none",
            ]  # fmt: skip

        calm = asked_until_done(command("calm"), server, folder / "calm.db", shots=lambda _: None)
        left = [min(most, rng.randint(2, 6))]

        def shots(kept: Counter[str]) -> Shot | None:
            left[0] -= 1
            return _shot(rng, calm.kept.total() - kept.total()) if left[0] >= 0 else None

        story = asked_until_done(
            command("shot"), server, folder / "shot.db", shots=shots, usual=calm.asked
        )
        return calm, story


def _shot(rng: random.Random, to_come: int) -> Shot:
    at: Literal["asked", "answered", "later"] = rng.choice(("asked", "answered", "later"))
    return Shot(rng.randint(1, max(1, to_come)), at, rng.uniform(0.0, 0.3))


def _project(folder: Path, url: str) -> None:
    """The starter of `compilm init` in two steps, with its model behind the wire."""
    subprocess.run(
        [sys.executable, "-m", "compilm", "init"], check=True, capture_output=True, cwd=folder
    )
    (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
    config = folder / "compilm.toml"
    model = f'\n[lm.default]\nmodel = "openai/desk"\nbase_url = "{url}"\nkey_env = "{_KEY}"\n'
    config.write_text(config.read_text(encoding="utf-8") + model, encoding="utf-8")


def _row(*cells: object) -> str:
    widths = (10, 6, 9, 6, 10, 6, 12, 0)
    return " ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
