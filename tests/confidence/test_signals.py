"""Signals: log-probabilities of one field, agreement, samples, a judge, alike calls."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import dspy
import pytest

from compilm.confidence import (
    Agreement,
    Alike,
    Attempt,
    Case,
    Confidence,
    Judge,
    LogProbability,
    Samples,
    Verdict,
)
from compilm.errors import DataError, UsageError
from compilm.testing.engines import chat_answer, scripted_lm


def spelled(text: str, scores: dict[str, float]) -> dict[str, Any]:
    """The log-probabilities of a text in tokens of two characters; 0 where none is named."""
    tokens = [text[at : at + 2] for at in range(0, len(text), 2)]
    return {"content": [{"token": one, "logprob": scores.get(one, 0.0)} for one in tokens]}


class Scored:
    """An engine that tells the log-probability of each token: -0.5 for the answer's, -9 else."""

    supports_function_calling = supports_response_schema = supports_reasoning = False
    supported_params = ("logprobs",)

    def complete(self, request: dspy.lm15.Request) -> dspy.lm15.Response:
        text = chat_answer({"reasoning": "because", "answer": "forty two"})
        parts = ["[[ ## reasoning ## ]]\nbecause\n\n[[ ## answer ## ]]\n", "forty", " two"]
        rest = text[len("".join(parts)) :]
        scored = [
            dspy.lm15.TokenLogprob(one, -0.5 if one in ("forty", " two") else -9.0)
            for one in (*parts, rest)
        ]
        assert "".join(parts) + rest == text
        return dspy.lm15.Response(
            id=None,
            model=request.model,
            message=dspy.lm15.Message.assistant((dspy.lm15.TextPart(text),)),
            finish_reason="stop",
            usage=dspy.lm15.Usage(input_tokens=1, output_tokens=1),
            logprobs=tuple(scored),
        )


def test_the_tokens_of_one_field_are_found_in_a_real_prediction() -> None:
    lm = dspy.LM("openai/m", engine=Scored(), cache=False, num_retries=0, logprobs=True)
    with dspy.context(lm=lm):
        said = dspy.ChainOfThought("question -> answer")(question="?")
    assert LogProbability("answer")(Case(prediction=said)) == pytest.approx(math.exp(-1.0))
    assert LogProbability("answer", mean=True)(Case(prediction=said)) == pytest.approx(
        math.exp(-0.5)
    )
    assert LogProbability()(Case(prediction=said)) == pytest.approx(math.exp(-19.0))


def test_a_field_of_a_json_answer_is_found() -> None:
    text = '{"note": "xx", "answer": "yyzz"}'
    said = dspy.Prediction(logprobs=spelled(text, {"yy": -0.25, "zz": -0.25, "xx": -5.0}))
    found = LogProbability("answer")(Case(prediction=said))
    assert found == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize("told", [{}, {"logprobs": None}, {"logprobs": {"content": []}}])
def test_an_answer_without_log_probabilities_has_no_signal(told: dict[str, Any]) -> None:
    case = Case(prediction=dspy.Prediction(answer="4", **told))
    assert LogProbability("answer")(case) is None
    verdict = Confidence(LogProbability("answer"), at_least=0.0)(case)
    assert not verdict
    assert verdict.reason == "LogProbability(field='answer', mean=False) gave no signal"


def test_agreement_is_the_share_of_steps_so_far_that_say_the_same() -> None:
    def tried(*answers: str) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(str(n), dspy.Prediction(answer=each), Verdict(False))
            for n, each in enumerate(answers)
        )

    agreement, now = Agreement("answer"), dspy.Prediction(answer="Four.")
    assert agreement(Case({}, now)) is None
    assert agreement(Case({}, now, tried("four"))) == 1.0
    assert agreement(Case({}, now, tried("four", "5"))) == pytest.approx(2 / 3)
    assert agreement(Case({}, now, (Attempt("0", None, Verdict(False)),))) is None


def sampled(answers: list[str]) -> tuple[Samples, dspy.LM]:
    """Samples that answer by their number, whatever the order in which they are asked."""

    class Numbered(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("q -> a")

        def forward(self, q: str) -> dspy.Prediction:
            self.ask(q=q)
            return dspy.Prediction(a=answers[self.ask.lm.kwargs["rollout_id"] - 1])

    return Samples(Numbered(), "a", n=len(answers)), scripted_lm([{"a": "x"}])


def test_samples_give_the_commonest_answer_and_its_share() -> None:
    vote, lm = sampled(["5", "4", " 4 ", "6", "4."])
    with dspy.context(lm=lm):
        given = vote(q="2+2?")
        again = asyncio.run(vote.acall(q="2+2?"))
    assert (given.a, given.agreement) == ("4", 0.6)
    assert (again.a, again.agreement) == ("4", 0.6)
    assert lm.engine.calls == 10
    assert {request.config.temperature for request in lm.engine.requests} == {0.7}
    assert Agreement("a")(Case(prediction=given)) == 0.6


def test_of_equally_common_answers_the_first_wins() -> None:
    vote, lm = sampled(["5", "4", "4", "5"])
    with dspy.context(lm=lm):
        assert vote(q="?").a == "5"
    with pytest.raises(UsageError, match="give 2 or more"):
        Samples(dspy.Predict("q -> a"), "a", n=1)


def test_samples_show_the_demos_that_the_program_has_now() -> None:
    inner = dspy.Predict("q -> a")
    vote, lm = Samples(inner, "a", n=2), scripted_lm([{"a": "x"}])
    inner.demos = [dspy.Example(q="MARKED", a="m").with_inputs("q")]
    with dspy.context(lm=lm):
        vote(q="?")
    assert all("MARKED" in str(request.messages) for request in lm.engine.requests)


@pytest.mark.parametrize(
    ("said", "signal"),
    [
        ({"probability": "0.25"}, 0.25),
        ({"probability": "1.5"}, 1.0),
        ({"probability": "often"}, None),
        ("nothing that can be read", None),
    ],
)
def test_a_judge_gives_a_number_or_no_signal(said: Any, signal: float | None) -> None:
    case = Case({"question": "2+2?"}, dspy.Prediction(answer="4", other="hidden"))
    lm = scripted_lm([said])
    with dspy.context(lm=lm):
        assert Judge(("answer",))(case) == signal
        assert asyncio.run(Judge(("answer",)).acall(case)) == signal
        verdict = asyncio.run(Confidence(Judge(), at_least=0.2).acall(case))
    assert bool(verdict) == (signal is not None)
    assert "answer: 4" in str(lm.engine.requests[0].messages)
    assert "hidden" not in str(lm.engine.requests[0].messages)


def test_alike_calls_tell_before_an_answer_and_never_by_themselves() -> None:
    texts = [f"easy {n}" for n in range(9)] + [f"knotty {n}" for n in range(9)]
    seen = Alike(texts, [True] * 9 + [False] * 9, k=5, field="q")
    assert seen(Case({"q": "easy 99"})) > 0.7 > 0.3 > seen(Case({"q": "knotty 99"}))
    alone = Alike(["the same", "another"], [True, False], k=1)
    assert alone(Case({"q": "the same"})) == 0.5  # what is itself does not count
    assert seen.__deepcopy__({}) is seen
    with pytest.raises(DataError, match="2 texts and 1 outcomes"):
        Alike(["a", "b"], [True])
