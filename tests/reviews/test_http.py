"""A served graph asks: 202 with the review, the queue over HTTP, and the run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from fastapi.testclient import TestClient
from tests.reviews.program import letters

from compilm.clock import ManualClock
from compilm.errors import ProgramError
from compilm.journal import open_journal
from compilm.programs.dspy_state import adopt
from compilm.reviews import Reviews
from compilm.runtime.desk import desk_of
from compilm.runtime.http.app import create_app
from compilm.runtime.load import Runtime, load
from compilm.testing.engines import scripted_lm


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    letters().save(tmp_path / "state.json")
    lm = scripted_lm([{"answer": "Dear you."}])
    return load(adopt(tmp_path / "state.json", letters()), letters(), roles={"default": lm})


@pytest.fixture
def reviews(clock: ManualClock, tmp_path: Path) -> Reviews:
    return Reviews(tmp_path / "reviews.db", clock=clock)


@pytest.fixture
def client(runtime: Runtime, reviews: Reviews, tmp_path: Path) -> Iterator[TestClient]:
    desk = desk_of(runtime, "letters", open_journal(tmp_path / "runs.db"), reviews)
    app = create_app(runtime, name="letters", desk=desk)
    with TestClient(app) as client:
        yield client


def asked(client: TestClient, run: str) -> Any:
    answer = client.post("/v1/run", json={"message": "hello"}, headers={"X-Run-Id": run})
    assert answer.status_code == 202
    return answer.json()


def test_a_call_that_waits_is_202_and_an_answer_takes_it_on(
    client: TestClient, runtime: Runtime
) -> None:
    told = asked(client, "r-1")
    id = told["review"]["id"]
    assert told == {
        "status": "waiting",
        "run": "r-1",
        "review": {"id": id, "question": "May this be sent?", "reason": "it is a letter"},
    }
    assert asked(client, "r-1") == told  # sent twice, it is one run and one review
    (listed,) = client.get("/v1/reviews", params={"status": "open"}).json()["reviews"]
    assert listed["draft"] == {"answer": "Dear you."}
    assert client.get(f"/v1/reviews/{id}").json() == listed
    claimed = client.post("/v1/reviews/claim", json={"by": "ana"}).json()["review"]
    assert (claimed["id"], claimed["status"]) == (id, "claimed")
    assert client.post("/v1/reviews/claim", json={"by": "ben"}).json() == {"review": None}
    done = client.post(f"/v1/reviews/{id}/answer", json={"by": "ana", "answer": {"approved": True}})
    assert done.status_code == 200
    assert done.json() == {
        "outcome": {"status": "finished", "outputs": {"answer": "Dear you.", "sent": True}}
    }
    again = client.post("/v1/run", json={"message": "hello"}, headers={"X-Run-Id": "r-1"})
    assert (again.status_code, again.json()) == (200, {"answer": "Dear you.", "sent": True})
    assert runtime.roles["default"].engine.calls == 1  # nothing was asked twice


def test_of_two_people_the_second_is_told_409(client: TestClient, clock: ManualClock) -> None:
    id = asked(client, "r-1")["review"]["id"]
    client.post(f"/v1/reviews/{id}/claim", json={"by": "ana", "lease": 60})
    for path, body in (
        ("claim", {"by": "ben"}),
        ("answer", {"by": "ben", "answer": {"approved": True}}),
    ):
        refused = client.post(f"/v1/reviews/{id}/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "taken")
        assert refused.headers["retry-after"] == "60"
    clock.advance(61.0)
    taken = client.post(f"/v1/reviews/{id}/claim", json={"by": "ben"})
    assert taken.json()["review"]["claimed_by"] == "ben"


def test_what_is_wrong_is_told(client: TestClient) -> None:
    id = asked(client, "r-1")["review"]["id"]
    wrong = client.post(f"/v1/reviews/{id}/answer", json={"by": "ana", "answer": {"ok": True}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid-input")
    assert "is answered by approved" in wrong.json()["detail"]
    for path in ("/v1/reviews/none", "/v1/reviews/none/claim", "/v1/reviews/none/answer"):
        method = client.get if path.endswith("none") else client.post
        more = {} if path.endswith("none") else {"json": {"by": "a", "answer": {"x": 1}}}
        assert method(path, **more).status_code == 404
    assert client.post("/v1/reviews/claim", json={"by": "a", "lease": -1}).status_code == 422
    assert client.post("/v1/run", json={"mesage": "typo"}).status_code == 422


def test_what_was_answered_elsewhere_goes_on_when_it_is_settled(
    client: TestClient, reviews: Reviews
) -> None:
    id = asked(client, "r-1")["review"]["id"]
    reviews.answer(id, by="ana", answer={"approved": False})  # as `compilm reviews answer` does
    assert client.post("/v1/reviews/settle").json() == {"resumed": ["r-1"]}
    done = client.post("/v1/run", json={"message": "hello"}, headers={"X-Run-Id": "r-1"})
    assert done.json()["sent"] is False


def test_a_server_that_starts_goes_on_with_what_was_answered(
    runtime: Runtime, reviews: Reviews, tmp_path: Path
) -> None:
    desk = desk_of(runtime, "letters", open_journal(tmp_path / "runs.db"), reviews)
    waiting = desk.start("r-1", message="hello")
    reviews.answer(waiting.review.id, by="ana", answer={"approved": True})
    settled: list[list[str]] = []
    settle, desk.settle = desk.settle, lambda: settled.append(settle())  # type: ignore[method-assign, assignment, func-returns-value]
    with TestClient(create_app(runtime, name="letters", desk=desk, clock=ManualClock())) as client:
        while not settled:
            client.get("/livez")
    assert settled[0] == ["r-1"]
    assert desk.runs.look("r-1").outputs == {"answer": "Dear you.", "sent": True}


def test_without_a_desk_there_is_no_queue(runtime: Runtime) -> None:
    with TestClient(create_app(runtime, name="letters")) as client:
        assert client.get("/v1/reviews").status_code == 404


def test_only_a_graph_can_wait(tmp_path: Path, reviews: Reviews) -> None:
    dspy.Predict("q -> a").save(tmp_path / "plain.json")
    plain = load(
        adopt(tmp_path / "plain.json", dspy.Predict("q -> a")),
        dspy.Predict("q -> a"),
        roles={"default": scripted_lm([{"a": "4"}])},
    )
    with pytest.raises(ProgramError, match="Predict is no graph"):
        desk_of(plain, "plain", open_journal(None), reviews)


def test_nothing_that_is_sent_is_an_error_of_the_server(client: TestClient) -> None:
    id = asked(client, "r-1")["review"]["id"]
    for limit in ("-1", "1001", "9" * 30, "x"):
        assert client.get("/v1/reviews", params={"limit": limit}).status_code == 422
    for path in ("%00", "a%27%3B--", "%ED%A0%80", "x" * 5000, "%25"):
        assert client.get(f"/v1/reviews/{path}").status_code == 404
        assert client.post(f"/v1/reviews/{path}/claim", json={"by": "ana"}).status_code == 404
    strange = b'{"by": "ana", "answer": {"approved": "\\ud83d\\u0000"}}'
    json = {"content-type": "application/json"}
    for by in ("\x00", " ", "a\x1b[2J"):
        assert client.post("/v1/reviews/claim", json={"by": by}).status_code == 422
    for lease in ("NaN", "Infinity", "-1", "1e400"):
        body = f'{{"by": "ana", "lease": {lease}}}'
        assert client.post("/v1/reviews/claim", content=body, headers=json).status_code == 422
    for run in ("../../etc/passwd", "a b", "x" * 201):
        sent = client.post("/v1/run", json={"message": "hi"}, headers={"X-Run-Id": run})
        assert sent.status_code == 422
    answered = client.post(f"/v1/reviews/{id}/answer", content=strange, headers=json)
    assert answered.status_code == 200
    assert "\\ud83d" in client.get("/v1/reviews").text
