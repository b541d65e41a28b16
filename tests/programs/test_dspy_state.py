"""What DSPy saved in any format since 2.4 is adopted whole, or refused by predictor and field."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from compilm.artifact import parse
from compilm.clock import ManualClock
from compilm.errors import ArtifactError, ArtifactMismatch, ArtifactUnreadable
from compilm.programs.dspy_state import adopt, import_state
from compilm.programs.predictors import applied, shape

DATA = os.environ.get("COMPILM_DATA", "")
needs_data = pytest.mark.skipif(
    not DATA, reason="COMPILM_DATA does not name the folder with compiled-artifacts in it"
)


class Qa(dspy.Module):
    def __init__(self, signature: Any = "question -> answer") -> None:
        super().__init__()
        self.cot = dspy.ChainOfThought(signature)
        self.nodes = {"short": dspy.Predict("answer -> brief")}


DEMO = {"augmented": True, "question": "Why?", "rationale": "Think.", "answer": "So."}
LABELED = {"question": "Who?", "answer": "Ada", "brief": "A", "dspy_uuid": "u", "id": 7}
REST: dict[str, Any] = {"lm": None, "traces": [], "train": []}


def fields(*names: str) -> list[dict[str, str]]:
    return [{"prefix": f"{name.title()}:", "description": f"${{{name}}}"} for name in names]


def saved_2_4() -> dict[str, Any]:
    return {
        "cot": {
            **REST,
            "demos": [
                {"_store": DEMO, "_demos": [], "_input_keys": None},
                {"_store": LABELED, "_demos": [], "_input_keys": ["question"]},
            ],
            "signature_instructions": "Plain.",
            "signature_prefix": "Answer:",
            "extended_signature_instructions": "Tuned.",
            "extended_signature_prefix": "The answer is",
        },
        "nodes['short']": {
            **REST,
            "demos": [],
            "signature_instructions": "Shorten.",
            "signature_prefix": "In short,",
            "lm": {"model": "openai/gpt-4", "api_key": "secret", "url": "http://host"},
        },
        "config": {"optimizer_name": "x"},
    }


def saved_2_5() -> dict[str, Any]:
    return {
        "cot._predict": {
            **REST,
            "demos": [DEMO, LABELED],
            "signature": {"instructions": "Plain.", "fields": fields("question", "answer")},
            "extended_signature": {
                "instructions": "Tuned.",
                "fields": fields("question", "reasoning", "answer"),
            },
        },
        "nodes['short']": {
            **REST,
            "lm": {"model": "openai/gpt-4", "api_base": "http://host"},
            "demos": [],
            "signature": {"instructions": "Shorten.", "fields": fields("answer", "brief")},
        },
    }


def saved_3() -> dict[str, Any]:
    tuned = fields("question", "reasoning", "answer")
    tuned[2]["description"] = "the answer, in one word"
    return {
        "cot.predict": {
            **REST,
            "demos": [{**DEMO, "reasoning": "Think."} | {"rationale": "Think."}, LABELED],
            "signature": {"instructions": "Tuned.", "fields": tuned},
        },
        "nodes['short']": {
            **REST,
            "fields": {},
            "lm": {"model": "openai/gpt-4"},
            "demos": [],
            "signature": {"instructions": "Shorten.", "fields": fields("answer", "brief")},
        },
        "metadata": {"dependency_versions": {"dspy": "3.0.0"}},
    }


FORMATS = [saved_2_4, saved_2_5, saved_3]


def stored(state: Any, folder: Path) -> Path:
    path = folder / "state.json"
    path.write_text(json.dumps(state))
    return path


@pytest.mark.parametrize("state", FORMATS)
def test_every_format_gives_the_same_predictors(
    state: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    cot, short = import_state(stored(state(), tmp_path), Qa())
    assert (cot.path, cot.instructions) == ("cot.predict", "Tuned.")
    assert (short.path, short.instructions) == ("nodes.short", "Shorten.")
    assert cot.demos == (
        {"augmented": True, "question": "Why?", "reasoning": "Think.", "answer": "So."},
        {"question": "Who?", "answer": "Ada"},
    )
    assert short.demos == ()


def test_what_dspy_saves_today_renders_the_same_prompt(tmp_path: Path) -> None:
    program = Qa()
    program.cot.predict.signature = program.cot.predict.signature.with_instructions("New.")
    program.cot.predict.demos = [dspy.Example(question="Why?", reasoning="R", answer="So.")]
    program.save(tmp_path / "today.json")
    states = import_state(tmp_path / "today.json", Qa())
    assert states == shape(program)
    copy = applied(Qa(), {each.path: each for each in states})
    expected, rendered = (
        dspy.ChatAdapter().format(p.signature, p.demos, {"question": "?"})
        for p in (program.cot.predict, copy.cot.predict)
    )
    assert rendered == expected


def test_a_program_that_is_one_predictor_is_saved_without_a_name(tmp_path: Path) -> None:
    program = dspy.Predict(
        "question -> answer",
    )
    program.demos = [dspy.Example(question="Why?", answer="So.")]
    program.save(tmp_path / "bare.json")
    assert import_state(tmp_path / "bare.json", dspy.Predict("question -> answer")) == (
        shape(program)
    )


@pytest.mark.parametrize("state", FORMATS)
def test_an_adopted_state_is_an_artifact_that_claims_nothing(
    state: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    path = stored(state(), tmp_path)
    artifact = adopt(path, Qa(), reference="a:Qa", clock=ManualClock(0.0))
    assert parse(artifact.document.encode()) == artifact
    assert artifact.predictors == import_state(path, Qa())
    assert artifact.verdict == "unproven"
    assert artifact.scores == {"baseline": {}, "compiled": {}, "gain": None}
    assert artifact.models == {"default": "openai/gpt-4"}
    assert artifact.program_reference == "a:Qa"
    assert artifact.provenance["created"] == "1970-01-01T00:00:00+00:00"
    assert "nodes['short'] was saved with the model openai/gpt-4" in artifact.provenance["notes"]
    assert "secret" not in artifact.document
    assert "http" not in artifact.document


def test_what_is_no_predictor_is_noted(tmp_path: Path) -> None:
    notes = adopt(stored(saved_2_4(), tmp_path), Qa()).provenance["notes"]
    assert "not a predictor, left out: config" in notes
    assert not any("metadata" in note for note in notes)


def test_two_models_are_noted_and_bound_to_no_role(tmp_path: Path) -> None:
    state = saved_2_5()
    state["cot._predict"]["lm"] = {"model": "meta/llama"}
    assert adopt(stored(state, tmp_path), Qa()).models == {}


def spoil(state: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    return {**state, name: {**state[name], **changes}}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({**saved_3(), "other": {"demos": []}}, "'other' of the state is not in Qa, which has cot"),
        ({"cot.predict": saved_3()["cot.predict"]}, r"'nodes\.short' of Qa is not in the state"),
        ({**saved_3(), "cot": saved_2_4()["cot"]}, r"2 times \(cot\.predict, cot\)"),
        (
            spoil(saved_3(), "cot.predict", demos=[{**DEMO, "hint": "h"}]),
            r"'cot\.predict': demos\[0\] has a field 'hint'",
        ),
        (
            spoil(saved_3(), "cot.predict", demos=[{"dspy_uuid": "u", "text": "h"}]),
            r"demos\[0\] has a field 'text'",
        ),
        (
            spoil(
                saved_3(), "cot.predict", signature={"instructions": "", "fields": fields("text")}
            ),
            "the signature has a field 'text'",
        ),
        (
            spoil(
                saved_3(),
                "cot.predict",
                signature={"instructions": "", "fields": fields("question", "reasoning")},
            ),
            "saved with 2 fields, the program has 3: answer cannot be told",
        ),
        (
            spoil(saved_2_4(), "cot", signature_prefix="Summary:"),
            "its last output was called 'Summary', the program's is 'answer'",
        ),
    ],
)
def test_what_does_not_fit_is_named(state: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMismatch, match=message):
        import_state(stored(state, tmp_path), Qa())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"api_base": "http://host"}}, "'config' is nothing that compilm takes"),
        ({"fields": {"answer": {"criteria": "x"}}}, "'fields' is nothing"),
        ({"demos": {}}, "demos is a dict, not a list"),
        ({"demos": ["x"]}, r"demos\[0\] is a str, not a dict"),
        ({"demos": [{"_store": []}]}, r"demos\[0\]\._store is a list"),
        ({"signature": "a -> b"}, "signature is a str, not a dict"),
        ({"signature": {}}, r"signature\.instructions is a NoneType, not a str"),
        ({"signature": {"fields": {}}}, r"signature\.fields is a dict"),
        ({"signature": {"fields": [1]}}, r"fields\[0\] is a int"),
    ],
)
def test_a_state_that_dspy_did_not_write_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=rf"predictor 'cot\.predict': .*{message}"):
        import_state(stored(spoil(saved_3(), "cot.predict", **changes), tmp_path), Qa())


def test_a_state_without_texts_keeps_the_programs(tmp_path: Path) -> None:
    state = {"cot": {"demos": [{"_store": LABELED}]}, "nodes['short']": {"demos": []}}
    found = import_state(stored(state, tmp_path), Qa())
    assert [each.instructions for each in found] == [each.instructions for each in shape(Qa())]


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"a": {"b": 1}}', b"\xff", b"[" * 100_000])
def test_what_is_no_state_is_unreadable(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(data)
    with pytest.raises(ArtifactUnreadable, match=r"state\.json: (not a JSON|holds no predictor)"):
        import_state(tmp_path / "state.json", Qa())


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.json"
    renamed.write_bytes(b"\x80\x04N.")
    for path in (tmp_path / "program.pkl", tmp_path, renamed):
        with pytest.raises(ArtifactError, match="a pickled program is not opened, because"):
            import_state(path, Qa())


class Papillon(dspy.Module):
    def __init__(self, output: str = "createdPrompt") -> None:
        super().__init__()
        self.prompt_creater = dspy.ChainOfThought(f"userQuery -> {output}")
        self.info_aggregator = dspy.Predict("userQuery, modelExampleResponses -> finalOutput")


class Rank(dspy.Module):
    def __init__(self, signature: str) -> None:
        super().__init__()
        self.cot = dspy.ChainOfThought(signature)


class Retrieve(dspy.Module):
    def __init__(self, signature: str) -> None:
        super().__init__()
        self.infer = Rank(signature)


class Irera(dspy.Module):
    def __init__(self, text: str = "text", options: str = "options") -> None:
        super().__init__()
        self.infer_retrieve = Retrieve(f"{text} -> output")
        self.rank = Rank(f"{text}, {options} -> output")


class Game(dspy.Module):
    def __init__(self, output: str = "updated_game_state") -> None:
        super().__init__()
        self.predictor = dspy.ChainOfThought(f"game_state, player_action -> {output}")


def agent(signature: str = "question -> answer") -> dspy.Module:
    def search_wikipedia(query: str) -> list[str]:
        return [query]

    return dspy.ReAct(signature, tools=[search_wikipedia])


PAPILLON = [f"papillon_llama_{size}_instruct_prompt" for size in ("31_8b", "32_1b", "32_3b")]
IRERA = [f"irera_{name}_infer-retrieve-rank_00" for name in ("biodex_reactions", "esco_house")]
FITTING: dict[str, Callable[[], dspy.Module]] = {
    **dict.fromkeys(PAPILLON, Papillon),
    **dict.fromkeys(IRERA, Irera),
    "robjsliwa_compiled_program": Game,
    "dspy_test_saved_program": agent,
}
WRONG: list[tuple[str, Callable[[], dspy.Module], str]] = [
    *((name, lambda: Papillon("summary"), "'prompt_creater'.*'Created Prompt'.*'summary'")
      for name in PAPILLON),
    *((name, lambda: Irera(text="article"), r"'infer_retrieve\.infer\.cot'.*field 'text'")
      for name in IRERA),
    *((name, lambda: Irera(options="choices"), r"'rank\.cot'.*field 'options'") for name in IRERA),
    ("robjsliwa_compiled_program", lambda: Game("story"), "'predictor'.*'story'"),
    ("robjsliwa_compiled_program", Papillon, "'predictor' of the state is not in Papillon"),
    ("dspy_test_saved_program", lambda: agent("query -> answer"), "'react'.*field 'question'"),
    ("dspy_test_saved_program", lambda: agent("question -> reply"), "'extract.predict'.*'answer'"),
]  # fmt: skip


def real(name: str) -> Path:
    return Path(DATA) / "compiled-artifacts" / f"{name}.json"


@needs_data
@pytest.mark.parametrize("name", FITTING)
def test_programs_that_projects_saved_are_adopted(name: str) -> None:
    program = FITTING[name]()
    state = json.loads(real(name).read_text())
    artifact = adopt(real(name), program)
    texts = json.dumps(state, ensure_ascii=False)
    for each in artifact.predictors:
        assert (
            json.dumps(each.instructions, ensure_ascii=False) in texts
            or "instructions" not in texts
        )
    demos = sum(len(body["demos"]) for body in state.values() if "demos" in body)
    assert sum(len(each.demos) for each in artifact.predictors) == demos
    assert "future-hgx" not in artifact.document
    applied(program, {each.path: each for each in artifact.predictors})


@needs_data
@pytest.mark.parametrize(("name", "wrong", "message"), WRONG)
def test_programs_that_projects_saved_are_refused_for_another_program(
    name: str, wrong: Callable[[], dspy.Module], message: str
) -> None:
    with pytest.raises(ArtifactMismatch, match=message):
        import_state(real(name), wrong())
