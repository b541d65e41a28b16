"""The files that `compilm init` writes: a commented configuration, and a small program to try."""

from __future__ import annotations

import json
from importlib.resources import files

__all__ = ["DATA_FILE", "METRIC", "PROGRAM", "configuration_text", "starter_rows"]

DATA_FILE = "data.jsonl"

PROGRAM = '''"""Which team of a bicycle shop a customer's message goes to."""

from typing import Literal

import dspy


class Route(dspy.Signature):
    """Choose the team that should answer the message."""

    message: str = dspy.InputField()
    team: Literal["orders", "workshop", "returns", "billing"] = dspy.OutputField()


class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.route = dspy.Predict(Route)

    def forward(self, message: str) -> dspy.Prediction:
        return self.route(message=message)
'''

METRIC = '''"""How good an answer is: any DSPy metric will do."""


def right_team(example, prediction, trace=None):
    right = prediction.team == example.team
    return float(right), "" if right else f"{example.team} answers this, not {prediction.team}"
'''


def starter_rows() -> str:
    """The starter's examples as JSON lines: invented messages, 40 for each team.

    Enough for the held-out ones to prove a gain; with ten a team no search could.

    >>> len(starter_rows().splitlines())
    160
    """
    return files(__package__).joinpath("starter.jsonl").read_text(encoding="utf-8")


def configuration_text(
    *,
    program: str,
    metric: str | None,
    data: str | None,
    inputs: tuple[str, ...] = (),
    identifier: str | None = None,
) -> str:
    """A `compilm.toml` with these values and a comment for each key.

    >>> print(configuration_text(program="app.py:Desk", metric=None, data=None).splitlines()[4])
    # metric = "exact(answer)"             # or "module:function", "file.py:function"
    """
    return _TEMPLATE.format(
        program=_line("program", program, "app.py:Desk"),
        metric=_line("metric", metric, "exact(answer)"),
        data=_line("path", data, "data.jsonl"),
        inputs=_line("inputs", list(inputs) or None, ["question"]),
        identifier=_line("id", identifier, "id"),
    )


def _line(key: str, value: object, example: object) -> str:
    """`key = value`, commented out with an example where there is no value."""
    shown = json.dumps(example if value is None else value, ensure_ascii=False)
    return f"{'# ' if value is None else ''}{key} = {shown}".ljust(38)


_TEMPLATE = """\
# Every key is also an environment variable (COMPILM_COMPILE_SEED) and an argument of --set
# (compile.seed=1), many a flag (--seed). `compilm show config` tells where each value is from.

{program} # a class, an instance or a factory: "module:attr" or "file.py:attr"
{metric} # or "module:function", "file.py:function"
# args = {{ k = 5 }}                     # arguments of the class or factory

[data]
{data} # JSON lines, JSON, CSV or Parquet
{inputs} # the fields the program is given; the others are what it is scored on
{identifier} # a field that names each row
# group = "thread"                     # rows that share it never stand in two splits
split = {{ train = 0.4, val = 0.3, test = 0.3, seed = 0 }}   # or train =, val =, test = files

# Models by role. Keys come from the environment only. Without a model the embedded engine
# answers: free and offline, and no language model.
# [lm.default]
# model = "anthropic/claude-haiku-4-5"
# [lm.proposer]                        # writes instructions; the default model where missing
# model = "anthropic/claude-sonnet-4-5"

[compile]
level = 2                              # 0 measures, 1 demonstrations, 2 instructions too
budget = {{ rollouts = 1000 }}           # a hard ceiling; also calls, tokens, usd, seconds
seed = 0
# freeze = ["judge"]                   # predictors that stay as they are

# [gate]
# fail_under = 0.75                    # exit code 1 below this score
# max_regression = 0.02                # exit code 1 when worse than the reference by more
"""
