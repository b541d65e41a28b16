"""The benchmarks of the runtime: providers count, loads are true, pages are functions of rows."""

from __future__ import annotations

import asyncio
import re
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from benchmarks.runtime.acceptance import lines
from benchmarks.runtime.figures import Figures
from benchmarks.runtime.fleet import Fleet
from benchmarks.runtime.load import in_tasks, in_threads
from benchmarks.runtime.lookups import looked_up
from benchmarks.runtime.parts import PARTS, Size, flight, load
from benchmarks.runtime.publish import chart, main, page
from benchmarks.runtime.run import main as run
from benchmarks.runtime.server import LoopbackProviders

PLACE = {"machine": {"python": "3.11", "cores": 2, "packages": {"dspy": "3"}}, "date": "2026-01-01"}


def about(part: str) -> dict[str, Any]:
    told = {"part": "about", "of": part, "seconds": 9, "rounds": 3, "load": [1.0, 2.0]}
    return {**told, **PLACE, "absent": {"router": "not there"}}


def loads(peer: str, cpu_us: float, **more: Any) -> list[dict[str, Any]]:
    """Three rounds at 256, the machine slower in each."""
    waits = {"p50_ms": 1.0, "p99_ms": 9.0}
    return [
        {
            "part": "load",
            "peer": peer,
            "round": r,
            "width": 256,
            "cpu_us": cpu_us * (r + 1),
            **waits,
        }
        for r in range(3)
    ]


def some() -> Figures:
    mixed = {"part": "mix", "round": 0, "calls": 1000, "p50_ms": 60, "p90_ms": 900}
    return Figures(
        [
            about("load"),
            *loads("ours", 100.0),
            *loads("openai", 2000.0),
            about("mix"),
            {**mixed, "peer": "ours", "failed": 2, "attempts": 1400, "p99_ms": 3000.0},
            {**mixed, "peer": "router", "failed": 0, "attempts": 1500, "p99_ms": 12000.0},
            about("slow"),
            {"part": "slow", "peer": "ours", "fault": "drip", "outcome": "T", "seconds": 3.0},
            {
                "part": "slow",
                "peer": "ours",
                "fault": "hang",
                "outcome": "answered",
                "seconds": 1.0,
            },
            {
                "part": "slow",
                "peer": "openai",
                "fault": "drip",
                "outcome": "runs on",
                "seconds": 35,
            },
            {
                "part": "slow",
                "peer": "openai",
                "fault": "unfinished stream",
                "outcome": "answered",
                "seconds": 0.1,
            },
        ]
    )


def test_a_demand_is_judged_by_ratios_within_a_round() -> None:
    found = {line.asked: line for line in lines(some())}
    cost = found["CPU at 256 in flight / bare openai SDK"]
    assert (cost.measured, cost.holds) == (0.05, True)
    slower = found["30 % faults: p99 / LiteLLM Router's"]
    assert (slower.measured, slower.holds) == (0.25, True)
    answered = found["30 % faults, 1,000 requests: answered"]
    assert (answered.measured, answered.holds) == (0.998, False)


def test_what_was_not_measured_does_not_hold_and_does_not_fail() -> None:
    found = {line.asked: line for line in lines(some())}
    unrun = found["32 demonstrations: CPU / DSPy's"]
    assert (unrun.measured, unrun.holds, unrun.shown) == (None, None, "not run")
    ended_by_itself = found["hang, deadline 3 s: cut after s"]  # an answer is no cut
    assert ended_by_itself.holds is None


def test_the_page_says_what_holds_what_does_not_and_what_was_not_run() -> None:
    told = page(some())
    rows = [line for line in told.splitlines() if line.startswith("| 30 % faults, 1,000")]
    assert "99.8000% | ≥ 0.999 | **no** | `mix` | 3 | 2 |" in rows[0]
    assert "**runs on** past 35 s" in told
    assert "**taken as an answer**" in told
    assert "Not installed, so absent: router." in told
    assert (
        told.split("## Many at once")[1].split("##")[0].strip().endswith("Not run for this page.")
    )
    assert len(page(Figures([])).splitlines()) < 110


def test_crowds_are_judged_at_the_pace_the_demand_names() -> None:
    rows = [
        {"part": "paced", "peer": peer, "round": 0, "way": "threads", "of_ideal": share}
        for peer, share in (("ours", 1.07), ("dspy", 3.87))
    ]
    found = {line.asked: line for line in lines(Figures(rows))}
    line = found["128 at once, threads, where DSPy takes 3.9 x ideal: wall / ideal"]
    assert (line.measured, line.holds) == (1.07, True)
    unrun = found["128 at once, tasks, where DSPy takes 3.5 to 4.3 x ideal: wall / ideal"]
    assert unrun.holds is None


def test_the_chart_has_a_bar_for_each_peer_the_shortest_on_top() -> None:
    root = ElementTree.fromstring(chart(some()))
    bars = root.findall(".//{http://www.w3.org/2000/svg}rect")
    width = [float(bar.get("width", 0)) for bar in bars]
    assert len(width) == 2
    assert width[0] / width[1] == pytest.approx(0.05, abs=0.001)


def test_a_load_asks_each_question_once_and_counts_what_failed() -> None:
    async def ask(question: str) -> None:
        seen.append(question)
        if question == "3":
            raise ValueError

    seen: list[str] = []
    asked = [str(n) for n in range(10)]
    tasks = asyncio.run(in_tasks(ask, asked, 4))
    threads = in_threads(lambda q: asyncio.run(ask(q)), asked, 4)
    assert sorted(seen) == sorted(asked * 2)
    for done in (tasks, threads):
        assert (done.calls, len(done.seconds), dict(done.errors)) == (10, 10, {"ValueError": 1})


def test_cpu_of_a_load_is_that_of_this_process() -> None:
    async def ask(question: str) -> None:
        end = time.process_time() + 0.002
        while time.process_time() < end:
            pass

    told = asyncio.run(in_tasks(ask, ["a"] * 10, 2)).told()
    assert told["cpu_us"] >= 2000


def test_a_run_measures_ours_and_is_published(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    small = ["--rounds", "1", "--scale", "0.01", "--peers", "ours", "--out", str(rows)]
    assert run([*small, "--parts", "load,flight"]) == 0
    assert run([*small, "--parts", "flight"]) == 0  # takes the place of the first
    assert main([str(rows), "--out", str(tmp_path)]) == 0
    found = Figures.read(rows)
    assert [row["asked"] for row in found.where(part="flight")] == [1]
    assert found.total("failed", part="load", peer="ours") == 0
    assert {row["width"] for row in found.where(part="load", peer="ours")} == {1, 32, 256}
    assert "compilm" in (tmp_path / "benchmarks-runtime.md").read_text("utf-8")


def test_a_load_of_which_a_call_failed_is_no_figure() -> None:
    failed = [{"part": "load", "peer": "ours", "round": 0, "width": 256, "error": "TypeError"}]
    found = Figures([about("load"), *failed, *loads("openai", 2000.0)])
    cost = next(iter(lines(found)))
    assert (cost.asked, cost.measured) == ("CPU at 256 in flight / bare openai SDK", None)
    assert "full stack, fails: `TypeError` |" in page(found)

    class Failing(Fleet):
        def do(self, peer: str, job: Mapping[str, Any]) -> dict[str, Any]:
            return {"row": {"cpu_us": 3.0, "failed": 1, "errors": {"TypeError": 1}}}

    for part in (load, flight):
        rows = list(part(Failing(["ours"]), Size(1, 0.01)))
        assert {row["error"] for row in rows} == {"TypeError"}
        assert not any("cpu_us" in row for row in rows)


def test_the_benchmarks_install_all_that_the_project_needs() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    listed = Path("benchmarks/runtime/requirements.txt").read_text("utf-8")
    names = {re.split(r"[\[<>=]", line)[0] for line in listed.splitlines()}
    assert {re.split(r"[\[<>=]", each)[0] for each in project["dependencies"]} <= names


def test_a_lookup_of_another_host_is_heard() -> None:
    with LoopbackProviders({}) as there:
        assert looked_up("openai", there.urls[0]) == []
        assert looked_up("nobody", there.urls[0]) is None


def test_every_part_that_is_judged_can_be_run() -> None:
    assert {line.part for line in lines(Figures([]))} <= {*PARTS}
