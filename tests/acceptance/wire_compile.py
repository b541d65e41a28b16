"""One compile over the wire as a process of its own, so that it can be killed and started again."""

from __future__ import annotations

import argparse
import json
from typing import Literal

import dspy

import compilm
from compilm.metrics import exact
from compilm.prices import Price, Prices

from .texts import drawn, text

PRICE = Price(input=2.0, output=10.0)
TEAMS = ("orders", "returns", "repairs")
SAID = {
    "orders": ("parcel", "delivery", "courier", "tracking"),
    "returns": ("refund", "exchange", "unopened", "label"),
    "repairs": ("broken", "noise", "screen", "battery"),
}


class Route(dspy.Signature):
    """Choose the team for the message."""

    message: str = dspy.InputField()
    gist: str = dspy.InputField()
    team: Literal["orders", "returns", "repairs"] = dspy.OutputField()


class Desk(dspy.Module):
    """Routes messages by their gist: a kill between the two calls must not lose the first."""

    def __init__(self) -> None:
        super().__init__()
        self.shorten = dspy.Predict("message -> gist")
        self.route = dspy.Predict(Route)

    def forward(self, message: str) -> dspy.Prediction:
        gist = self.shorten(message=message).gist
        return self.route(message=message, gist=gist)


def examples(count: int = 60) -> list[dspy.Example]:
    """Messages of which two words in six have to do with the team."""
    found = []
    for number in range(count):
        words = text(number, 4).split()
        team = TEAMS[drawn(words[0], "team", 3)]
        said = [SAID[team][drawn(words[0], place, 4)] for place in ("first", "second")]
        message = " ".join([words[0], said[0], *words[1:3], said[1], words[3]])
        found.append(dspy.Example(message=message, team=team).with_inputs("message"))
    return found


def compiled(
    lm: dspy.LM, budget: str, *, level: int = 1, concurrency: int = 8, **more: object
) -> compilm.CompileResult:
    """The desk compiled with this model under this budget."""
    rows = examples()
    return compilm.compile(
        Desk(),
        exact("team"),
        trainset=rows[:20],
        valset=rows[20:36],
        testset=rows[36:],
        level=level,
        budget=compilm.Budget.parse(budget),
        roles={"default": lm},
        prices=Prices({"openai/desk": PRICE}),
        concurrency=concurrency,
        progress="none",
        **more,  # type: ignore[arg-type]  # passed on as given
    )


def model(url: str, max_tokens: int | None = None) -> dspy.LM:
    """The embedded engine behind a true HTTP connection."""
    settings = {"api_key": "none", "cache": False, "num_retries": 0, "max_tokens": max_tokens}
    return dspy.LM("openai/desk", api_base=url, **settings)


def main() -> None:
    """Compile, and tell the digest of the artifact on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "journal", "budget"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--concurrency", type=int, default=8)
    asked = parser.parse_args()
    result = compiled(
        model(asked.url, asked.max_tokens),
        asked.budget,
        level=asked.level,
        concurrency=asked.concurrency,
        journal=asked.journal,
    )
    print(json.dumps(result.to_json()))


if __name__ == "__main__":
    main()
