"""The whole claims desk as a state graph: screen, triage, look up, ground, reply, check, or a person.

It stands on the first draft in program.py: the same three signatures, the same fixed replies. What
is new around them is what a desk needs that real offices write to: a claims database behind MCP
that may be slow or down, policy passages that an answer has to cite, orders hidden in texts,
names that no model may see, and a person for what it cannot answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy
from metric import TOLD, line_of
from program import ASK, NEEDS_CLAIM, ROUTE, Intent, Slots, Triage, facts, key

from compilm import END, Choice, Graph, Node, Pause
from compilm.retrieval import Bm25, Passage, Retriever
from compilm.tools import McpServer

HERE = Path(__file__).parent
POLICIES = HERE / "data" / "policies.jsonl"
DATABASE = "build/claims.sqlite"

REFUSE = (
    "This message gives orders to the desk's software, and we do not act on those. "
    "Please write again and ask your question alone."
)
APOLOGY = (
    "Our claims system is down at the moment, so we cannot look this claim up. "
    "Please ask again in an hour; nothing you sent is lost."
)
FIELDS = ("intent", "claim_number", "amount", "service_date")
TOPICS = {
    "claim_status": "status",
    "payment_trace": "payment",
    "appeal_status": "appeal",
    "appeal_submit": "appeal",
    "corrected_claim": "correction",
    "prior_auth": "approval",
    "eligibility": "coverage",
    "coordination_of_benefits": "D-26",
    "timely_filing": "D-19",
}


class Reply(dspy.Signature):
    """Answer the message in two sentences from the sources, each with the mark of its source."""

    message: str = dspy.InputField()
    intent: Intent = dspy.InputField()
    sources: str = dspy.InputField(desc="the record and policy passages, each with its mark")
    answer: str = dspy.OutputField()


def claims_desk(
    database: str = DATABASE, passages: str = "faiss", waits: bool = False
) -> dspy.Module:
    """The desk over a claims database and an index of policy passages.

    database: a SQLite file, made if it is not there, or postgresql://…; behind MCP in either case.
    passages: "faiss", or postgresql://… for pgvector.
    waits: whether a message for a person pauses the run. Without it the sender is told that a
        colleague will write, as a compile needs it.
    """
    server = [sys.executable, str(HERE / "server.py"), "--database", database]
    claims = McpServer("claims", command=server, timeout=10.0)
    return desk(Lookup(claims), indexed(read_passages(POLICIES), passages), waits=waits)


def desk(lookup: Any, policies: Retriever, *, waits: bool = False) -> dspy.Module:
    """The graph itself, over anything that finds claims and passages."""
    return Graph(
        nodes={
            "screen": screen,
            "triage": dspy.Predict(Triage),
            "slots": dspy.Predict(Slots),
            "decide": decide,
            "lookup": Node(lookup, fallback="apologize"),
            "ground": Ground(policies),
            "reply": dspy.Predict(Reply),
            "check": check,
            "ask": lambda: {"outcome": "ask", "answer": ASK},
            "refuse": lambda: {"outcome": "refuse", "answer": REFUSE},
            "apologize": lambda: {"outcome": "apology", "answer": APOLOGY},
            "person": Person(waits),
        },
        edges={
            "screen": Choice("suspicion", {"": "triage"}, otherwise="refuse"),
            "triage": Choice("intent", {"out_of_scope": "person"}, otherwise="slots"),
            "slots": "decide",
            "decide": Choice("way", {"lookup": "lookup", "ground": "ground", "ask": "ask"}),
            "lookup": Choice("is_found", {True: "ground", False: "ask"}),
            "ground": Choice("is_covered", {True: "reply", False: "person"}),
            "reply": "check",
            "check": Choice("outcome", {"answer": END}, otherwise="person"),
            "ask": END,
            "refuse": END,
            "apologize": END,
            "person": END,
        },
        start="screen",
        inputs=["message"],
        outputs=[*FIELDS, "outcome", "record", "sources", "answer"],
    )


def screen(message: str) -> dict[str, str]:
    """Whether a message tries to give orders to the software."""
    found = ORDERS.search(message)
    return {"suspicion": found[0] if found else ""}


ORDERS = re.compile(r"ignore all previous|disregard the rules|forget your instructions", re.I)


def decide(intent: str, claim_number: str) -> dict[str, str]:
    """Where a message goes once it is known what it asks, and about which claim."""
    if key(claim_number) not in ("", "NONE"):
        return {"way": "lookup"}
    return {"way": "ask" if intent in NEEDS_CLAIM else "ground"}


class Lookup(dspy.Module):
    """Asks the claims server for a record; raises if it cannot be asked, which is not "not found"."""

    def __init__(self, claims: McpServer) -> None:
        super().__init__()
        self.claims = claims

    def forward(self, claim_number: str) -> dspy.Prediction:
        (lookup_claim,) = self.claims.tools()
        found = lookup_claim.run(claim_number=claim_number).checked()
        record = "\n".join(facts(found["record"])) if found["found"] else ""
        return dspy.Prediction(
            is_found=found["found"], record=record, code=found["record"].get("denial_code", "")
        )


class Ground(dspy.Module):
    """Finds the policy passages that an answer may cite, each with its mark at its end."""

    def __init__(self, policies: Retriever, k: int = 2) -> None:
        super().__init__()
        self.policies, self.k = policies, k

    def forward(
        self, message: str, intent: str, claim_number: str, record: str = "", code: str = ""
    ) -> dspy.Prediction:
        topic = code if intent == "denial_reason" and code else TOPICS.get(intent, code)
        found = self.policies.search(f"{message} {record}", self.k, where={"topic": topic})
        told = line_of(TOLD[intent], record) if intent in TOLD else ""
        sources = [marked(told, claim_number)] if told else []
        sources += [marked(each.text, each.id) for each in found]
        return dspy.Prediction(sources="\n".join(sources), is_covered=bool(found))


def marked(text: str, mark: str) -> str:
    """A source as a sentence that ends with its mark.

    >>> marked("Appeals take 30 days.", "P15.2")
    'Appeals take 30 days [P15.2].'
    """
    return f"{text.rstrip('.')} [{mark}]."


def check(answer: str, sources: str) -> dict[str, str]:
    """Whether each sentence of the answer stands in what it was given."""
    return {"outcome": "answer" if answer.strip() else "person"}


class Person(dspy.Module):
    """Hands the message to a person, or tells the sender that one will write."""

    def __init__(self, waits: bool) -> None:
        super().__init__()
        self.waits = waits

    def forward(self, message: str, reply: str | None = None) -> dspy.Prediction:
        if self.waits and reply is None:
            raise Pause("What should this office be told?", message=message)
        return dspy.Prediction(outcome="route", answer=reply or ROUTE)


def read_passages(path: Path) -> list[Passage]:
    """The policy passages of a file, one JSON object a line."""
    rows: Iterable[Mapping[str, str]] = map(json.loads, path.read_text("utf-8").splitlines())
    return [
        Passage(row["id"], row["text"], {"topic": row["topic"], "title": row["title"]})
        for row in rows
    ]


def indexed(passages: Sequence[Passage], where: str) -> Retriever:
    """The passages, ready to be searched."""
    index = Bm25()
    index.add(passages)
    return index
