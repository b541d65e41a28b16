"""The claims desk's front door: what a provider's office asks, about which claim, and a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import dspy

CLAIMS = Path(__file__).with_name("data") / "claims.jsonl"

Record: TypeAlias = Mapping[str, str]
Intent: TypeAlias = Literal[
    "claim_status",
    "denial_reason",
    "payment_trace",
    "appeal_status",
    "appeal_submit",
    "corrected_claim",
    "prior_auth",
    "eligibility",
    "coordination_of_benefits",
    "timely_filing",
    "out_of_scope",
]
Outcome: TypeAlias = Literal["answer", "ask", "route"]

# These cannot be answered without the claim; for the others the desk's guide is an answer.
NEEDS_CLAIM = frozenset({"claim_status", "denial_reason", "payment_trace", "appeal_status"})

GUIDES: Mapping[str, str] = {
    "appeal_submit": "Send the appeal form and the records within 180 days of the decision.",
    "corrected_claim": "Send a replacement claim that names the number of the first one.",
    "prior_auth": "Ask for approval in the portal under Requests, or by phone if it is urgent.",
    "eligibility": "Coverage and benefits on a date are shown in the portal under Members.",
    "coordination_of_benefits": "Send the other plan's decision or the letter that ended it.",
    "timely_filing": "A claim must arrive within 120 days; a receipt report proves the date.",
}

ASK = (
    "We could not find the claim you are asking about. "
    "Please send the claim number as it is printed on our letter."
)
ROUTE = (
    "This desk answers billing offices about claims and coverage. "
    "A colleague will read your message and come back to you."
)


class Triage(dspy.Signature):
    """Decide what a message from a provider's billing office asks for."""

    message: str = dspy.InputField()
    intent: Intent = dspy.OutputField()


class Slots(dspy.Signature):
    """Copy the details of the claim from the message. Write none for what it does not say."""

    message: str = dspy.InputField()
    claim_number: str = dspy.OutputField(desc="our claim number")
    amount: str = dspy.OutputField(desc="amount billed or paid")
    service_date: str = dspy.OutputField(desc="date of service")


class Reply(dspy.Signature):
    """Answer the message from the record, in two sentences."""

    message: str = dspy.InputField()
    intent: str = dspy.InputField()
    record: str = dspy.InputField(desc="what the desk knows")
    answer: str = dspy.OutputField()


class ClaimsDesk(dspy.Module):
    """Classifies a message, finds its claim in a table, and answers from the record.

    claims: the path of the table, one JSON object a line; by default the one beside this file.
    """

    def __init__(self, claims: str | None = None) -> None:
        super().__init__()
        self.claims = read_claims(Path(claims) if claims else CLAIMS)
        self.triage = dspy.Predict(Triage)
        self.slots = dspy.Predict(Slots)
        self.reply = dspy.Predict(Reply)

    def forward(self, message: str) -> dspy.Prediction:
        intent = self.triage(message=message).intent
        slots = self.slots(message=message)
        found = self.claims.get(key(slots.claim_number))
        outcome = decide(intent, slots.claim_number, found is not None)
        record = describe(intent, found) if outcome == "answer" else ""
        return dspy.Prediction(
            intent=intent,
            claim_number=slots.claim_number,
            amount=slots.amount,
            service_date=slots.service_date,
            outcome=outcome,
            record=record,
            answer=self.write(message, intent, outcome, record),
        )

    def write(self, message: str, intent: str, outcome: Outcome, record: str) -> str:
        if outcome == "ask":
            return ASK
        if outcome == "route":
            return ROUTE
        answer: str = self.reply(message=message, intent=intent, record=record).answer
        return answer


def decide(intent: str, claim_number: str, is_known: bool) -> Outcome:
    """What to do with a message: answer it, ask for the claim's number, or give it to a person.

    >>> decide("claim_status", "none", is_known=False)
    'ask'
    """
    if intent == "out_of_scope":
        return "route"
    is_given = key(claim_number) not in ("", "NONE")
    if is_known or (not is_given and intent not in NEEDS_CLAIM):
        return "answer"
    return "ask"


def read_claims(path: Path) -> dict[str, Record]:
    """The records of the table by the key of their number."""
    lines = path.read_text(encoding="utf-8").splitlines()
    records: list[Record] = [json.loads(line) for line in lines]
    return {key(record["claim_number"]): record for record in records}


def key(claim_number: str | None) -> str:
    """A claim number without what people write differently: case, dashes, spaces.

    >>> key("clm 24-118834")
    'CLM24118834'
    """
    return re.sub(r"[^A-Z0-9]", "", (claim_number or "").upper())


def describe(intent: str, record: Record | None) -> str:
    """What the desk knows, one fact a line: the claim's record, then its guide for the intent."""
    lines = facts(record) if record else []
    if intent in GUIDES:
        lines.append(f"Guide: {GUIDES[intent]}")
    return "\n".join(lines)


def facts(record: Record) -> list[str]:
    """The record in five lines that a reply can quote."""
    reason = "none, the claim is not denied."
    if record["denial_code"]:
        reason = f"{record['denial_code']} - {record['denial_reason']}"
    payment = "none sent."
    if record["paid_date"]:
        payment = f"{record['paid_amount']} on {record['paid_date']} by {record['payment_ref']}."
    return [
        f"Claim: {record['claim_number']} of {record['service_date']}, billed {record['billed']}.",
        f"Status: {record['status']}.",
        f"Reason: {reason}",
        f"Payment: {payment}",
        f"Appeal: {record['appeal'] or 'none on file'}.",
    ]
