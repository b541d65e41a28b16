"""`compilm drill` runs a program against providers that fail on purpose, and spends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy
import pytest
from tests.cli.conftest import Command, artifact

from compilm.artifact import write
from compilm.config import RoleSettings
from compilm.testing.standins import StandIns

CALM = ("--faults", "0%", "--requests", "2")
ONE = ("--set", 'lm.default.model="openai/only"')
STRANGER = """
import dspy
HIDDEN = dspy.LM("openai/hidden", api_key="never-sent", num_retries=0)

class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        teams = "Literal['orders', 'workshop', 'returns', 'billing']"
        self.route = dspy.Predict(f"message -> team: {teams}")
        self.own = {own}

    def forward(self, message):
        with dspy.context(lm=self.own or HIDDEN):
            dspy.Predict("message -> note")(message=message)
        return self.route(message=message)
"""


@pytest.fixture
def desk(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The starter with an artifact for its program, and keys that must not be used."""
    demos = ({"message": "My chain broke", "team": "workshop"},)
    write(artifact(demos=demos), project / "build" / "desk")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "a-real-key")
    return project


def drilled(command: Command, *options: str) -> dict[str, Any]:
    """What `--json` tells of a drill of twelve requests, one after the other."""
    given = ("--requests", "12", "--concurrency", "1", "--json", *options)
    told: dict[str, Any] = command("drill", "build/desk", *given).json
    return told


def counts(told: dict[str, Any]) -> list[Any]:
    """All of a drill that is no time."""
    found = told["drill"]
    kept = ("requests", "answered", "changed", "failures", "calls", "attempts", "fallbacks")
    return [*(found[name] for name in kept), found["models"]]


def test_a_chain_survives_what_one_of_its_models_does_not(desk: Path, command: Command) -> None:
    told = drilled(command, "--faults", "500=25%,bad-json=25%", "--seed", "4")
    found, (first, second) = told["drill"], told["drill"]["models"]
    assert (found["answered"], found["share"], found["failures"]) == (12, 1.0, [])
    assert (found["calls"], found["changed"]) == (12, 0)
    assert found["attempts"] == first["attempts"] + second["attempts"] > 12
    assert found["amplification"] == found["attempts"] / 12
    assert found["fallbacks"] == second["answered"] == 12 - first["answered"] > 0
    assert first["attempts"] - first["answered"] == sum(first["faults"].values())
    assert set(first["faults"]) == {"500", "bad-json"}
    assert told["gate"]["failed"] == []


def test_one_model_alone_fails_where_it_may_not_be_asked_again(
    desk: Path, command: Command
) -> None:
    faults = ("--faults", "500=40%", "--set", "runtime.attempts=1", "--seed", "2")
    chain, alone = drilled(command, *faults), drilled(command, *faults, *ONE)
    (failure,) = alone["drill"]["failures"]
    (model,) = alone["drill"]["models"]
    assert (failure["kind"], failure["count"]) == ("LMServerError", 12 - model["answered"])
    assert "500" in failure["example"]
    assert alone["drill"]["answered"] == model["answered"] < chain["drill"]["answered"]
    assert alone["drill"]["attempts"] == 12  # each request once, as the policy says


def test_a_seed_gives_one_set_of_faults_however_many_ask_at_once(
    desk: Path, command: Command
) -> None:
    faults = ("--faults", "500=20%,html=10%", "--set", "runtime.attempts=1")
    one, again = (drilled(command, *faults, "--seed", "5") for _ in range(2))
    wide = drilled(command, *faults, "--seed", "5", "--concurrency", "6")
    other = drilled(command, *faults, "--seed", "6")
    assert counts(one) == counts(again) == counts(wide)
    assert counts(one) != counts(other)


def test_a_gate_that_fails_is_exit_code_1(desk: Path, command: Command) -> None:
    given = ("drill", "build/desk", "--faults", "400=50%", "--requests", "8", "--seed", "1")
    done = command(*given)
    assert done.code == 1
    assert "gate  failed" in done.out
    assert "LMInvalidRequestError" in done.out
    assert "embedded, not a language model" in done.out
    assert command(*given, "--least", "5%").code == 0


def test_without_faults_each_call_is_one_attempt(desk: Path, command: Command) -> None:
    found = drilled(command, "--faults", "0")["drill"]
    assert (found["attempts"], found["calls"], found["fallbacks"], found["share"]) == (12, 12, 0, 1)
    assert found["p50"] <= found["p99"]


def test_an_attempt_that_hangs_ends_at_its_timeout(desk: Path, command: Command) -> None:
    limits = ("--set", "runtime.timeout=0.3", "--set", "runtime.attempts=1")
    given = ("drill", "build/desk", "--faults", "hang=100%", "--requests", "2", *limits, *ONE)
    done = command(*given, "--json")
    (failure,) = done.json["drill"]["failures"]
    assert (done.code, failure["kind"], failure["count"]) == (1, "LMTimeoutError", 2)
    assert 0.3 <= done.json["drill"]["p50"] < 20


def test_a_breaker_that_opens_is_told(desk: Path, command: Command) -> None:
    told = drilled(command, "--faults", "500=100%", "--set", "runtime.breaker=2", *ONE,
                   "--set", "runtime.attempts=1")  # fmt: skip
    (model,) = told["drill"]["models"]
    assert model["openings"] == 1
    assert 2 <= model["attempts"] < 12
    kinds = {failure["kind"]: failure["count"] for failure in told["drill"]["failures"]}
    assert kinds == {"LMServerError": model["attempts"], "CircuitOpen": 12 - model["attempts"]}


def test_a_given_input_is_asked_each_time_anew(desk: Path, command: Command) -> None:
    given = ("--faults", "500=30%", "--concurrency", "6")
    found = drilled(command, "message=My chain broke", *given)["drill"]
    assert (found["requests"], found["calls"], found["answered"]) == (12, 12, 12)
    assert found["attempts"] >= 12


def test_a_configured_cache_answers_nothing_and_keeps_nothing(desk: Path, command: Command) -> None:
    for _ in range(2):
        found = drilled(command, "--faults", "0%", "--set", 'runtime.cache="sqlite"')["drill"]
        assert (found["answered"], found["attempts"]) == (12, 12)
    assert not (desk / ".compilm" / "cache.db").exists()


def test_no_key_leaves_the_environment(desk: Path) -> None:
    models = {"default": "openai/a", "judge": "anthropic/b"}
    chains = {
        role: RoleSettings((model,), key_env="OPENAI_API_KEY") for role, model in models.items()
    }
    with StandIns(chains) as there:
        for lm in there.roles.values():
            with dspy.context(lm=lm):
                assert dspy.Predict("mail -> order_id")(mail="C-42?").order_id == "C-42"
        seen = {key: server.seen for key, server in there.servers.items()}
    assert list(seen) == [("openai OPENAI_API_KEY", "openai/a"),
                          ("anthropic OPENAI_API_KEY", "anthropic/b")]  # fmt: skip
    assert [len(arrived) for arrived in seen.values()] == [1, 1]
    told = str(seen)
    assert "no-key" in told
    assert "a-real-key" not in told


def test_two_accounts_of_one_model_fail_apart() -> None:
    urls = ("https://one.example/v1", "https://two.example/v1")
    chain = RoleSettings(("openai/a", "openai/a"), base_url=urls)
    with StandIns({"default": chain, "judge": chain}) as there:
        assert list(there.servers) == [(url, "openai/a") for url in urls]


def test_a_model_is_stood_in_for_by_the_api_that_it_is_asked_by() -> None:
    chain = RoleSettings(("openai/a", "anthropic/b"), api=("responses", "messages"))
    with StandIns({"default": chain}) as there:
        held = there.instead_of(dspy.LM("openai/held", model_type="responses"))
        for lm in (there.roles["default"], held):
            with dspy.context(lm=lm):
                assert dspy.Predict("mail -> order_id")(mail="C-42?").order_id == "C-42"
        paths = {
            model: [s.path for s in server.seen] for (_, model), server in there.servers.items()
        }
    assert paths == {
        "openai/a": ["/v1/responses"],
        "anthropic/b": [],
        "openai/held": ["/v1/responses"],
    }


def test_answers_that_come_out_otherwise_are_counted(desk: Path, command: Command) -> None:
    text = (
        (desk / "program.py")
        .read_text()
        .replace(
            "return self.route(message=message)",
            "return dspy.Prediction(turn=next(TURNS), **self.route(message=message))",
        )
    )
    (desk / "turns.py").write_text(f"import itertools\n{text}\n\nTURNS = itertools.count()\n")
    assert drilled(command, "--program", "turns.py:Desk", *CALM)["drill"]["changed"] == 2
    assert drilled(command, *CALM)["drill"]["changed"] == 0


def test_a_model_that_a_program_holds_is_stood_in_for(desk: Path, command: Command) -> None:
    (desk / "held.py").write_text(STRANGER.replace("{own}", 'dspy.LM("anthropic/held")'))
    found = drilled(command, "--program", "held.py:Desk", *CALM)["drill"]
    assert (found["answered"], found["calls"]) == (2, 4)
    assert [model["model"] for model in found["models"]] == [
        "openai/first", "anthropic/second", "anthropic/held",
    ]  # fmt: skip


def test_a_hidden_model_is_stopped_before_it_is_asked(desk: Path, command: Command) -> None:
    (desk / "hidden.py").write_text(STRANGER.replace("{own}", "None"))
    done = command("drill", "build/desk", "--program", "hidden.py:Desk", *CALM)
    assert (done.code, "asks 'openai/hidden'" in done.err) == (3, True)


def test_what_fails_without_faults_is_left_out_or_ends_the_drill(
    desk: Path, command: Command
) -> None:
    text = (desk / "program.py").read_text()
    call = "return self.route(message=message)"
    for name, condition in (("some", "'rder' in message"), ("all", "True")):
        broken = f"if {condition}:\n            raise KeyError('mine')\n        {call}"
        (desk / f"{name}.py").write_text(text.replace(call, broken))
    some = drilled(command, "--program", "some.py:Desk", "--faults", "500=10%")["drill"]
    assert 0 < some["left_out"] < 12
    assert (some["answered"], some["requests"]) == (12, 12)
    done = command("drill", "build/desk", "--program", "all.py:Desk", *CALM)
    assert (done.code, "even without faults: KeyError: 'mine'" in done.err) == (3, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--faults", "a third"), "expected a rate as 30% or 0.3"),
        (("--faults", "120%"), "expected a rate"),
        (("--faults", "flood=10%"), "'flood' is no fault"),
        (("--faults", "500=60%,hang=60%"), "come to 120%"),
        (("--faults", "500=5%,500=5%"), "named twice"),
        (("--requests", "0"), "--requests 0"),
        (("--least", "most"), "--least most"),
        (("--concurrency", "0"), "concurrency"),
        (("message",), "expected key=text"),
        (("mesage=hello",), "The program takes message"),
        (("--set", "data.path=missing.jsonl"), "missing.jsonl"),
    ],
)
def test_a_wrong_option_is_told(
    desk: Path, command: Command, options: tuple[str, ...], told: str
) -> None:
    done = command("drill", "build/desk", *options)
    assert (done.code in (2, 3), told in done.err) == (True, True), done.err
