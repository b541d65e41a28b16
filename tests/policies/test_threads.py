"""Threads to leave behind: never too few, used again, and no process waits for them to end."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from compilm.policies.threads import Threads

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def test_a_hundred_that_hang_do_not_keep_the_next_from_running() -> None:
    threads, let_go = Threads(), threading.Event()
    hanging = [threads.run(let_go.wait) for _ in range(100)]
    for each in hanging:
        threads.abandon(each)
    assert threads.abandoned == 100
    assert threads.run(lambda: 1).result(10) == 1
    let_go.set()
    assert all(each.result(10) for each in hanging)


def test_an_idle_thread_is_used_again_and_only_some_are_kept() -> None:
    threads, together = Threads(idle=2), threading.Barrier(6)
    first = [threads.run(lambda: (together.wait(), threading.get_ident())[1]) for _ in range(6)]
    used = {each.result(10) for each in first}
    while len(threads._idle) < 2 or sum(t.ident in used for t in threading.enumerate()) > 2:
        pass  # four of the six are about to end
    assert threads.run(threading.get_ident).result(10) in used


def test_the_context_goes_along_and_what_is_raised_comes_back() -> None:
    token = WHO.set("caller")
    assert Threads().run(WHO.get).result(10) == "caller"
    WHO.reset(token)
    with pytest.raises(ZeroDivisionError):
        Threads().run(lambda: 1 / 0).result(10)


def test_a_process_ends_though_a_thread_hangs() -> None:
    code = (
        "import threading\n"
        "from compilm.policies.threads import Threads\n"
        "threads = Threads()\n"
        "threads.abandon(threads.run(threading.Event().wait))\n"
        "print(threads.abandoned)\n"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
