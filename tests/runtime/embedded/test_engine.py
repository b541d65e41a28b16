"""The engine keeps dspy's contract, is a pure function of the request, and says what it is."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dspy
import pytest
from dspy.lm15 import (
    Config,
    FunctionTool,
    ImagePart,
    Message,
    Request,
    TextPart,
    UnsupportedFeatureError,
)

import compilm
from compilm.errors import ConfigError
from compilm.runtime.embedded import (
    NOTICE,
    SIZES,
    AsyncEmbeddedEngine,
    EmbeddedEngine,
    embedded_lm,
)

PLAIN = Request(model="embedded/base", messages=(Message.user("It rains. Does it rain?"),))


def sort_request(**config: Any) -> Request:
    """A request as ChatAdapter writes it, with labels that nothing in the prompt tells apart."""
    signature = dspy.Signature(
        {
            "text": (str, dspy.InputField()),
            "label": (Literal["aa", "bb", "cc", "dd"], dspy.OutputField()),
        }
    )
    system, user = dspy.ChatAdapter().format(signature, [], {"text": "a red bus"})
    return Request(
        model="embedded/base",
        system=system["content"],
        messages=(Message.user(user["content"]),),
        config=Config(**config),
    )


def test_the_response_says_what_answered() -> None:
    response = EmbeddedEngine(SIZES["embedded/small"]).complete(replace(PLAIN, model="m/x"))
    assert response.model == "m/x"
    assert response.provider_data["notice"] == NOTICE == "embedded, not a language model"
    assert response.provider_data["attend_demos"] == 4


def test_usage_counts_four_characters_a_token() -> None:
    usage = EmbeddedEngine().complete(PLAIN).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 2, 7)


def test_it_declares_no_capability() -> None:
    engine = EmbeddedEngine()
    assert not engine.supports_function_calling
    assert not engine.supports_response_schema
    assert not engine.supports_reasoning
    assert engine.supported_params == ()


def test_copies_are_the_engine_itself() -> None:
    engine = EmbeddedEngine()
    twin = AsyncEmbeddedEngine(engine)
    assert copy.deepcopy(engine) is copy.copy(engine) is engine
    assert copy.deepcopy(twin) is copy.copy(twin) is twin


def test_pickles_carry_the_options_and_nothing_else() -> None:
    engine = EmbeddedEngine(SIZES["embedded/large"])
    fresh = pickle.dumps(engine)
    engine.complete(PLAIN)
    assert pickle.dumps(engine) == fresh
    assert pickle.loads(fresh).options == engine.options
    twin = pickle.loads(pickle.dumps(AsyncEmbeddedEngine(engine)))
    assert twin.sync.options == engine.options


def test_state_restores_the_same_engine() -> None:
    engine = EmbeddedEngine(replace(SIZES["embedded/small"], bias=0.5))
    for kind, of in ((EmbeddedEngine, engine), (AsyncEmbeddedEngine, AsyncEmbeddedEngine(engine))):
        again = kind.load_state(of.dump_state())
        assert again.dump_state() == of.dump_state()


def test_a_saved_program_answers_the_same_after_loading(tmp_path: Path, desks: Any) -> None:
    program = dspy.Predict(desks.signature())
    program.demos = [dspy.Example(text=d.text, desk=d.desk) for d in desks.train[:10]]
    program.set_lm(embedded_lm("embedded/small"))
    program.save(tmp_path / "program.json")
    again = dspy.Predict(desks.signature())
    again.load(tmp_path / "program.json", allow_unsafe_lm_state=True)
    texts = [one.text for one in desks.test[:20]]
    with dspy.context(adapter=dspy.ChatAdapter()):
        assert [program(text=t).desk for t in texts] == [again(text=t).desk for t in texts]


def test_state_with_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no option 'attention'.*attend_demos"):
        EmbeddedEngine.load_state({"attention": 3})


def test_an_unknown_size_is_refused_with_the_three_names() -> None:
    with pytest.raises(ConfigError, match=r"'embedded/huge'.*small.*base.*large"):
        embedded_lm("embedded/huge")


def test_the_lm_neither_caches_nor_retries() -> None:
    lm = embedded_lm("embedded/small", bias=0.1)
    assert (lm.cache, lm.num_retries) == (False, 0)
    assert lm.engine.options == replace(SIZES["embedded/small"], bias=0.1)


def test_answers_do_not_depend_on_earlier_traffic() -> None:
    used, fresh = EmbeddedEngine(), EmbeddedEngine()
    hot = sort_request(temperature=1.0, seed=3)
    for _ in range(3):
        used.complete(sort_request(temperature=1.0))
        used.complete(hot)
    assert used.complete(hot).text == fresh.complete(hot).text


def test_seeds_give_variety_only_at_a_temperature() -> None:
    engine = EmbeddedEngine()

    def answers(**config: Any) -> set[str | None]:
        return {engine.complete(sort_request(seed=s, **config)).text for s in range(12)}

    assert len(answers(temperature=1.0)) > 1
    assert len(answers(temperature=0.0)) == len(answers()) == 1


def test_no_seed_is_seed_zero() -> None:
    engine = EmbeddedEngine()
    none, zero = sort_request(temperature=1.0), sort_request(temperature=1.0, seed=0)
    assert engine.complete(none).text == engine.complete(zero).text


def test_threads_do_not_change_answers(desks: Any) -> None:
    engine = EmbeddedEngine()
    requests = [sort_request(temperature=1.0, seed=seed) for seed in range(40)]
    alone = [engine.complete(request).text for request in requests]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda r: EmbeddedEngine().complete(r).text, requests))
        shared = list(pool.map(lambda r: engine.complete(r).text, requests))
    assert alone == together == shared


SCRIPT = """
import json, sys
from dspy.lm15 import Config, Message, Request
from compilm.runtime.embedded import EmbeddedEngine
import pathlib
system, user = json.loads(pathlib.Path(sys.argv[1]).read_text())
for seed in range(5):
    request = Request(model="m", system=system, messages=(Message.user(user),),
                      config=Config(temperature=1.0, seed=seed))
    print(EmbeddedEngine().complete(request).text)
"""


def test_answers_are_equal_in_processes_with_other_hash_seeds(tmp_path: Path) -> None:
    mixed = dspy.Signature(
        "text -> label: Literal['aa', 'bb'], amount: float, order_id",
        'Read it.\n\n- `aa`: "red", "bus"',
    )
    demos = [
        {"text": "fee $3 for C-1", "label": "bb", "amount": 3.0, "order_id": "C-1"},
        {"text": "B-2 by bus, $5", "label": "aa", "amount": 5.0, "order_id": "B-2"},
    ]
    asked = {"text": "the $7 bus, order D-9, not E-8"}
    messages = dspy.ChatAdapter().format(mixed, demos, asked)
    path = tmp_path / "request.json"
    text = "\n\n".join(message["content"] for message in messages[:-1])
    path.write_text(json.dumps([text, messages[-1]["content"]]))
    source = str(Path(compilm.__file__).parents[1])
    printed = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": source},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert "[[ ## label ## ]]" in printed.pop()


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (
            replace(PLAIN, tools=(FunctionTool(name="t", parameters={"type": "object"}),)),
            "call tools",
        ),
        (replace(PLAIN, config=Config(logprobs=1)), "token probabilities"),
        (replace(PLAIN, config=Config(probabilities="required")), "token probabilities"),
        (
            replace(
                PLAIN,
                config=Config(
                    response_format={"type": "json_schema", "schema": {"type": "object"}}
                ),
            ),
            "response schema",
        ),
        (replace(PLAIN, config=Config(response_format={"type": "json_object"})), "JSON"),
        (
            replace(
                PLAIN,
                messages=(
                    Message.user((ImagePart(media_type="image/png", url="https://x.test/a"),)),
                ),
            ),
            "ImagePart",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_with_what_to_do(request_: Request, what: str) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        EmbeddedEngine().complete(request_)
    assert what in str(caught.value)
    assert NOTICE in str(caught.value)
    assert "set a provider model" in str(caught.value)


def test_json_mode_is_served_where_the_prompt_declares_fields() -> None:
    lm = embedded_lm()
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        predictor = dspy.Predict("text -> is_late: bool")
        answer = predictor(text="late", config={"response_format": {"type": "json_object"}})
    assert isinstance(answer.is_late, bool)


def test_text_parts_of_a_system_prompt_are_read() -> None:
    request = sort_request()
    parts = replace(request, system=(TextPart(request.system),))
    assert EmbeddedEngine().complete(parts).text == EmbeddedEngine().complete(request).text


def test_a_question_without_fields_gets_a_sentence_of_the_text() -> None:
    text = "Mills grind. Ann owns the mill. Who owns the mill?"
    request = replace(PLAIN, messages=(Message.user(text),))
    assert EmbeddedEngine().complete(request).text == "Ann owns the mill."


def test_blank_text_gets_an_answer() -> None:
    assert EmbeddedEngine().complete(replace(PLAIN, messages=(Message.user(" "),))).text == "..."


def test_a_stream_holds_the_whole_answer() -> None:
    engine = EmbeddedEngine()
    events = list(engine.stream(PLAIN))
    told = "".join(event.delta.text for event in events if hasattr(event, "delta"))
    assert told == engine.complete(PLAIN).text
    engine.close()


def test_the_async_engine_answers_and_streams_as_the_sync_one() -> None:
    async def both() -> tuple[str | None, int]:
        engine = AsyncEmbeddedEngine()
        response = await engine.complete(PLAIN)
        events = [event async for event in engine.stream(PLAIN)]
        await engine.aclose()
        return response.text, len(events)

    text, number = asyncio.run(both())
    assert text == EmbeddedEngine().complete(PLAIN).text
    assert number >= 3


def test_dspy_can_await_it() -> None:
    async def ask() -> str:
        with dspy.context(lm=embedded_lm(), adapter=dspy.ChatAdapter()):
            answer = await dspy.Predict("mail -> order_number").acall(mail="Where is C-45?")
            return str(answer.order_number)

    assert asyncio.run(ask()) == "C-45"


def test_importing_the_learner_loads_no_numpy() -> None:
    """dspy itself may: so only the files that need no dspy are loaded."""
    code = (
        "import sys, importlib.util, pathlib, types\n"
        "import compilm.errors, compilm.canonical, compilm.randomness\n"
        "base = pathlib.Path(compilm.errors.__file__).parent / 'runtime'\n"
        "for name, path in (('', base), ('.embedded', base / 'embedded')):\n"
        "    name = 'compilm.runtime' + name\n"
        "    package = types.ModuleType(name); package.__path__ = [str(path)]\n"
        "    sys.modules[name] = package\n"
        "import compilm.runtime.embedded.propose, compilm.runtime.embedded.answer\n"
        "print(sorted({'numpy', 'dspy', 'pydantic'} & set(sys.modules)))\n"
    )
    source = str(Path(compilm.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
