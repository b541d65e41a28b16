"""What may happen to a run: half of it is cancelled, its graph changes, its errors hold secrets."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest

from compilm.errors import JournalError, ProgramError
from compilm.graphs import END, Graph, Node, Pause, Paused, Runs
from compilm.journal import Journal, MemoryJournal, open_journal


def ask(ok: bool | None = None) -> dict[str, Any]:
    if ok is None:
        raise Pause("ok?")
    return {"ok": ok}


def chain(**nodes: Any) -> Graph:
    names = [*nodes, END]
    return Graph(nodes, dict(zip(nodes, names[1:])), names[0])


def test_a_run_that_wrote_nothing_is_finished_once() -> None:
    journal = MemoryJournal()
    runs = Runs(chain(a=dict), journal)
    first = runs.start("r")
    assert len(first) == len(runs.start("r")) == len(runs.resume("r")) == 0
    assert [each.kind for each in journal.read()].count("graph.finished") == 1


def test_a_cancelled_branch_leaves_none_behind_that_goes_on_without_the_run() -> None:
    journal, log = MemoryJournal(), list[str]()

    async def start() -> dict[str, Any]:
        return {}

    async def main() -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def bad() -> dict[str, Any]:
            await begun.wait()
            raise asyncio.CancelledError

        async def slow() -> dict[str, Any]:
            begun.set()
            try:
                await never.wait()
            finally:
                log.append("slow left")
            return {}

        branches = {"bad": Node(bad, writes=()), "slow": Node(slow, writes=())}
        edges = {"start": ("bad", "slow"), "bad": END, "slow": END}
        graph = Graph({"start": start, **branches}, edges, "start")
        with pytest.raises(asyncio.CancelledError):
            await Runs(graph, journal).astart("r")
        log.append("run left")

    asyncio.run(main())
    assert log == ["slow left", "run left"]


def test_two_tasks_of_one_process_do_not_work_on_one_run() -> None:
    calls, journal = list[int](), MemoryJournal()

    async def main() -> list[Any]:
        gate = asyncio.Event()

        async def pay() -> dict[str, Any]:
            calls.append(1)
            await gate.wait()
            return {"paid": True}

        async def open_gate() -> None:
            gate.set()

        runs = Runs(chain(pay=Node(pay, effect=True)), journal)
        both = (runs.astart("r"), runs.astart("r"), open_gate())
        return await asyncio.gather(*both, return_exceptions=True)

    first, second, _ = asyncio.run(main())
    assert first.paid is True
    assert isinstance(second, JournalError)
    assert calls == [1]


@pytest.fixture(params=["durable", "in hand"])
def go_on(request: pytest.FixtureRequest) -> Any:
    """Pauses with one graph and goes on with another."""

    def does(was: Graph, now: Graph, **inputs: Any) -> Any:
        if request.param == "in hand":
            return now.resume(was(**inputs).to_json(), ok=True)
        journal = MemoryJournal()
        Runs(was, journal).start("r", **inputs)
        return Runs(now, journal).resume("r", ok=True)

    return does


def test_an_answer_is_given_to_nobody_but_the_node_that_asked(go_on: Any) -> None:
    """Here `new` would take anything, and what a person allowed is not what it does."""
    given = list[Any]()

    def new(**anything: Any) -> dict[str, Any]:
        given.append(anything)
        return {}

    was, now = chain(a=dict, ask=ask), chain(a=dict, new=new, ask=ask)
    with pytest.raises(ProgramError, match="step 1 of this run was node 'ask' and would now be"):
        go_on(was, now)
    assert given == []


def test_a_node_that_is_gone_is_told(go_on: Any) -> None:
    for now in (chain(other=ask), chain(desk=dict)):
        was = chain(desk=chain(ask=ask)) if "desk" in now.nodes else chain(ask=ask)
        with pytest.raises(ProgramError, match="begun with another"):
            go_on(was, now)


def test_the_node_that_asked_is_remembered_by_who_goes_on_later() -> None:
    journal, fails = MemoryJournal(), [True]

    def once(ok: bool | None = None) -> dict[str, Any]:
        if ok is not None and fails:
            raise ConnectionError(fails.pop())
        return ask(ok)

    Runs(chain(ask=once), journal).start("r")
    with pytest.raises(ConnectionError):
        Runs(chain(ask=once), journal).resume("r", ok=True)
    with pytest.raises(ProgramError, match="was node 'ask' and would now be 'new'"):
        Runs(chain(new=once), journal).resume("r")
    assert Runs(chain(ask=once), journal).resume("r").ok is True


def test_what_a_run_asks_can_be_seen_while_another_process_has_it(tmp_path: Any) -> None:
    journal: Journal = open_journal(tmp_path / "runs.db")
    runs = Runs(chain(ask=ask), journal)
    paused = runs.start("r")
    release = journal.claim("r")
    assert isinstance(paused, Paused)
    assert runs.question("r") == paused
    assert runs.question("another") is None
    release()
    runs.resume("r", ok=True)
    assert runs.question("r") is None


def test_secrets_of_an_error_are_neither_in_the_journal_nor_told_to_a_fallback() -> None:
    def down() -> dict[str, Any]:
        raise ConnectionError("postgres://desk:hunter2@db/claims is down")

    journal = MemoryJournal()
    with pytest.raises(ConnectionError, match="hunter2"):
        Runs(chain(a=down), journal).start("r")
    nodes = {"a": Node(down, fallback="b"), "b": lambda failure: {"why": failure["message"]}}
    Runs(Graph(nodes, {"a": "b", "b": END}, "a"), journal).start("s")
    told = str([each.body for each in journal.read()])
    assert "[secret]@db/claims is down" in told
    assert "hunter2" not in told


def test_only_a_graph_has_durable_runs() -> None:
    with pytest.raises(ProgramError, match="is one of a Graph, not of a Predict"):
        Runs(dspy.Predict("question -> answer"), MemoryJournal())  # type: ignore[arg-type]
