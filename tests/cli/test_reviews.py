"""`compilm reviews`: list, claim, answer, expire, export; and a run that goes on here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from compilm.artifact import write
from compilm.config import load_config
from compilm.errors import ConfigError
from compilm.programs.dspy_state import adopt
from compilm.programs.reference import build
from compilm.reviews import Reviews

PROGRAM = Path(__file__).parents[1] / "reviews" / "program.py"


@pytest.fixture
def queue(folder: Path) -> Reviews:
    (folder / "compilm.toml").write_text('program = "program.py:letters"\n')
    return Reviews(folder / ".compilm" / "reviews.db", new_id=iter(["aa1", "bb2"]).__next__)


def asked(queue: Reviews) -> None:
    queue.ask("May this be sent?", reason="a refund", fields=("approved",),
              inputs={"message": "hi"}, draft={"text": "Dear you"})  # fmt: skip


def test_what_a_stranger_wrote_gives_no_orders_to_the_terminal(
    queue: Reviews, command: Command
) -> None:
    queue.ask("Fine?\x1b[2J", reason="\x1b]0;root\x07", draft={"text": "\x1b[31mred\r\nno"})
    assert "\x1b" not in command("reviews", "list").out
    shown = command("reviews", "list", "aa1").out
    assert "draft.text: \ufffd[31mred\ufffd\nno" in shown
    assert "\x1b" not in shown


def test_nothing_waits_at_first(queue: Reviews, command: Command) -> None:
    assert command("reviews", "list").out == "nothing is waiting\n"
    assert command("reviews", "claim").out == "nothing is waiting\n"
    assert command("reviews", "list", "--status", "expired").out == "none is expired\n"


def test_a_review_is_listed_claimed_answered_and_exported(
    queue: Reviews, command: Command, folder: Path
) -> None:
    asked(queue)
    assert "aa1  open" in command("reviews", "list").out
    assert "May this be sent?  (a refund)" in command("reviews", "list").out
    claimed = command("reviews", "claim", "--by", "ana").out
    assert "draft.text: Dear you" in claimed
    assert "compilm reviews answer aa1 approved=..." in claimed
    taken = command("reviews", "answer", "aa", "approved:=true", "--by", "ben")
    assert taken.code == 4
    assert "claimed by ana" in taken.err
    assert command("reviews", "answer", "aa", "approved:=true", "--by", "ana").out == (
        "aa1 is answered\n"
    )
    (shown,) = command("reviews", "list", "--status", "all", "--json").json["reviews"]
    assert (shown["status"], shown["answer"]) == ("answered", {"approved": True})
    assert command("reviews", "export", "people.jsonl").out == "1 rows in people.jsonl\n"
    assert json.loads((folder / "people.jsonl").read_text()) == {
        "message": "hi", "approved": True, "id": "aa1"
    }  # fmt: skip
    assert "answer.approved: True" in command("reviews", "list", "aa1").out


def test_what_is_overdue_ends(queue: Reviews, command: Command) -> None:
    queue.ask("?", within=-1.0, fallback={"x": 1})
    queue.ask("?", within=-1.0)
    assert command("reviews", "expire").out == "2 ended, 1 by a fallback\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["answer", "aa1"], "give an id and an answer"),
        (["export"], "takes a file"),
        (["list", "zz"], "no review begins with 'zz'"),
        (["steal"], "invalid choice: 'steal'"),
    ],
)
def test_what_is_wrong_is_told(
    queue: Reviews, command: Command, argv: list[str], told: str
) -> None:
    done = command("reviews", *argv)
    assert done.code == 2
    assert told in done.err


def test_an_answer_with_the_artifact_takes_the_run_on(
    queue: Reviews, command: Command, folder: Path
) -> None:
    from compilm.cli.reviewing import desk_at
    from compilm.runtime.load import load
    from compilm.testing.engines import scripted_lm

    shutil.copy(PROGRAM, folder / "program.py")
    (folder / "compilm.toml").write_text('program = "program.py:letters"\nname = "letters"\n')
    graph = build("program.py:letters", base=folder)
    graph.save(folder / "state.json")
    artifact = adopt(folder / "state.json", graph)
    write(artifact, folder / "build")
    runtime = load(artifact, graph, roles={"default": scripted_lm([{"answer": "Dear you."}])})
    waiting = desk_at(load_config(folder, env={}, cwd=folder), runtime).start(
        "r-1", message="hello"
    )
    done = command("reviews", "answer", waiting.review.id, "approved:=true", "--by", "ana",
                   "--artifact", "build", "--set", "lm.default.model=embedded/base")  # fmt: skip
    assert done.code == 0, done.err
    assert "sent: True" in done.out
    assert "answer: Dear you." in done.out


def test_a_password_in_the_address_is_refused_and_not_repeated(folder: Path) -> None:
    (folder / "compilm.toml").write_text('[runtime]\nreviews = "postgresql://a:hush@db/x"\n')
    with pytest.raises(ConfigError, match="PGPASSWORD") as refused:
        load_config(folder, env={}, cwd=folder)
    assert "hush" not in str(refused.value)
