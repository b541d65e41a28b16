"""The claims desk: its data keep what the data card says, and the program runs on any engine."""

from __future__ import annotations

import doctest
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import dspy
import pytest
from examples.claims import metric, program
from examples.claims.metric import resolved
from examples.claims.program import ASK, NEEDS_CLAIM, ROUTE, ClaimsDesk, Intent, decide, key

from compilm.config import load_config
from compilm.datasets import load
from compilm.programs.reference import build, locate

from .scripted import scripted

FOLDER = Path(program.__file__).parent
SLOTS = ("claim_number", "amount", "service_date")
COLUMNS = ["id", "message", "intent", "claim_number", "service_date", "amount", "outcome"]


def rows(name: str) -> list[dict[str, str]]:
    text = (FOLDER / "data" / name).read_bytes().decode("utf-8")
    assert "\r" not in text
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


MESSAGES = rows("messages.jsonl")
CLAIMS = rows("claims.jsonl")
DESK = ClaimsDesk()


def shingles(text: str) -> set[tuple[str, ...]]:
    found = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(found[at : at + 3]) for at in range(max(1, len(found) - 2))}


def example(**fields: str) -> dspy.Example:
    """A message of the data with these labels."""
    row = next(row for row in MESSAGES if fields.items() <= row.items())
    return dspy.Example(**row).with_inputs("message")


def perfect(row: Mapping[str, str], **wrong: str) -> Any:
    """A script that says what the labels of a row say, but for the fields given."""

    def script(inputs: dict[str, str], outputs: list[str]) -> dict[str, str]:
        said = {**row, **wrong}
        if "answer" in outputs and "answer" not in wrong:
            title = metric.TOLD.get(row["intent"], "Guide")
            fact = metric.line_of(title, inputs["record"])
            said["answer"] = f"Thank you for asking. Our record says {fact.rstrip('.')}."
        return said

    return script


def ask(row: dspy.Example, **wrong: str) -> dspy.Prediction:
    with dspy.context(lm=scripted(perfect(row.toDict(), **wrong))):
        return DESK(message=row.message)


class TestMessages:
    def test_there_are_at_least_520_and_every_row_has_every_column_as_text(self) -> None:
        assert len(MESSAGES) >= 520
        assert all(list(row) == COLUMNS for row in MESSAGES)
        assert all(isinstance(value, str) and value for row in MESSAGES for value in row.values())

    def test_ids_differ(self) -> None:
        assert len({row["id"] for row in MESSAGES}) == len(MESSAGES)

    def test_every_intent_of_the_program_has_40_to_60_messages_and_there_is_no_other(self) -> None:
        counts = Counter(row["intent"] for row in MESSAGES)
        assert set(counts) == set(get_args(Intent))
        assert all(40 <= count <= 60 for count in counts.values())

    @pytest.mark.parametrize("slot", SLOTS)
    def test_a_detail_stands_in_its_message_as_labeled(self, slot: str) -> None:
        given = [row for row in MESSAGES if row[slot] != "none"]
        assert len(given) >= 40
        assert [row["id"] for row in given if row[slot] not in row["message"]] == []

    def test_no_message_is_nearly_another(self) -> None:
        known = [(row["id"], shingles(row["message"])) for row in MESSAGES]
        near = [
            (one, other)
            for at, (one, left) in enumerate(known)
            for other, right in known[:at]
            if len(left & right) >= 0.6 * len(left | right)
        ]
        assert near == []

    def test_the_outcome_is_what_the_program_decides_given_the_other_labels(self) -> None:
        decided = {
            row["id"]: decide(row["intent"], row["claim_number"], key(row["claim_number"]) in table)
            for table in [DESK.claims]
            for row in MESSAGES
        }
        assert decided == {row["id"]: row["outcome"] for row in MESSAGES}

    def test_every_outcome_occurs_often_enough_to_be_learned(self) -> None:
        counts = Counter(row["outcome"] for row in MESSAGES)
        assert set(counts) == {"answer", "ask", "route"}
        assert min(counts.values()) >= 40

    def test_a_claim_that_is_named_is_in_the_table_or_asked_back(self) -> None:
        named = [row for row in MESSAGES if row["claim_number"] != "none"]
        unknown = [row for row in named if key(row["claim_number"]) not in DESK.claims]
        assert 20 <= len(unknown) < len(named) / 4
        assert {row["outcome"] for row in unknown} == {"ask"}

    def test_numbers_that_look_like_npis_are_nobodys(self) -> None:
        found = re.findall(r"NPI (\d{10})\b", " ".join(row["message"] for row in MESSAGES))
        assert len(found) >= 3
        assert not any(luhn(f"80840{npi}") for npi in found)


def luhn(number: str) -> bool:
    digits = [int(sign) * (1 + at % 2) for at, sign in enumerate(reversed(number))]
    return sum(digit - 9 * (digit > 9) for digit in digits) % 10 == 0


class TestClaims:
    def test_numbers_differ_and_have_one_of_two_forms(self) -> None:
        numbers = [row["claim_number"] for row in CLAIMS]
        assert len(set(numbers)) == len(CLAIMS) == len(DESK.claims)
        forms = Counter(
            next(form for form in (r"CLM-2\d-\d{6}", r"H7-\d{7}") if re.fullmatch(form, number))
            for number in numbers
        )
        assert min(forms.values()) >= 50

    def test_a_claim_is_paid_or_has_a_reason_or_is_open(self) -> None:
        for row in CLAIMS:
            paid, denied = float(row["paid_amount"]) > 0, bool(row["denial_code"])
            assert paid == (row["status"] in ("paid", "partially paid")), row
            assert denied == (row["status"] in ("denied", "partially paid")), row
            assert bool(row["paid_date"]) == bool(row["payment_ref"]) == paid, row
            assert float(row["paid_amount"]) < float(row["billed"]), row

    def test_a_denial_code_has_one_reason_and_there_are_12(self) -> None:
        reasons = {(row["denial_code"], row["denial_reason"]) for row in CLAIMS} - {("", "")}
        assert len(reasons) == len(dict(reasons)) == 12

    @pytest.mark.parametrize(
        ("intent", "column"),
        [("denial_reason", "denial_code"), ("payment_trace", "payment_ref"),
         ("appeal_status", "appeal")],
    )  # fmt: skip
    def test_what_is_asked_about_a_claim_has_happened_to_it(self, intent: str, column: str) -> None:
        asked = [row for row in MESSAGES if row["intent"] == intent and row["outcome"] == "answer"]
        records = [DESK.claims[key(row["claim_number"])] for row in asked]
        code_only = [row for row, record in zip(asked, records) if not record[column]]
        assert code_only == []


class TestDesk:
    def test_right_predictions_score_1_whatever_the_message(self) -> None:
        scores = {}
        for row in MESSAGES[::5]:
            labeled = dspy.Example(**row)
            scores[row["id"]] = resolved(labeled, ask(labeled)).score
        assert {score for score in scores.values() if score != 1.0} == set()

    @pytest.mark.parametrize(
        ("intent", "outcome", "calls"),
        [("claim_status", "answer", 3), ("claim_status", "ask", 2), ("out_of_scope", "route", 2)],
    )
    def test_the_reply_is_written_only_for_an_answer(
        self, intent: str, outcome: str, calls: int
    ) -> None:
        row = example(intent=intent, outcome=outcome)
        lm = scripted(perfect(row.toDict()))
        with dspy.context(lm=lm):
            prediction = DESK(message=row.message)
        assert prediction.outcome == outcome
        assert lm.engine.calls == calls
        fixed = {"ask": ASK, "route": ROUTE}
        assert (prediction.answer in fixed.values()) == (outcome in fixed)

    def test_the_record_tells_payment_reason_and_appeal_of_its_claim(self) -> None:
        paid = next(row for row in CLAIMS if row["status"] == "partially paid")
        told = "\n".join(program.facts(paid))
        for column in ("paid_amount", "payment_ref", "denial_reason", "denial_code", "billed"):
            assert paid[column] in told

    def test_the_record_says_so_where_nothing_was_paid_or_denied(self) -> None:
        told = program.facts(next(row for row in CLAIMS if row["status"] == "pending"))
        assert told[2:] == [
            "Reason: none, the claim is not denied.",
            "Payment: none sent.",
            "Appeal: none on file.",
        ]

    def test_intents_that_need_no_claim_have_a_guide(self) -> None:
        assert set(program.GUIDES) == set(get_args(Intent)) - NEEDS_CLAIM - {"out_of_scope"}

    def test_another_table_is_read_from_the_path_given(self, tmp_path: Path) -> None:
        path = tmp_path / "claims.jsonl"
        path.write_text(json.dumps(CLAIMS[0]) + "\n", encoding="utf-8")
        assert list(ClaimsDesk(claims=str(path)).claims) == [key(CLAIMS[0]["claim_number"])]


class TestMetric:
    @pytest.mark.parametrize(
        ("field", "value", "lost"),
        [("intent", "denial_reason", 0.6), ("amount", "$1.00", 0.05),
         ("service_date", "1/1/2024", 0.05)],
    )  # fmt: skip
    def test_a_wrong_field_costs_its_weight_and_is_named(
        self, field: str, value: str, lost: float
    ) -> None:
        row = example(intent="claim_status", outcome="answer")
        judged = resolved(row, ask(row, **{field: value}))
        assert judged.score == pytest.approx(1 - lost)
        assert f"`{field}` should be {row[field]!r}, not {value!r}." in judged.feedback

    def test_an_unknown_number_costs_the_outcome_and_the_reply_too(self) -> None:
        row = example(intent="claim_status", outcome="answer")
        judged = resolved(row, ask(row, claim_number="CLM-24-000000"))
        assert judged.score == pytest.approx(0.6)
        assert "`claim_number` should be" in judged.feedback
        assert "`outcome` should be 'answer', not 'ask'." in judged.feedback

    @pytest.mark.parametrize(
        ("answer", "lost", "advice"),
        [("No idea.", 0.1, "leaves out"), ("Sorry. No idea.", 0.05, "leaves out"),
         ("{fact}", 0.05, "1 sentences; write two"), ("{fact} Bye.", 0.0, "All correct.")],
    )  # fmt: skip
    def test_a_reply_is_two_sentences_that_tell_the_fact(
        self, answer: str, lost: float, advice: str
    ) -> None:
        row = example(intent="denial_reason", outcome="answer")
        record = DESK.claims[key(row.claim_number)]
        fact = f"{record['denial_code']} - {record['denial_reason']}"
        judged = resolved(row, ask(row, answer=answer.format(fact=fact)))
        assert judged.score == pytest.approx(1 - lost)
        assert advice in judged.feedback

    def test_the_labels_themselves_score_1_without_a_reply(self) -> None:
        row = MESSAGES[0]
        labels = {name: row[name] for name in metric.FIELDS}
        assert resolved(dspy.Example(**row), dspy.Prediction(**labels)).score == 1.0

    def test_the_weights_sum_to_1(self) -> None:
        assert sum(metric.WEIGHTS.values()) == pytest.approx(1.0)


class TestSettled:
    FACT = "Reason: D-07 - Approval was needed."

    def judged(self, answer: str, **changed: str) -> dspy.Prediction:
        row = next(r for r in MESSAGES if r["intent"] == "denial_reason")
        row = {**row, "outcome": "answer"}
        labels = {name: row[name] for name in metric.FIELDS} | changed
        given = dspy.Prediction(**labels, record=self.FACT, answer=answer)
        return metric.settled(dspy.Example(**row), given)

    @pytest.mark.parametrize(
        ("second", "lost"), [("Bye [P1].", 0.0), ("Bye.", 0.025), ("Bye [P1] now.", 0.025)]
    )
    def test_a_sentence_without_its_mark_costs_a_quarter_of_the_reply(
        self, second: str, lost: float
    ) -> None:
        judged = self.judged(f"D-07, approval was needed [R1]. {second}")
        assert judged.score == pytest.approx(1 - lost)
        assert ("do not end with the mark of their source: Bye" in judged.feedback) == bool(lost)

    def test_what_goes_to_a_person_needs_no_marks_and_costs_half_where_it_should_not(self) -> None:
        judged = self.judged("A colleague will write.", outcome="person")
        assert judged.score == pytest.approx(0.8 / 2)
        assert "`outcome` should be 'answer', not 'person'." in judged.feedback


@pytest.mark.parametrize("module", [program, metric])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def test_the_configuration_names_the_program_the_metric_and_the_data() -> None:
    config = load_config(
        str(FOLDER / "compilm.toml"), target=None, flags={}, env={}, cwd=FOLDER, settings=()
    )
    assert config.program is not None
    assert config.metric is not None
    assert type(build(config.program, config.args, base=config.folder)).__name__ == "ClaimsDesk"
    assert locate(config.metric, config.folder).__name__ == "resolved"
    data = load(FOLDER / str(config.data.path), inputs=config.data.inputs, id=config.data.id)
    assert len(data) == len(MESSAGES)
    assert config.data.stratify == "intent"
    assert config.compile.level == 2


def test_the_readme_counts_what_is_there() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for intent, count in Counter(row["intent"] for row in MESSAGES).items():
        assert f"| `{intent}` | {count} |" in text
    outcomes = Counter(row["outcome"] for row in MESSAGES)
    named = {slot: sum(row[slot] != "none" for row in MESSAGES) for slot in SLOTS}
    assert (
        "{answer} rows are answered, {ask} ask back, {route} are routed. {claim_number} name a "
        "claim, {service_date} a date of service, {amount} an amount."
    ).format(**outcomes, **named) in text
    assert f"| {len(MESSAGES)} labeled messages |" in text
    assert f"| {len(CLAIMS)} claim records |" in text
