"""How well the desk resolved a message: 0 to 1, and in words what to do better."""

from __future__ import annotations

import re
from typing import Any

import dspy

WEIGHTS = {
    "intent": 0.5,
    "claim_number": 0.2,
    "outcome": 0.1,
    "reply": 0.1,
    "amount": 0.05,
    "service_date": 0.05,
}
FIELDS = ("intent", "claim_number", "amount", "service_date", "outcome")

# The line of the record that a reply has to pass on; for the other intents it is the guide.
TOLD = {
    "claim_status": "Status",
    "denial_reason": "Reason",
    "payment_trace": "Payment",
    "appeal_status": "Appeal",
}


def resolved(example: Any, prediction: Any, trace: Any = None) -> dspy.Prediction:  # noqa: ARG001
    """The weighted score of a prediction, with feedback that names each wrong field.

    A reply to the wrong question, or from the wrong record, earns nothing however well written;
    a prediction without one is judged by its fields alone.
    """
    earned: dict[str, float] = {}
    feedback: list[str] = []
    for name in FIELDS:
        earned[name] = float(same(example[name], prediction[name]))
        if not earned[name]:
            feedback.append(f"`{name}` should be {example[name]!r}, not {prediction[name]!r}.")
    if "answer" in prediction:
        earned["reply"] = 0.0
        if earned["intent"] and earned["claim_number"] and earned["outcome"]:
            earned["reply"], advice = judge_reply(example.intent, prediction)
            feedback += advice
    whole = sum(WEIGHTS[name] for name in earned)
    score = sum(WEIGHTS[name] * part for name, part in earned.items()) / whole
    return dspy.Prediction(score=round(score, 6), feedback="\n".join(feedback) or "All correct.")


def judge_reply(intent: str, prediction: Any) -> tuple[float, list[str]]:
    """Half for two sentences, half for the fact asked about; the fixed replies have both."""
    if prediction.outcome != "answer":
        return 1.0, []
    answer = str(prediction.answer or "").strip()
    advice: list[str] = []
    count = len(re.findall(r"[.!?](?=\s|$)", answer))
    if count != 2:
        advice.append(f"The reply has {count} sentences; write two.")
    fact = line_of(TOLD.get(intent, "Guide"), prediction.record or "")
    if not tells(answer, fact):
        advice.append(f"The reply leaves out what the record says: {fact}")
    return 1.0 - 0.5 * len(advice), advice


def line_of(title: str, record: str) -> str:
    """The text of the record's line with this title.

    >>> line_of("Status", "Claim: C-1.\\nStatus: paid.")
    'paid.'
    """
    found = re.search(rf"^{title}: (.*)$", record, re.M)
    return found[1] if found else ""


def tells(answer: str, fact: str) -> bool:
    """Whether an answer holds at least half of a fact's words of three letters or more.

    >>> tells("It was denied last week.", "denied.")
    True
    """
    needed = telling(fact)
    return 2 * len(needed & telling(answer)) >= len(needed)


def telling(text: str) -> set[str]:
    return set(re.findall(r"\w[\w.-]+\w", text.lower()))


def same(gold: object, given: object) -> bool:
    """Whether two values are equal but for case, spaces, dashes and signs.

    >>> same("$1,250.00", "1250.00"), same("none", None)
    (True, True)
    """
    return bare(gold) == bare(given)


def bare(value: object) -> str:
    return re.sub(r"[^a-z0-9_]", "", str(value).lower())


def settled(example: Any, prediction: Any, trace: Any = None) -> dspy.Prediction:
    """`resolved` for the desk that cites: each of a reply's two sentences names its source too.

    Half is lost where it ends another way than it should: a message that was read well is not
    settled if it went to a person for nothing, or was answered where it should have gone there.
    """
    judged = resolved(example, prediction, trace)
    if not same(example.outcome, prediction.outcome):
        return dspy.Prediction(score=round(judged.score / 2, 6), feedback=judged.feedback)
    if prediction.outcome != "answer":
        return judged
    sentences = re.split(r"(?<=[.!?])\s+", str(prediction.answer or "").strip())
    bare_ones = [each for each in sentences if not re.search(r"\[[\w.-]+\]\W*$", each)]
    if not bare_ones:
        return judged
    lost = 0.5 * WEIGHTS["reply"] * len(bare_ones) / len(sentences)
    advice = f"{judged.feedback}\nThese sentences do not end with the mark of their source: "
    return dspy.Prediction(
        score=round(max(0.0, judged.score - lost), 6), feedback=advice + " ".join(bare_ones)
    )
