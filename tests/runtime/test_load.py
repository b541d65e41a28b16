"""A loaded artifact runs what was compiled, with the models it is given, or says why it cannot."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pydantic
import pytest

from compilm import canonical
from compilm.artifact import Artifact, Nearest, Predictor, write
from compilm.errors import (
    ArtifactError,
    ArtifactMismatch,
    ArtifactTooNew,
    ConfigError,
    ProgramError,
)
from compilm.graphs import END, Graph
from compilm.programs.predictors import described, shape
from compilm.runtime.load import Runtime, load
from compilm.testing.engines import scripted_lm


class Desk(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.ChainOfThought("question -> answer")
        self.check = dspy.Predict("answer -> verdict")

    def forward(self, question: str, tone: str = "plain") -> dspy.Prediction:
        draft = self.draft(question=f"{question} ({tone})")
        return dspy.Prediction(answer=draft.answer, verdict=self.check(answer=draft.answer).verdict)


SCRIPT = [{"reasoning": "r", "answer": "a", "verdict": "fine"}]


def artifact_of(
    program: dspy.Module, states: tuple[Predictor, ...] | None = None, **changes: Any
) -> Artifact:
    declared = {key: changes.pop(key) for key in ("inputs", "outputs") if key in changes}
    part = described(program, reference=changes.pop("reference", ""), **declared)
    if states is not None:
        part["predictors"] = [each.to_json() for each in states]
    content = {
        "program": part,
        "adapter": "ChatAdapter",
        "models": {"default": "openai/gpt-5-mini"},
        "metric": {"name": "", "fingerprint": ""},
        "data": {},
        "scores": {"baseline": {}, "compiled": {}, "gain": None},
        "verdict": "proven",
        "search": {"level": 1, "optimizer": None, "budget": {}, "seed": 0},
        "parent": None,
        **changes,
    }
    provenance = {
        "run": "", "created": "2026-01-02T03:04:05Z", "spent": {}, "versions": {}, "notes": []
    }  # fmt: skip
    return Artifact.build(content, provenance)


def runtime_of(program: dspy.Module, script: Any = SCRIPT, **changes: Any) -> Runtime:
    return load(artifact_of(program, **changes), program, roles={"default": scripted_lm(script)})


def requests(runtime: Runtime) -> list[Any]:
    return list(runtime.roles["default"].engine.requests)


def sent(runtime: Runtime) -> str:
    return str(requests(runtime))


def compiled() -> tuple[Predictor, ...]:
    draft, check = shape(Desk())
    demo = {"question": "Demo?", "reasoning": "d", "answer": "x"}
    return replace(draft, instructions="Compiled!", demos=(demo,)), check


@pytest.mark.parametrize("given", [Desk, Desk(), lambda: Desk()], ids=["class", "object", "maker"])
def test_what_was_compiled_is_what_runs(given: Any, tmp_path: Path) -> None:
    write(artifact_of(Desk(), compiled()), tmp_path / "desk")
    runtime = load(tmp_path / "desk", given, roles={"default": scripted_lm(SCRIPT)})
    prediction = runtime(question="Why?")
    assert (prediction.answer, prediction.verdict) == ("a", "fine")
    assert "Compiled!" in sent(runtime)
    assert "Demo?" in sent(runtime)
    assert runtime.artifact.verdict == "proven"
    assert runtime.program is not given
    assert runtime.program.draft.predict.signature.instructions == "Compiled!"


def test_the_given_program_stays_as_it_is() -> None:
    program = Desk()
    before = shape(program)
    load(artifact_of(Desk(), compiled()), program, roles={"default": scripted_lm(SCRIPT)})
    assert shape(program) == before


def test_a_call_in_a_task_gives_the_same_with_and_without_aforward() -> None:
    for program, inputs in ((Desk(), {"question": "Why?"}), (Desk().draft, {"question": "Why?"})):
        runtime = runtime_of(program)
        assert asyncio.run(runtime.acall(**inputs)).answer == runtime(**inputs).answer == "a"


def test_many_threads_get_their_own_answers() -> None:
    def echo(request: Any) -> dict[str, str]:
        text = str(request.messages[-1]).partition("number ")[2].split()[0]
        return {"answer": text.strip("\\n)'\",[")}

    runtime = runtime_of(dspy.Predict("question -> answer"), echo)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: runtime(question=f"number {n} !").answer, range(40)))
    assert found == [str(n) for n in range(40)]


def test_calls_leave_neither_history_nor_trace_behind() -> None:
    runtime = runtime_of(Desk())
    trace: list[Any] = []
    with dspy.context(trace=trace):
        runtime(question="Why?")
    assert trace == runtime.roles["default"].history == runtime.program.history == []
    assert runtime.program.check.history == []


@pytest.mark.parametrize("name", ["ChatAdapter", "JSONAdapter", "XMLAdapter"])
def test_the_artifacts_adapter_is_used_whatever_is_configured(name: str) -> None:
    program = dspy.Predict("question -> answer")
    runtime = runtime_of(program, ['{"answer": "j"}', "<answer>j</answer>"], adapter=name)
    assert type(runtime.adapter).__name__ == name


def test_a_json_artifact_reads_json_answers() -> None:
    runtime = runtime_of(
        dspy.Predict("question -> answer"), ['{"answer": "j"}'], adapter="JSONAdapter"
    )
    assert runtime(question="Why?").answer == "j"
    assert len(requests(runtime)) == 1


def test_an_unknown_adapter_is_asked_for_and_taken() -> None:
    program, roles = dspy.Predict("question -> answer"), {"default": scripted_lm(SCRIPT)}
    artifact = artifact_of(program, adapter="MineAdapter")
    with pytest.raises(ConfigError, match="'MineAdapter', which compilm cannot make: pass adapter"):
        load(artifact, program, roles=roles)
    mine = dspy.ChatAdapter()
    assert load(artifact, program, roles=roles, adapter=mine).adapter is mine


class Anything(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = dspy.Predict("x -> y"), dspy.Predict("y -> z")

    def forward(self, **inputs: Any) -> dspy.Prediction:
        return dspy.Prediction(names=sorted(inputs))


class Formless(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = dspy.Predict("x -> y"), dspy.Predict("y -> z")


class Defaulted(dspy.Signature):
    question: str = dspy.InputField()
    tone: str = dspy.InputField(default="plain")
    answer: str = dspy.OutputField()


def again() -> Graph:
    """A graph with an input that rows of the data do not have."""
    nodes = {"ask": lambda q, asked=False: {"b": asked}, "say": dspy.Predict("b -> a")}
    edges = {"ask": "say", "say": END}
    return Graph(nodes, edges, "ask", inputs=["q", "asked"], outputs=["a"])


@pytest.mark.parametrize(
    ("program", "declared", "inputs", "outputs", "optional"),
    [
        (Desk(), {}, ("question", "tone"), (), {"tone"}),
        (Desk(), {"inputs": ["question"], "outputs": ["v"]}, ("question",), ("v",), {"tone"}),
        (dspy.ChainOfThought("q -> a"), {}, ("q",), ("reasoning", "a"), set()),
        (dspy.ReAct("q -> a", tools=[len]), {}, ("q",), ("a",), set()),
        (dspy.Predict(Defaulted), {}, ("question", "tone"), ("answer",), {"tone"}),
        (Anything(), {}, (), (), set()),
        (Anything(), {"inputs": ["x"]}, ("x",), (), set()),
        (Formless(), {}, (), (), set()),
        (again(), {"inputs": ["q"]}, ("q", "asked"), ("a",), {"asked"}),
    ],
)
def test_the_fields_of_the_whole_program_are_known_where_something_tells_them(
    program: dspy.Module, declared: Any, inputs: Any, outputs: Any, optional: Any
) -> None:
    runtime = runtime_of(program, **declared)
    assert (runtime.inputs, runtime.outputs, runtime.optional) == (inputs, outputs, optional)


def test_wrong_inputs_are_named_before_any_call() -> None:
    runtime = runtime_of(Desk())
    with pytest.raises(
        ProgramError,
        match=r"'question' is missing, 'qestion' is unknown \(is 'question' meant\?\); its inputs "
        "are question, tone",
    ):
        runtime(qestion="Why?")
    with pytest.raises(ProgramError, match="'zzz' is unknown; its inputs"):
        asyncio.run(runtime.acall(question="Why?", zzz=1))
    assert requests(runtime) == []
    assert runtime(question="Why?", tone="kind").answer == "a"


def test_a_program_that_takes_anything_is_given_anything() -> None:
    assert runtime_of(Anything())(b=1, a=2).names == ["a", "b"]


MARKED = 'x <<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "image_url"}]<<CUSTOM-TYPE-END-IDENTIFIER>>'


class Box(pydantic.BaseModel):
    text: str


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda text: text,
        lambda text: ["a", (text,)],
        lambda text: {"k": {text}},
        lambda text: {text: 1},
        lambda text: Box(text=text),
        lambda text: dspy.Example(note=text),
        lambda text: dspy.History(messages=[{"question": text}]),
    ],
)
def test_a_marker_for_content_parts_in_an_input_is_refused(wrapped: Callable[[str], Any]) -> None:
    runtime = runtime_of(Desk())
    with pytest.raises(ProgramError, match="input 'question' holds DSPy's marker"):
        runtime(question=wrapped(MARKED))
    assert requests(runtime) == []


@pytest.mark.parametrize("wrapped", [lambda text: text, lambda text: [{"k": text}]])
def test_half_a_character_in_an_input_is_refused_before_any_call(
    wrapped: Callable[[str], Any],
) -> None:
    runtime = runtime_of(Desk())
    with pytest.raises(ProgramError, match="input 'question' holds half of a character"):
        runtime(question=wrapped("caf\ud800"))
    assert requests(runtime) == []


def test_the_marker_would_become_an_image_without_the_guard() -> None:
    """Why the guard is there: DSPy turns such a text into a part of the request."""
    messages = dspy.ChatAdapter().format(
        dspy.Signature("question -> answer"), [], {"question": MARKED}
    )
    assert any(isinstance(each["content"], list) for each in messages)


def test_harmless_and_endless_values_are_let_through() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    program = runtime_of(Anything())
    assert program(a=endless, image=dspy.Image("data:image/png;base64,AAAA")).names == [
        "a",
        "image",
    ]


def test_a_program_of_another_shape_is_refused_by_predictor() -> None:
    with pytest.raises(ArtifactMismatch, match=r"'draft\.predict' of the artifact is not in"):
        load(artifact_of(Desk()), dspy.Predict("a -> b"))


def test_without_a_model_for_a_role_nothing_is_loaded() -> None:
    with (
        dspy.context(lm=None),
        pytest.raises(
            ConfigError,
            match=r"no model is bound to the role 'default' \(it was compiled for "
            r"'openai/gpt-5-mini'\): pass roles=\{'default': dspy\.LM\('openai/gpt-5-mini'\)\} "
            r"or call dspy\.configure",
        ),
    ):
        load(artifact_of(Desk()), Desk())


def test_the_configured_model_is_the_default_one() -> None:
    lm = scripted_lm(SCRIPT)
    with dspy.context(lm=lm):
        runtime = load(artifact_of(Desk()), Desk())
    assert runtime.roles["default"] is lm
    assert runtime(question="Why?").answer == "a"


def test_an_artifact_of_the_embedded_engine_gets_it_again() -> None:
    artifact = artifact_of(Desk(), models={"default": "embedded/small"})
    with dspy.context(lm=None):
        assert load(artifact, Desk()).roles["default"].model == "embedded/small"


def test_a_predictor_of_another_role_asks_that_roles_model() -> None:
    draft, check = shape(Desk())
    artifact = artifact_of(Desk(), (draft, replace(check, role="judge")))
    default, judge = scripted_lm(SCRIPT), scripted_lm([{"verdict": "judged"}])
    runtime = load(artifact, Desk(), roles={"default": default, "judge": judge})
    assert runtime(question="Why?").verdict == "judged"
    assert runtime.roles == {"default": default, "judge": judge}
    with pytest.raises(ConfigError, match=r"role 'judge' \(none is on record\).*provider/model"):
        load(artifact, Desk(), roles={"default": default})


def test_a_role_that_the_artifact_does_not_know_is_refused() -> None:
    lm = scripted_lm(SCRIPT)
    with pytest.raises(ConfigError, match=r"no role 'defualt' \(is 'default' meant\?\)"):
        load(artifact_of(Desk()), Desk(), roles={"defualt": lm})
    artifact = artifact_of(Desk(), models={"default": "m", "proposer": "n"})
    assert load(artifact, Desk(), roles={"default": lm, "proposer": lm}).roles["proposer"] is lm


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a program, a maker of one, and something that must not be called."""
    name = f"served_{canonical.short(canonical.text_digest(str(tmp_path)))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    source = """
    import dspy
    class Desk(dspy.Predict):
        def __init__(self):
            super().__init__("question -> answer")
    def make():
        return Desk()
    def harm():
        raise SystemExit("called")
    """
    for path in (tmp_path / name / "app.py", tmp_path / f"{name}.evil.py"):
        path.write_text(textwrap.dedent(source))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def named(reference: str, allow: Any) -> Runtime:
    artifact = artifact_of(dspy.Predict("question -> answer"), reference=reference)
    return load(artifact, roles={"default": scripted_lm(SCRIPT)}, allow=allow)


@pytest.mark.parametrize(
    ("attribute", "entry"),
    [("Desk", "{0}.app:Desk"), ("Desk", "{0}."), ("Desk", "{0}.app."), ("make", "{0}.app:make")],
)
def test_an_allowed_program_is_imported_by_the_artifacts_name(
    package: str, attribute: str, entry: str
) -> None:
    for allow in ([entry.format(package)], entry.format(package)):
        runtime = named(f"{package}.app:{attribute}", allow)
        assert type(runtime.program).__name__ == "Desk"


@pytest.mark.parametrize(
    ("reference", "allow"),
    [
        ("{0}.app:Desk", []),
        ("{0}.app:Desk", ["{0}.app:Other", "{0}", "other.", "{0}.ap."]),
        ("{0}.app:harm", ["{0}."]),
        ("{0}.app:make", ["{0}."]),
        ("{0}.evil.py:Desk", ["{0}."]),
        ("{0}./../{0}/app.py:Desk", ["{0}."]),
        ("{0}./app:Desk", ["{0}."]),
        ("", ["", "."]),
    ],
)
def test_no_other_program_is_imported(package: str, reference: str, allow: list[str]) -> None:
    before = set(sys.modules)
    with pytest.raises(ArtifactError, match="nothing is imported because a file says so"):
        named(reference.format(package), [each.format(package) for each in allow])
    if "app:harm" not in reference and "app:make" not in reference:
        assert not [name for name in set(sys.modules) - before if package in name]


NEAREST = Nearest(
    2,
    "words-v1",
    ({"question": "Is it hot?", "answer": "no"}, {"question": "What is a dog?", "answer": "a pet"},
     {"question": "What is a cat?", "answer": "a pet"}),
)  # fmt: skip


def choosing() -> Artifact:
    (state,) = shape(dspy.Predict("question -> answer"))
    return artifact_of(dspy.Predict("question -> answer"), (replace(state, nearest=NEAREST),))


def questions(runtime: Runtime) -> list[list[str]]:
    """What the requests showed and asked, in order."""
    return [
        [
            (message.text or "").split("\n")[1]
            for message in request.messages
            if message.role == "user"
        ]
        for request in requests(runtime)
    ]


def test_demos_are_chosen_for_every_call_in_a_loop_a_task_and_a_thread(tmp_path: Path) -> None:
    write(choosing(), tmp_path)
    roles = {"default": scripted_lm(SCRIPT)}
    runtime = load(tmp_path, dspy.Predict("question -> answer"), roles=roles)
    runtime(question="A cat: what is it?")
    asyncio.run(runtime.acall(question="A dog: what is it?"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(runtime, question="Is it not hot?").result()
    cat, dog, hot = "What is a cat?", "What is a dog?", "Is it hot?"
    found = questions(runtime)
    assert found[0] == [dog, cat, "A cat: what is it?"]
    assert found[1] == [cat, dog, "A dog: what is it?"]
    assert found[2][1:] == [hot, "Is it not hot?"]
    assert runtime.artifact.predictors == shape(runtime.program)


def test_an_artifact_that_chooses_demos_in_a_way_unknown_here_is_refused() -> None:
    (state,) = choosing().predictors
    later = replace(state, nearest=replace(NEAREST, embedder="words-v2"))
    program = dspy.Predict("question -> answer")
    with pytest.raises(ArtifactTooNew, match=r"'self' chooses its demos with 'words-v2'"):
        load(artifact_of(program, (later,)), program, roles={"default": scripted_lm(SCRIPT)})


LIGHT = """
import sys, dspy
from compilm import load
from compilm.testing.engines import scripted_lm
runtime = load(sys.argv[1], dspy.Predict("question -> answer"),
               roles={"default": scripted_lm([{"answer": "a"}])})
assert runtime(question="Why?").answer == "a"
assert len(runtime.roles["default"].engine.requests[0].messages) == 5
heavy = ["mlflow", "datasets", "faiss", "numpy", "pandas", "pyarrow", "optuna", "litellm",
         "langgraph", "fastapi"]
ours = [f"compilm.{name}" for name in ("optimizers", "metrics", "datasets", "tracking", "cli")]
print([name for name in [*heavy, *ours] if name in sys.modules])
"""


def test_serving_imports_nothing_heavy_and_no_compile_time_code(tmp_path: Path) -> None:
    path = write(choosing(), tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]", done.stderr
