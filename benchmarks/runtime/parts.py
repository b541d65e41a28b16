"""What is measured: each part gives rows, `part`, `peer` and `round` among their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .fleet import Fleet
from .lookups import looked_up
from .server import LoopbackProviders

__all__ = ["CAP_S", "PACE", "PARTS", "UNHEDGED", "WAIT_S", "Row", "Size"]

Row = dict[str, Any]
OURS, DSPY = "ours", "dspy"
FALLING = ("ours", "router", "langchain", "pydantic-ai")
"""Those that have a second provider."""
MIXED = (*FALLING, "dspy", "openai")
CROWDED = ("ours", "dspy", "openai")
"""Those whose crowds are timed; the others take minutes."""
WAVES = 20
WAIT_S = 0.05  # what each of them takes at the provider
PACE = 3.9
"""Times ideal that DSPy takes for crowds on the machine they were asked for: 3.5 to 4.3."""
UNHEDGED = "unhedged"
"""Ours, which waits for the first provider alone, however slow it is."""
_OF = {UNHEDGED: OURS}
CAP_S = 35.0  # seconds after which a call is left that has not ended
LIMIT_S = 3.0  # the timeout of each attempt where providers fail, and the deadline of ours
_RATE = 0.3 / 7
MIX = dict.fromkeys(["429-after", "500", "529", "hang", "reset", "truncated", "bad-json"], _RATE)
SLOW = {
    "drip": ({"script": ["drip"], "pace": 0.25}, False),
    "hang": ({"script": ["hang"]}, False),
    "slow stream": ({"script": ["slow"], "pace": 1.0}, True),
    "unfinished stream": ({"script": ["unfinished"]}, True),
}
"""The settings of a server, and whether it is asked for a stream."""
SWITCH = {
    "dead": {"script": ["500"]},
    "Retry-After: 30": {"script": ["429-after"], "retry_after": "30"},
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; `redis` is the address of one for the hits in it."""

    rounds: int = 5
    scale: float = 1.0
    redis: str | None = None

    def calls(self, most: int, least: int = 16) -> int:
        """So many calls, scaled."""
        return max(least, int(most * self.scale))


def _load(fleet: Fleet, peer: str, url: str, job: Row, **setup: Any) -> Row:
    return fleet.do(peer, {"job": "load", "setup": {"urls": [url, url], **setup}, **job})


def _rows(answer: Row, *, faults: bool = False, **columns: Any) -> Iterator[Row]:
    """A load's row; without `faults` one with a failed call is an error, not a figure."""
    row = answer.get("row") or {}
    error = answer.get("error")
    if row.get("failed") and not faults:
        error = next(iter(row["errors"]))
    if error is not None:
        yield {**columns, "error": error}
    elif row:
        yield {**columns, **row}


def _turned(peers: list[str], number: int) -> list[str]:
    """The peers, each round beginning with another."""
    start = number % len(peers)
    return [*peers[start:], *peers[:start]]


def load(fleet: Fleet, size: Size) -> Iterator[Row]:
    """CPU and waits of calls that are answered at once, by how many are in flight."""
    with LoopbackProviders({}) as there:
        for number in range(size.rounds):
            for width, calls in ((1, 80), (32, 320), (256, 512)):
                for peer in _turned(fleet.peers, number):
                    job = {"calls": size.calls(calls, width), "width": width}
                    answer = _load(fleet, peer, there.urls[0], job)
                    yield from _rows(answer, part="load", peer=peer, round=number, width=width)


def demos(fleet: Fleet, size: Size) -> Iterator[Row]:
    """CPU of a predictor with 32 demonstrations, ours and DSPy's: asked, and found in memory."""
    kinds: dict[str, Row] = {"call": {}, "unrendered": {"rendering": False}}
    kinds |= {"hit": {"cache": "memory"}, "sqlite": {"cache": "sqlite"}}
    if size.redis:
        kinds["redis"] = {"cache": "redis", "redis": size.redis}
    with LoopbackProviders({}) as there:
        for number in range(size.rounds):
            for kind, setup in kinds.items():
                for peer in _turned([OURS, DSPY], number):
                    if peer == DSPY and kind in {"redis", "unrendered"}:
                        continue
                    is_hit = "cache" in setup
                    job = {"calls": size.calls(256), "width": 1 if is_hit else 32, "same": is_hit}
                    answer = _load(fleet, peer, there.urls[0], job, demos=32, **setup)
                    yield from _rows(answer, part="demos", peer=peer, round=number, kind=kind)


def hits(fleet: Fleet, size: Size) -> Iterator[Row]:
    """CPU of an answer that is found in the memory of the process, in tasks."""
    with LoopbackProviders({}) as there:
        for number in range(size.rounds):
            for peer in _turned(["ours", "dspy", "dspy-litellm", "litellm", "langchain"], number):
                job = {"calls": size.calls(256), "width": 1, "same": True}
                answer = _load(fleet, peer, there.urls[0], job, cache="memory")
                yield from _rows(answer, part="hits", peer=peer, round=number)


def wall(fleet: Fleet, size: Size) -> Iterator[Row]:
    """How long 128 at once take at 50 ms an answer: 20 after each other, 1 s at the least."""
    peers = [peer for peer in CROWDED if peer in fleet.peers]
    with LoopbackProviders({"latency": WAIT_S}) as there:
        for number in range(size.rounds):
            for way in ("tasks", "threads"):
                for peer in _turned(peers, number):
                    job = {"calls": 128 * WAVES, "width": 128, "way": way}
                    answer = _load(fleet, peer, there.urls[0], job, concurrency=128)
                    yield from _rows(answer, part="wall", peer=peer, round=number, way=way)


def paced(fleet: Fleet, size: Size) -> Iterator[Row]:
    """The same crowds where DSPy takes `PACE` times ideal, on a machine of whatever speed.

    What a crowd takes beyond its wait is the machine's. So the provider is as much slower than
    50 ms as this machine is, by DSPy's own call: first it is timed, then both.
    """
    if not {OURS, DSPY} <= set(fleet.peers):
        return
    for number in range(size.rounds):
        for way in ("tasks", "threads"):
            job = {"calls": 128 * WAVES, "width": 128, "way": way}
            with LoopbackProviders({"latency": WAIT_S}) as there:
                answer = _load(fleet, DSPY, there.urls[0], job, concurrency=128)
            (timed,) = _rows(answer)
            if "error" in timed:
                yield {"part": "paced", "peer": DSPY, "round": number, **timed}
                return
            wait = WAIT_S * max(1.0, timed["wall_s"] / (WAVES * WAIT_S) / PACE)
            with LoopbackProviders({"latency": wait}) as there:
                for peer in _turned([OURS, DSPY], number):
                    answer = _load(fleet, peer, there.urls[0], job, concurrency=128)
                    columns = {"part": "paced", "peer": peer, "round": number, "way": way}
                    for row in _rows(answer, **columns, wait_s=wait):
                        taken = row.get("wall_s", 0.0) / (WAVES * wait)
                        yield row if "error" in row else {**row, "of_ideal": taken}


def flight(fleet: Fleet, size: Size) -> Iterator[Row]:
    """How many of 64 equal calls at one time reach the provider, caches on."""
    with LoopbackProviders(*[{"latency": 1.0}] * len(fleet.peers)) as there:
        for place, peer in enumerate(fleet.peers):
            job = {"calls": 64, "width": 64, "same": True, "warm": False}
            answer = _load(fleet, peer, there.urls[place], job, cache="memory")
            for row in _rows(answer, part="flight", peer=peer):
                yield row if "error" in row else {**row, "asked": there.asked()[place]}


def mix(fleet: Fleet, size: Size) -> Iterator[Row]:
    """What survives of requests when 30 % of the answers of each of two providers are faults.

    In a round the providers of every peer fail in the same order.
    """
    rows = [peer for peer in (*MIXED, UNHEDGED) if _OF.get(peer, peer) in fleet.peers]
    for number in range(size.rounds):
        for row in _turned(rows, number):
            peer = _OF.get(row, row)
            pair = [
                {"mix": MIX, "seed": 2 * number + side, "retry_after": "1", "latency": 0.02}
                for side in range(2)
            ]
            with LoopbackProviders(*pair) as there:
                setup = {"urls": there.urls, "timeout": LIMIT_S, "concurrency": 50}
                setup |= {"hedge": "never"} if row == UNHEDGED else {}
                calls = size.calls(2000 if peer in FALLING else 200, 50)
                job = {"job": "load", "setup": setup, "calls": calls, "width": 50, "warm": False}
                answer, attempts = fleet.do(peer, job), sum(there.asked())
            columns = {"part": "mix", "peer": row, "round": number, "attempts": attempts}
            yield from _rows(answer, faults=True, **columns)


def _warmed(fleet: Fleet, peers: list[str]) -> None:
    """Whatever is imported at a first call is, so that no clock runs while it is."""
    with LoopbackProviders({"script": ["ok"]}) as there:  # which can stream
        for peer in peers:
            one = {"setup": {"urls": there.urls}, "cap": CAP_S}
            fleet.do(peer, {"job": "ones", "of": [one, {**one, "streamed": True}]})


def slow(fleet: Fleet, size: Size) -> Iterator[Row]:
    """What becomes of one call to a provider that drips, hangs, or ends a stream in the middle."""
    _warmed(fleet, fleet.peers)
    settings = [each for _ in fleet.peers for each, _ in SLOW.values()]
    with LoopbackProviders(*settings) as there:
        jobs = {}
        for place, peer in enumerate(fleet.peers):
            urls = there.urls[place * len(SLOW) : (place + 1) * len(SLOW)]
            ones = [
                {"setup": _limited([url]), "cap": CAP_S, "streamed": streamed}
                for url, (_, streamed) in zip(urls, SLOW.values(), strict=True)
            ]
            jobs[peer] = {"job": "ones", "of": ones}
        answers = fleet.together(jobs)
    for peer, answer in answers.items():
        for name, row in zip(SLOW, answer.get("row", []), strict=False):
            yield {"part": "slow", "peer": peer, "fault": name, **row}


def switch(fleet: Fleet, size: Size) -> Iterator[Row]:
    """When a healthy second provider answers for a first that is dead, or says to wait 30 s."""
    peers = [peer for peer in FALLING if peer in fleet.peers]
    _warmed(fleet, peers)
    settings = [each for _ in peers for first in SWITCH.values() for each in (first, {})]
    with LoopbackProviders(*settings) as there:
        jobs = {}
        for place, peer in enumerate(peers):
            urls = there.urls[2 * place * len(SWITCH) : 2 * (place + 1) * len(SWITCH)]
            pairs = [urls[at : at + 2] for at in range(0, len(urls), 2)]
            asked = {"cap": CAP_S, "then": True}
            ones = [{"setup": {"urls": pair, "timeout": 10.0}, **asked} for pair in pairs]
            jobs[peer] = {"job": "ones", "of": ones}
        answers, counts = fleet.together(jobs), iter(there.asked())
    for peer, answer in answers.items():
        for name, row in zip(SWITCH, answer.get("row", []) or [{}] * len(SWITCH), strict=False):
            attempts = {"first": next(counts), "second": next(counts)}
            if row:
                yield {"part": "switch", "peer": peer, "fault": name, **attempts, **row}


def layers(fleet: Fleet, size: Size) -> Iterator[Row]:
    """CPU of the layers alone, and of hits in the stores beside the least that they can cost."""
    for number in range(size.rounds):
        calls = size.calls(1000, 100)
        job = {"job": "layers", "demos": 0, "calls": calls, "rounds": 1, "redis": size.redis}
        for way, costs in fleet.do(OURS, job).get("row", {}).items():
            yield {"part": "layers", "peer": OURS, "round": number, "way": way, "costs": costs}


def quiet(fleet: Fleet, size: Size) -> Iterator[Row]:
    """The hosts that a fresh process looks up between import and first answer."""
    with LoopbackProviders({}) as there:
        for peer in fleet.peers:
            hosts = looked_up(peer, there.urls[0])
            if hosts is not None:
                yield {"part": "quiet", "peer": peer, "hosts": hosts}


def _limited(urls: list[str]) -> Row:
    return {"urls": urls, "timeout": LIMIT_S, "deadline": LIMIT_S}


PARTS: dict[str, Callable[[Fleet, Size], Iterator[Row]]] = {
    part.__name__: part
    for part in (load, demos, hits, layers, wall, paced, flight, mix, slow, switch, quiet)
}
