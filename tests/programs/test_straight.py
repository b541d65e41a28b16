"""An LM with an engine of its own is asked straight only where nobody could tell the difference."""

from __future__ import annotations

from typing import Any, ClassVar

import dspy
import pytest
from dspy import lm15
from dspy.utils.callback import BaseCallback

from compilm.engine import SAMPLE, Sample
from compilm.programs import models, straight
from compilm.testing.engines import scripted_lm


class Hearing(BaseCallback):
    """Counts the calls it hears of."""

    def __init__(self) -> None:
        self.heard = 0

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.heard += 1


class Passing(Hearing):
    passes_roles: ClassVar[bool] = True


def asked(lm: dspy.LM, text: str = "hello", **changes: Any) -> lm15.Request:
    return lm15.Request(model=lm.model, messages=(lm15.Message.user(text),), **changes)


def is_straight(lm: dspy.LM, request: lm15.Request, **context: Any) -> bool:
    with dspy.context(disable_history=True, **context):
        return straight.is_straight(lm, request)


def test_a_plain_request_of_an_engine_is_straight() -> None:
    lm = scripted_lm(["hi"], num_retries=0)
    settings = lm15.Config(max_tokens=9, temperature=1.0, seed=3)
    assert is_straight(lm, asked(lm))
    assert is_straight(lm, asked(lm, config=settings, system="Be brief."))


def test_what_dspy_would_see_to_it_sees_to() -> None:
    lm = scripted_lm(["hi"], num_retries=0)
    part = lm15.TextPart("of a system")
    others = [
        asked(lm, "half \ud800"),
        asked(lm, system="half \ud800"),
        asked(lm, system=(part,)),
        asked(lm, config=lm15.Config(stop=("end",))),
        asked(lm, config=lm15.Config(extensions={"n": 2})),
        lm15.Request(model="another", messages=(lm15.Message.user("hi"),)),
    ]
    assert [is_straight(lm, other) for other in others] == [False] * len(others)


def test_other_lms_are_called() -> None:
    class Own(dspy.LM):
        pass

    lm = scripted_lm(["hi"], num_retries=0)
    retried, native = scripted_lm(["hi"], num_retries=2), dspy.LM("openai/m", num_retries=0)
    own = Own(lm.model, engine=lm.engine, cache=False, num_retries=0)
    assert not any(is_straight(one, asked(one)) for one in (retried, native, own))


def test_where_somebody_listens_the_lm_is_called() -> None:
    lm = scripted_lm(["hi"], num_retries=0)
    tracker: Any = object()
    assert not straight.is_straight(lm, asked(lm))  # there is a history to write
    assert not is_straight(lm, asked(lm), usage_tracker=tracker)
    assert not is_straight(lm, asked(lm), callbacks=[Hearing()])
    lm.callbacks = [Hearing()]
    assert not is_straight(lm, asked(lm))


def test_who_passes_roles_hears_of_calls_that_are_below_none() -> None:
    lm, passing = scripted_lm(["hi"], num_retries=0), Passing()
    assert not is_straight(lm, asked(lm), callbacks=[passing])
    token = SAMPLE.set(Sample())
    try:
        assert is_straight(lm, asked(lm), callbacks=[passing])
    finally:
        SAMPLE.reset(token)


@pytest.mark.parametrize("given", ["yes", lm15.RateLimitError("slow down"), OSError("gone"), 7])
def test_answers_and_errors_are_those_of_a_call(given: Any) -> None:
    def engine() -> dspy.LM:
        lm = scripted_lm(["never"], num_retries=0)
        lm.engine.complete = lambda _: _said(given)
        return lm

    request = asked(engine())
    with dspy.context(disable_history=True):
        assert straight.is_straight(engine(), request)
        found = [_outcome(models.as_engine(engine()).sync.complete, request)]
    found.append(_outcome(models.as_engine(engine()).sync.complete, request))  # by a call
    assert found[0] == found[1]


def _said(given: Any) -> Any:
    if isinstance(given, Exception):
        raise given
    if isinstance(given, int):
        return given
    text = (lm15.TextPart(given),)
    return lm15.Response(id=None, model="m", message=lm15.Message.assistant(text),
                         finish_reason="stop", usage=lm15.Usage())  # fmt: skip


def _outcome(complete: Any, request: lm15.Request) -> Any:
    try:
        return complete(request)
    except Exception as error:
        return type(error), str(error)
