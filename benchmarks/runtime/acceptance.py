"""What was asked of the runtime, line by line, and what a run measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from .figures import Figures
from .parts import LIMIT_S, WAIT_S, WAVES

__all__ = ["WAVES_S", "Line", "lines"]

WAVES_S = WAVES * WAIT_S  # of calls of 50 ms, 128 at once
_SLACK_S = 1.0  # of a busy machine, in what is a matter of seconds
_OURS, _DSPY, _SDK, _ROUTER = "ours", "dspy", "openai", "router"


@dataclass(frozen=True, slots=True)
class Line:
    """One demand: the figure, its limit, and whether the figure may be at most or at least it."""

    asked: str
    part: str
    measured: float | None
    limit: float
    most: bool = True
    form: str = ".3f"

    @property
    def holds(self) -> bool | None:
        """Whether it does; `None` where it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.limit if self.most else self.measured >= self.limit

    @property
    def shown(self) -> str:
        """The figure, as it is written."""
        return "not run" if self.measured is None else format(self.measured, self.form)


def lines(found: Figures) -> Iterator[Line]:
    """Every demand that this run can judge."""
    yield from _costs(found)
    yield from _stores(found)
    yield from _walls(found)
    yield from _mix(found)
    yield from _slow(found)
    yield from _switches(found)
    quiet = found.one(part="quiet", peer=_OURS)
    hosts = None if quiet is None else float(len(quiet["hosts"]))
    yield Line("hosts looked up from import to first answer", "quiet", hosts, 0, form=".0f")
    flight = found.one(part="flight", peer=_OURS)
    asked = None if flight is None or "asked" not in flight else float(flight["asked"])
    yield Line("64 equal calls in flight: requests at the provider", "flight", asked, 1, form=".0f")


def _costs(found: Figures) -> Iterator[Line]:
    def ratio(other: str, **columns: object) -> float | None:
        return found.ratio("cpu_us", _OURS, other, **columns)

    at_256 = {"part": "load", "width": 256}
    yield Line("CPU at 256 in flight / bare openai SDK", "load", ratio(_SDK, **at_256), 0.08)
    yield Line("CPU at 256 in flight / DSPy native", "load", ratio(_DSPY, **at_256), 0.35)
    for way in ("sync", "async"):
        added = _layer(found, way, "all")
        yield Line(f"the seven layers alone, {way}, µs", "layers", added, 60, form=".0f")
    demos = {"part": "demos", "kind": "call"}
    yield Line("32 demonstrations: CPU / DSPy's", "demos", ratio(_DSPY, **demos), 0.3)
    hits = {"part": "demos", "kind": "hit"}
    yield Line("32 demonstrations: hit in memory / DSPy's", "demos", ratio(_DSPY, **hits), 0.05)


def _layer(found: Figures, way: str, name: str) -> float | None:
    costs = [
        row["costs"][name] for row in found.where(part="layers", way=way) if name in row["costs"]
    ]
    return median(costs) if costs else None


def _stores(found: Figures) -> Iterator[Line]:
    for way in ("sync", "async"):
        for store, floor, limit in (("SQLite", "floor in SQLite", 3), ("Redis", "GET of Redis", 2)):
            hit, least = _layer(found, way, f"hit in {store}"), _layer(found, way, floor)
            ratio = None if hit is None or least is None else hit / least
            told = "key + select + parse" if store == "SQLite" else "a bare GET"
            yield Line(f"{store} hit, {way} / {told}", "layers", ratio, limit, form=".2f")


def _walls(found: Figures) -> Iterator[Line]:
    for way in ("tasks", "threads"):
        wall = found.median("wall_s", part="wall", peer=_OURS, way=way)
        share = None if wall is None else wall / WAVES_S
        asked = f"128 at once, 50 ms each, {way}: wall / ideal"
        yield Line(asked, "wall", share, 1.3, form=".2f")
        at = {"part": "paced", "way": way}
        share, theirs = (found.median("of_ideal", peer=peer, **at) for peer in (_OURS, _DSPY))
        pace = "3.5 to 4.3" if theirs is None else f"{theirs:.1f}"
        asked = f"128 at once, {way}, where DSPy takes {pace} x ideal: wall / ideal"
        yield Line(asked, "paced", share, 1.3, form=".2f")


def _mix(found: Figures) -> Iterator[Line]:
    ours = {"part": "mix", "peer": _OURS}
    calls = found.total("calls", **ours)
    share = 1 - found.total("failed", **ours) / calls if calls else None
    told = f"30 % faults, {calls:,.0f} requests: answered"
    yield Line(told, "mix", share, 0.999, most=False, form=".4%")
    slower = found.ratio("p99_ms", _OURS, _ROUTER, part="mix")
    yield Line("30 % faults: p99 / LiteLLM Router's", "mix", slower, 1 / 3)
    amplified = found.total("attempts", **ours) / calls if calls else None
    yield Line("30 % faults: attempts per request", "mix", amplified, 1.5, form=".2f")


def _slow(found: Figures) -> Iterator[Line]:
    for fault in ("drip", "hang", "slow stream"):
        row = found.one(part="slow", peer=_OURS, fault=fault)
        cut = None if row is None or row["outcome"] == "answered" else row["seconds"]
        limit = LIMIT_S + _SLACK_S
        yield Line(f"{fault}, deadline 3 s: cut after s", "slow", cut, limit, form=".1f")
    row = found.one(part="slow", peer=_OURS, fault="unfinished stream")
    taken = None if row is None else float(row["outcome"] in {"answered", "wrong"})
    asked = "a stream without its end: taken as an answer"
    yield Line(asked, "slow", taken, 0, form=".0f")


def _switches(found: Figures) -> Iterator[Line]:
    for fault in ("dead", "Retry-After: 30"):
        row = found.one(part="switch", peer=_OURS, fault=fault) or {}
        well = row.get("outcome") == "answered"
        cost = row["first"] / (2 if "next_s" in row else 1) if well else None
        asked = f"first provider {fault}: requests to it, each call"
        yield Line(asked, "switch", cost, 1, form=".1f")
        asked = f"first provider {fault}: the next call takes s"
        yield Line(asked, "switch", row.get("next_s"), _SLACK_S, form=".1f")
