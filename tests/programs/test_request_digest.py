"""The digest of a request: that of all of it, however often parts of it were digested before."""

from __future__ import annotations

import random
from typing import Any

from dspy import lm15
from dspy.lm15 import Config, FunctionTool, Message, Request

from compilm import canonical
from compilm.programs.models import request_digest
from compilm.programs.requests import request_to_json

TEXTS = ["", "Why?", 'so "quoted"', "é\u2028\ud800", "a\n" * 20_000]


def requests(rng: random.Random, shared: list[Message]) -> Request:
    tool = FunctionTool(name="look", parameters={"type": "object", "properties": {}})
    settings: dict[str, Any] = {"temperature": rng.random(), "max_tokens": rng.randint(1, 9)}
    return Request(
        model=rng.choice(["m", "n"]),
        system=rng.choice([None, "Be short.", (lm15.TextPart("Be"), lm15.TextPart("short"))]),
        messages=(*rng.sample(shared, rng.randint(0, 5)), Message.user(rng.choice(TEXTS[1:]))),
        tools=rng.choice([(), (tool,)]),
        config=Config(**settings),
    )


def test_it_is_the_canonical_digest_of_the_whole_request() -> None:
    rng = random.Random(0)
    roles = (Message.user, Message.assistant)
    shared = [rng.choice(roles)(text) for text in TEXTS[1:] for _ in range(3)]
    for _ in range(300):
        request = requests(rng, shared)
        assert request_digest(request) == canonical.digest(request_to_json(request))


def test_messages_that_come_and_go_are_never_taken_for_each_other() -> None:
    for number in range(3000):
        request = Request(model="m", messages=(Message.user(f"{number}"), Message.user("end")))
        assert request_digest(request) == canonical.digest(request_to_json(request))
