"""The whole claims desk as a state graph: screen, triage, look up, ground, reply, check, person.

It stands on the first draft in program.py: the same three signatures, the same fixed replies. What
is new around them is what a desk needs that real offices write to: a claims database behind MCP
that may be slow or down, policy passages that an answer has to cite, orders hidden in texts,
names that no model may see, and a person for what it cannot answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy
from metric import TOLD, line_of
from program import ASK, NEEDS_CLAIM, ROUTE, Intent, Slots, Triage, facts, key

from compilm import END, Choice, Graph, Node
from compilm.guardrails import Grounded, Injection, Redacted, Rules
from compilm.guardrails.redaction.rules import KINDS
from compilm.retrieval import FaissIndex, HashedNgrams, Index, Passage, PgVectorIndex, Retriever
from compilm.reviews import asking
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


# Who it is about is hidden from models; which claim it is about is what the desk is asked for.
PERSONAL = tuple(kind for kind in KINDS if kind not in ("CLAIM_NUMBER", "ID_NUMBER"))
ORDERS = Injection(["message"])
POISON = Injection(["passages"], action="drop")
GROUNDED = Grounded("answer", "cited")


def claims_desk(
    database: str = DATABASE, passages: str = "faiss", waits: bool = False, timeout: float = 10.0
) -> Graph:
    """The desk over a claims database and an index of policy passages.

    database: a SQLite file, made if it is not there, or postgresql://…; behind MCP in either case.
    passages: "faiss", or postgresql://… for pgvector.
    waits: whether a message for a person pauses the run. Without it the sender is told that a
        colleague will write, as a compile needs it.
    timeout: seconds that one look into the database may take; it is tried twice.
    """
    server = [sys.executable, str(HERE / "server.py"), "--database", database]
    claims = McpServer("claims", command=server, timeout=timeout)
    return desk(Lookup(claims), indexed(read_passages(POLICIES), passages), waits=waits)


def desk(lookup: Any, policies: Retriever, *, waits: bool = False) -> Graph:
    """The graph itself, over anything that finds claims and passages."""
    return Graph(
        nodes={
            "screen": screen,
            "triage": hiding(dspy.Predict(Triage)),
            "slots": Copied(),
            "decide": decide,
            "lookup": Node(lookup, retries=1, fallback="apologize"),
            "ground": Ground(policies),
            "reply": hiding(dspy.Predict(Reply)),
            "check": check,
            "ask": ask,
            "refuse": lambda: {"outcome": "refuse", "answer": REFUSE},
            "apologize": lambda: {"outcome": "apology", "answer": APOLOGY},
            "person": Person(waits),
        },
        edges={
            "screen": Choice("is_safe", {True: "triage", False: "refuse"}),
            "triage": Choice("intent", {"out_of_scope": "person"}, otherwise="slots"),
            "slots": "decide",
            "decide": Choice("way", {"lookup": "lookup", "ground": "ground", "ask": "ask"}),
            "lookup": Choice("is_found", {True: "ground", False: "ask"}),
            "ground": Choice("is_covered", {True: "reply", False: "person"}),
            "reply": "check",
            "check": Choice("outcome", {"answer": END}, otherwise="person"),
            "ask": Choice("outcome", {"ask": END}, otherwise="person"),
            "refuse": END,
            "apologize": END,
            "person": END,
        },
        start="screen",
        inputs=["message", "asked"],
        outputs=[*FIELDS, "outcome", "record", "sources", "answer"],
    )


def hiding(step: dspy.Module) -> dspy.Module:
    """The step, whose model reads placeholders where the message names persons."""
    return Redacted(step, detector=Rules(kinds=PERSONAL))


def screen(message: str) -> dict[str, bool]:
    """Whether a message is a question, and no order to the software."""
    return {"is_safe": ORDERS(message=message).passed}


class Copied(dspy.Module):
    """Copies the details of the claim from what the office wrote last: it may correct itself."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = hiding(dspy.Predict(Slots))

    def forward(self, message: str) -> dspy.Prediction:
        found: dspy.Prediction = self.slots(message=message.strip().splitlines()[-1])
        return found


def decide(intent: str, claim_number: str) -> dict[str, str]:
    """Where a message goes once it is known what it asks, and about which claim."""
    if key(claim_number) not in ("", "NONE"):
        return {"way": "lookup"}
    return {"way": "ask" if intent in NEEDS_CLAIM else "ground"}


def ask(asked: bool = False) -> dict[str, str]:
    """Ask back for the claim, once: who was asked before and could not say is for a person."""
    return {"outcome": "again"} if asked else {"outcome": "ask", "answer": ASK}


class Lookup(dspy.Module):
    """Asks the claims server for a record; that it cannot be asked is not "not found"."""

    def __init__(self, claims: McpServer) -> None:
        super().__init__()
        self.claims = claims

    def forward(self, claim_number: str) -> dspy.Prediction:
        (lookup_claim,) = self.claims.tools()
        found = lookup_claim.run(claim_number=claim_number).checked()
        record = found["record"]
        return dspy.Prediction(
            is_found=found["found"],
            record="\n".join(facts(record)) if record else "",
            code=record.get("denial_code", ""),
        )


class Ground(dspy.Module):
    """Finds the policy passages that an answer may cite, and gives each source its mark."""

    def __init__(self, policies: Retriever, k: int = 2) -> None:
        super().__init__()
        self.policies, self.k = policies, k

    def forward(
        self, message: str, intent: str, claim_number: str, record: str = "", code: str = ""
    ) -> dspy.Prediction:
        topic = code if intent == "denial_reason" and code else TOPICS.get(intent, code)
        found = self.policies.search(f"{message} {record}", self.k, where={"topic": topic})
        texts = [each.text for each in found]
        safe = POISON(passages=texts).get("passages", texts)
        told = line_of(TOLD[intent], record) if intent in TOLD else ""
        cited = {claim_number: told} if told else {}
        cited |= {each.id: each.text for each in found if each.text in safe}
        sources = "\n".join(marked(text, mark) for mark, text in cited.items())
        return dspy.Prediction(sources=sources, cited=cited, is_covered=bool(safe))


def marked(text: str, mark: str) -> str:
    """A source as a sentence that ends with its mark.

    >>> marked("Appeals take 30 days.", "P15.2")
    'Appeals take 30 days [P15.2].'
    """
    return f"{text.rstrip('.')} [{mark}]."


def check(answer: str, cited: Mapping[str, str]) -> dict[str, str]:
    """Whether each sentence of the answer stands in the source that it cites; else a person."""
    return {"outcome": "answer" if GROUNDED(answer=answer, cited=cited).passed else "person"}


class Person(dspy.Module):
    """Hands the message to a person with the reason, or tells the sender that one will write."""

    def __init__(self, waits: bool) -> None:
        super().__init__()
        self.waits = waits

    def forward(
        self,
        message: str,
        intent: str,
        outcome: str = "",
        is_covered: bool = True,
        answer: str = "",
        reply: str | None = None,
    ) -> dspy.Prediction:
        if self.waits and reply is None:
            raise asking(
                "What should this office be told?",
                fields=["reply"],
                reason=reason_of(intent, outcome, is_covered),
                draft={"message": message, "answer": answer},
            )
        return dspy.Prediction(outcome="route", answer=reply or ROUTE)


def reason_of(intent: str, outcome: str, is_covered: bool) -> str:
    """Why a person is asked.

    >>> reason_of("claim_status", "again", is_covered=True)
    'missing context: asked for the claim twice'
    """
    if intent == "out_of_scope":
        return "out of scope"
    if outcome == "again":
        return "missing context: asked for the claim twice"
    if not is_covered:
        return "missing context: no policy passage covers it"
    return "guardrail: the answer does not stand in its sources"


def read_passages(path: Path) -> list[Passage]:
    """The policy passages of a file, one JSON object a line."""
    rows: Iterable[Mapping[str, str]] = map(json.loads, path.read_text("utf-8").splitlines())
    return [
        Passage(row["id"], row["text"], {"topic": row["topic"], "title": row["title"]})
        for row in rows
    ]


def indexed(passages: Sequence[Passage], where: str = "faiss") -> Index:
    """The passages, ready to be searched: in memory, or in a table of a Postgres with pgvector."""
    embedder = HashedNgrams(1024)
    index = FaissIndex(embedder) if where == "faiss" else PgVectorIndex(where, "policies", embedder)
    index.add(passages)
    return index
