"""A durable run goes on after the last finished step, in any process, and asks once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from compilm.errors import JournalError, ProgramError
from compilm.graphs import END, Choice, Graph, Map, Node, Pause, Paused, Runs
from compilm.journal import Journal, MemoryJournal, Record, open_journal

CALLS: list[str] = []


class Killed(BaseException):
    """What ends a process, as far as the graph can see it."""


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_journal(tmp_path / "runs.db")


def step(name: str) -> Any:
    def call() -> dict[str, Any]:
        CALLS.append(name)
        return {name: name}

    return Node(call, writes=(name,))


def approve(ok: bool | None = None) -> dict[str, Any]:
    if ok is None:
        raise Pause("ok?", why="policy")
    return {"ok": ok}


def desk() -> Graph:
    inner = Graph({"c": step("c"), "d": step("d")}, {"c": "d", "d": END}, "c")
    return Graph(
        nodes={
            "a": step("a"),
            "inner": inner,
            "b": step("b"),
            "each": Map(lambda item: CALLS.append(f"item{item}"), over="items", into="each"),
            "ask": approve,
            "end": step("end"),
        },
        edges={
            "a": ("inner", "b"),
            "inner": "each",
            "b": "each",
            "each": "ask",
            "ask": Choice("ok", {True: "end", False: "a"}),
            "end": END,
        },
        start="a",
        inputs=["items"],
        outputs=["end", "c", "each"],
    )


class Cut(MemoryJournal):
    """A journal whose process dies right after, or right before, its n-th append."""

    def __init__(self, records: list[Record], left: int, *, before: bool) -> None:
        super().__init__()
        self._records, self._seq = list(records), len(records)
        self._left, self._before = left, before

    def append(self, record: Record) -> Record:
        self._left -= 1
        if self._left == 0 and self._before:
            raise Killed
        kept = super().append(record)
        if self._left == 0:
            raise Killed
        return kept


def test_a_run_is_kept_paused_and_finished(journal: Journal) -> None:
    runs = Runs(desk(), journal)
    paused = runs.start("r", items=[1, 2])
    assert isinstance(paused, Paused)
    assert (paused.run, paused.node, paused.details) == ("r", "ask", {"why": "policy"})
    kept = runs.look("r")
    assert (kept.status, kept.question["question"]) == ("paused", "ok?")
    assert runs.paused() == ["r"]

    elsewhere = Runs(desk(), journal)
    assert elsewhere.start("r", items=[1, 2]) == paused  # the same command again asks the same
    assert elsewhere.resume("r") == paused
    done = elsewhere.resume("r", ok=True)
    assert done.toDict() == {"end": "end", "c": "c", "each": [None, None]}
    assert elsewhere.resume("r").toDict() == done.toDict()
    assert (elsewhere.paused(), elsewhere.look("r").status) == ([], "finished")
    assert sorted(CALLS) == ["a", "b", "c", "d", "end", "item1", "item2"]


def test_a_run_in_tasks_is_the_same(journal: Journal) -> None:
    runs = Runs(desk(), journal)
    assert asyncio.run(runs.astart("r", items=[1])).question == "ok?"
    assert asyncio.run(runs.aresume("r", ok=True)).end == "end"
    assert sorted(CALLS) == ["a", "b", "c", "d", "end", "item1"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_cut_at_any_record_ends_the_same_and_repeats_at_most_one_step(before: bool) -> None:
    whole = MemoryJournal()
    Runs(desk(), whole).start("r", items=[1, 2])
    expected = Runs(desk(), whole).resume("r", ok=True).toDict()
    steps = len(CALLS)
    for cut in range(1, len(list(whole.read())) + 1):
        CALLS.clear()
        dying = Cut([], cut, before=before)
        with pytest.raises(Killed):
            Runs(desk(), dying).start("r", items=[1, 2])
            Runs(desk(), dying).resume("r", ok=True)
        healthy = Cut(list(dying.read()), -1, before=before)
        runs = Runs(desk(), healthy)
        found = runs.start("r", items=[1, 2])
        if isinstance(found, Paused):
            found = runs.resume("r", ok=True)
        assert found.toDict() == expected, cut
        assert len(CALLS) <= steps + before, (cut, CALLS)


def test_a_failed_run_is_told_and_can_be_taken_up_again(journal: Journal) -> None:
    is_down = True

    def lookup() -> dict[str, Any]:
        if is_down:
            raise ConnectionError("down")
        return {"found": 1}

    graph = Graph({"a": step("a"), "look": lookup}, {"a": "look", "look": END}, "a")
    runs = Runs(graph, journal)
    with pytest.raises(ConnectionError):
        runs.start("r")
    assert (runs.look("r").status, runs.look("r").failure["error"]) == ("failed", "ConnectionError")
    assert runs.unfinished() == ["r"]
    is_down = False
    assert runs.resume("r").found == 1
    assert CALLS == ["a"]


def effect(*, keyed: bool, dies: bool) -> Graph:
    def pay(amount: int, idempotency_key: str = "") -> dict[str, Any]:
        CALLS.append(idempotency_key)
        if dies:
            raise Killed
        return {"receipt": f"paid {amount}"}

    def unkeyed(amount: int) -> dict[str, Any]:
        return pay(amount)

    node = Node(pay if keyed else unkeyed, effect=True)
    return Graph({"pay": node}, {"pay": END}, "pay", outputs=["receipt"])


def test_an_effect_with_a_key_is_begun_again_with_the_same_key(journal: Journal) -> None:
    with pytest.raises(Killed):
        Runs(effect(keyed=True, dies=True), journal).start("r", amount=5)
    assert Runs(effect(keyed=True, dies=False), journal).resume("r").receipt == "paid 5"
    assert CALLS == ["r/pay/0", "r/pay/0"]


@pytest.mark.parametrize("happened", [True, False])
def test_an_effect_without_a_key_is_never_begun_twice_unasked(
    journal: Journal, happened: bool
) -> None:
    with pytest.raises(Killed):
        Runs(effect(keyed=False, dies=True), journal).start("r", amount=5)
    runs = Runs(effect(keyed=False, dies=False), journal)
    paused = runs.resume("r")
    assert "'pay' was at work when the run ended. Did it happen?" in paused.question
    assert (paused.node, runs.paused(), len(CALLS)) == ("pay", ["r"], 1)
    with pytest.raises(ProgramError, match="answer happened=True or happened=False"):
        runs.resume("r", yes=True)
    given = {"happened": True, "wrote": {"receipt": "seen"}} if happened else {"happened": False}
    done = runs.resume("r", **given)
    assert (done.receipt, len(CALLS)) == (("seen", 1) if happened else ("paid 5", 2))


def test_an_effect_that_asks_first_has_done_nothing(journal: Journal) -> None:
    def send(ok: bool | None = None) -> dict[str, Any]:
        if ok is None:
            raise Pause("send?")
        CALLS.append("sent")
        return {"sent": ok}

    graph = Graph({"send": Node(send, effect=True)}, {"send": END}, "send", inputs=[])
    runs = Runs(graph, journal)
    assert runs.start("r").question == "send?"
    assert runs.resume("r", ok=True).sent is True
    assert CALLS == ["sent"]


def test_values_are_the_same_whether_a_run_was_killed_or_not(journal: Journal) -> None:
    graph = Graph(
        {"a": lambda: {"pair": (1, 2)}, "b": lambda pair: {"kind": type(pair).__name__}},
        {"a": "b", "b": END},
        "a",
    )
    assert Runs(graph, journal).start("r").kind == "list"


def test_wrong_uses_are_told(journal: Journal) -> None:
    runs = Runs(desk(), journal)
    with pytest.raises(ProgramError, match="there is no run 'x': start it"):
        runs.resume("x", ok=True)
    with pytest.raises(ProgramError, match="'a/b' cannot be an id"):
        runs.start("a/b", items=[])
    runs.start("r", items=[1])
    with pytest.raises(ProgramError, match="'r' was started with other inputs"):
        runs.start("r", items=[2])
    with pytest.raises(ProgramError, match="is one of the graph 'graph', not of 'other'"):
        Runs(desk(), journal, name="other").resume("r", ok=True)
    with pytest.raises(ProgramError, match="node 'ask' takes no answer called 'yes'"):
        runs.resume("r", yes=True)
    assert runs.paused() == ["r"]  # and it can still be answered
    runs.resume("r", ok=True)
    with pytest.raises(ProgramError, match="run 'r' is finished and asks nothing"):
        runs.resume("r", ok=True)
    assert Runs(desk(), journal, name="other").unfinished() == []


def test_two_workers_do_not_take_up_one_run(journal: Journal) -> None:
    runs = Runs(desk(), journal)
    release = journal.claim("r")
    with pytest.raises(JournalError, match="'r' is being worked on"):
        runs.start("r", items=[])
    release()
    assert runs.start("r", items=[]).question == "ok?"


def test_machines_share_runs_in_postgres(postgres_url: str) -> None:
    one, two = open_journal(postgres_url), open_journal(postgres_url)
    Runs(desk(), one).start("r", items=[1])
    release = one.claim("r")
    with pytest.raises(JournalError, match="'r' is being worked on"):
        Runs(desk(), two).resume("r", ok=True)
    release()
    elsewhere = Runs(desk(), two)
    assert elsewhere.paused() == ["r"]
    assert elsewhere.resume("r", ok=True).end == "end"
    assert Runs(desk(), one).look("r").status == "finished"
    assert sorted(CALLS) == ["a", "b", "c", "d", "end", "item1"]
    one.close()
    two.close()
