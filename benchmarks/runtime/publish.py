"""The page of the runtime's benchmarks, written anew from the rows of a run.

    python -m benchmarks.runtime.publish build/bench-runtime.jsonl --out docs

Writes `docs/benchmarks-runtime.md` and its chart; a part that was not run is said to be.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .acceptance import WAVES_S, lines
from .bars import bars
from .figures import Figures
from .parts import CAP_S, PACE, SLOW, SWITCH, UNHEDGED, WAVES
from .peers import PEERS

__all__ = ["chart", "main", "page"]

_HEAD = """# Benchmarks of the runtime

What a call costs and what becomes of it when providers fail, beside the clients that people use \
instead. Make the figures on your machine; it takes half an hour or more:

```console no-run
$ make bench-runtime
```

Each peer is a process of its own, set up as its documentation says, and asks a server on loopback \
that is another process. Rounds are interleaved: one peer after the other, then the next round, \
which begins with another. Figures are medians over the rounds, ratios are taken within a round. \
CPU is the processor time of the client's process, all threads. On a busy machine compare ratios, \
not microseconds, and waits least of all. `compilm` and DSPy run a whole `dspy.Predict`, \
which renders a prompt and parses the answer; the others make a bare call. compilm's stack is that \
of `compilm serve`, with the lean engine. No provider was asked; DSPy and the SDKs have no second \
provider. Code: `benchmarks/runtime/`.
"""
_NOTES = {
    "load": "Answers come at once, so waits are queues for the processor.",
    "hits": "The same question again, found in the memory of the process, one after another.",
    "demos": "A predictor with 32 demonstrations, DSPy's and ours; hits one after another.",
    "wall": f"{128 * WAVES:,} calls of 50 ms, 128 at once: {WAVES_S:g} s is ideal.",
    "paced": "What a crowd takes beyond its wait is work, at the machine's speed, and the demand "
    "names one on which DSPy takes 3.5 to 4.3 times ideal. Here the provider is as much slower "
    "than 50 ms as this machine is: each round times DSPy, then both at the wait that brings it "
    f"to {PACE:g}.",
    "mix": "Each of two providers fails in 30 % of its answers: 429 with `Retry-After: 1`, 500, "
    "529, hangs, resets, cut bodies, broken JSON, in equal parts. 50 at once, attempts end after "
    "3 s, compilm's other settings are the defaults. In one row nobody is asked beside a slow one: "
    "of a hundred calls four hang, so its p99 is an attempt's 3 s.",
    "slow": f"One call under a timeout of 3 s (compilm: deadline 3 s too). A drip is a byte each "
    f"0.25 s, a slow stream a piece each second. What had not ended after {CAP_S:g} s was left.",
    "switch": "The first of two providers always fails, or says `Retry-After: 30`; the second is "
    "well. Requests that the first got in two calls, and seconds until each answer.",
    "flight": "Requests that reached the provider of 64 equal calls at one time, caches on.",
    "quiet": "What a fresh process looks up besides the provider, from import to first answer.",
}


def page(found: Figures) -> str:
    """The page in Markdown."""
    parts = [_HEAD, _about(found), _accepted(found)]
    if found.about("load"):
        parts.append("![CPU per call](benchmarks-runtime.svg)\n")
    sections = {
        "load": ("Cost of a call", _load),
        "demos": ("Demonstrations", _demos),
        "hits": ("Hits", _hits),
        "wall": ("Many at once", _wall),
        "paced": ("Many at once, on a machine of whatever speed", _paced),
        "mix": ("Faults", _mix),
        "slow": ("Providers that do not end", _slow),
        "switch": ("The second provider", _switch),
        "flight": ("Equal calls", _flight),
        "quiet": ("Other hosts", _quiet),
    }
    for part, (title, table) in sections.items():
        told = table(found) if found.about(part) else "Not run for this page."
        parts.append(f"## {title}\n\n{_NOTES[part]}\n\n{told}\n")
    return "\n".join(parts)


def chart(found: Figures) -> str:
    """The chart as SVG: processor time with 256 calls in flight."""
    figures = {}
    for peer, (title, _) in PEERS.items():
        value = found.median("cpu_us", part="load", peer=peer, width=256)
        if value is not None:
            figures[title.replace("`", "")] = value
    best = PEERS["ours"][0].replace("`", "")
    return bars(figures, best, "µs of CPU per call, 256 in flight")


def _about(found: Figures) -> str:
    abouts = found.where(part="about")
    if not abouts:
        return "Nothing was run.\n"
    last = abouts[-1]
    packages = ", ".join(f"{n} {v}" for n, v in last["machine"]["packages"].items())
    loads = [load for about in abouts for load in about["load"]]
    rounds = sorted({about["rounds"] for about in abouts})
    absent = sorted({name for about in abouts for name in about["absent"]})
    told = [
        f"Run on {last['date']}: Python {last['machine']['python']}, {last['machine']['cores']} "
        f"cores, load {min(loads):.0f} to {max(loads):.0f} (1 is one busy core), "
        f"{' or '.join(map(str, rounds))} rounds, {sum(a['seconds'] for a in abouts):.0f} s. "
        f"{packages}.",
        *([f"Not installed, so absent: {', '.join(absent)}."] if absent else []),
    ]
    return " ".join(told) + "\n"


def _accepted(found: Figures) -> str:
    head = ["asked", "measured", "limit", "holds", "part", "rounds", "load"]
    rows = []
    for line in lines(found):
        limit = f"{'≤' if line.most else '≥'} {line.limit:.4g}"
        holds = {True: "yes", False: "**no**", None: ""}[line.holds]
        about = found.about(line.part) or {"rounds": "", "load": [0.0, 0.0]}
        load = f"{max(about['load']):.0f}" if about["rounds"] else ""
        cells = [line.asked, line.shown, limit, holds, f"`{line.part}`"]
        rows.append([*cells, str(about["rounds"]), load])
    return f"## Asked and measured\n\n{_table(head, rows)}\n"


def _load(found: Figures) -> str:
    head = ["", "CPU µs at 1", "at 32", "at 256", "/ openai SDK", "p50, p99 ms at 1", "at 32"]
    rows = []
    for peer, title in _peers(found, "load"):
        cells = [title]
        for width in (1, 32, 256):
            at = {"part": "load", "peer": peer, "width": width}
            cells.append(_number(found.median("cpu_us", **at)))
        ratio = found.ratio("cpu_us", peer, "openai", part="load", width=256)
        cells.append("" if ratio is None else f"{ratio:.3f}")
        for width in (1, 32, 256):
            at = {"part": "load", "peer": peer, "width": width}
            middle, late = found.median("p50_ms", **at), found.median("p99_ms", **at)
            cells.append(f"{_number(middle, 1)}, {_number(late, 1)}")
        rows.append(cells)
    return _table([*head, "at 256"], rows)


def _demos(found: Figures) -> str:
    rows = []
    names = {"call": "asked", "unrendered": "asked, `rendering` off", "hit": "hit in memory"}
    names |= {"sqlite": "hit in a file", "redis": "hit in Redis"}
    for kind, name in names.items():
        at = {"part": "demos", "kind": kind}
        ours, dspy = (found.median("cpu_us", peer=p, **at) for p in ("ours", "dspy"))
        ratio = found.ratio("cpu_us", "ours", "dspy", **at)
        shown = "" if ratio is None else f"{ratio:.3f}"
        rows.append([name, _number(ours), _number(dspy), shown])
    return _table(["CPU µs", "compilm", "DSPy", "ratio"], rows)


def _hits(found: Figures) -> str:
    rows = []
    for peer, title in _peers(found, "hits"):
        at = {"part": "hits", "peer": peer}
        ratio = found.ratio("cpu_us", "ours", peer, part="hits")
        shown = "" if ratio is None else f"{ratio:.3f}"
        rows.append([title, _number(found.median("cpu_us", **at)), shown])
    return _table(["", "CPU µs", "compilm / it"], rows)


def _wall(found: Figures) -> str:
    rows = []
    for peer, title in _peers(found, "wall"):
        cells = [title]
        for way in ("tasks", "threads"):
            value = found.median("wall_s", part="wall", peer=peer, way=way)
            cells.append("" if value is None else f"{value:.2f}, {value / WAVES_S:.1f} ×")
        rows.append(cells)
    return _table(["s, and of ideal", "tasks", "threads"], rows)


def _paced(found: Figures) -> str:
    rows = []
    for peer, title in _peers(found, "paced"):
        cells = [title]
        for way in ("tasks", "threads"):
            at = {"part": "paced", "peer": peer, "way": way}
            share, wait = found.median("of_ideal", **at), found.median("wait_s", **at) or 0.0
            cells.append("" if share is None else f"{share:.2f} × at {wait * 1e3:.0f} ms")
        rows.append(cells)
    return _table(["of ideal", "tasks", "threads"], rows)


def _mix(found: Figures) -> str:
    rows = []
    for peer, title in _peers(found, "mix"):
        at = {"part": "mix", "peer": peer}
        calls = found.total("calls", **at)
        share = 1 - found.total("failed", **at) / calls
        attempts = found.total("attempts", **at) / calls
        waits = [f"{(found.median(f'p{p}_ms', **at) or 0) / 1e3:.2f}" for p in (50, 90, 99)]
        rows.append([title, f"{calls:,.0f}", f"{share:.2%}", *waits, f"{attempts:.2f}"])
    return _table(["", "requests", "answered", "p50 s", "p90 s", "p99 s", "attempts each"], rows)


def _slow(found: Figures) -> str:
    rows = []
    for peer, title in _peers(found, "slow"):
        ended = {fault: found.one(part="slow", peer=peer, fault=fault) for fault in SLOW}
        rows.append([title, *(_ended(row, fault) for fault, row in ended.items())])
    return _table(["", *SLOW], rows)


def _switch(found: Figures) -> str:
    rows = []
    for peer, title in _peers(found, "switch"):
        cells = [title]
        for fault in SWITCH:
            row = found.one(part="switch", peer=peer, fault=fault)
            later = "" if row is None or "next_s" not in row else f"; then {row['next_s']:.1f} s"
            cells.append("" if row is None else f"{row['first']}; {_ended(row)}{later}")
        rows.append(cells)
    return _table(["", *SWITCH], rows)


def _flight(found: Figures) -> str:
    rows = [
        [title, str((found.one(part="flight", peer=peer) or {}).get("asked", ""))]
        for peer, title in _peers(found, "flight")
    ]
    return _table(["", "requests"], rows)


def _quiet(found: Figures) -> str:
    rows = [
        [title, ", ".join((found.one(part="quiet", peer=peer) or {})["hosts"]) or "none"]
        for peer, title in _peers(found, "quiet")
    ]
    return _table(["", "hosts"], rows)


def _peers(found: Figures, part: str) -> list[tuple[str, str]]:
    """Those with rows in a part, and what people call them; with what failed, if anything did."""
    names, titles = [], {peer: title for peer, (title, _) in PEERS.items()}
    titles[UNHEDGED] = 'compilm, with `hedge = "never"`'
    for peer, title in titles.items():
        rows = found.where(part=part, peer=peer)
        failures = sorted({row["error"] for row in rows if "error" in row})
        told = ", ".join(f"`{failure}`" for failure in failures)
        if rows:
            names.append((peer, f"{title}, fails: {told}" if told else title))
    return names


def _ended(row: dict[str, Any] | None, fault: str = "") -> str:
    if not row:
        return ""
    if row["outcome"] == "answered" and fault == "unfinished stream":
        return "**taken as an answer**"
    if row["outcome"] == "runs on":
        return f"**runs on** past {CAP_S:g} s"
    told = row["outcome"] if row["outcome"] == "answered" else f"`{row['outcome']}`"
    return f"{told}, {row['seconds']:.1f} s"


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([body[0], "| --- |" + " ---: |" * (len(head) - 1), *body[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its chart."""
    parser = argparse.ArgumentParser(prog="benchmarks.runtime.publish")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args(arguments)
    found = Figures.read(asked.rows)
    (asked.out / "benchmarks-runtime.md").write_text(page(found), encoding="utf-8")
    if found.about("load"):
        (asked.out / "benchmarks-runtime.svg").write_text(chart(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
