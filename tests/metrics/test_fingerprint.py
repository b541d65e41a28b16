"""A fingerprint changes with what a metric does, and with nothing else."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import pytest

import compilm
from compilm.metrics import Metric, exact, f1, fields, fingerprint_of, weighted

LIMIT = 0.5


def helper(text: str) -> str:
    return text.lower()


def uses_helper(example: Any, pred: Any) -> bool:
    return helper(example) == pred and LIMIT > 0


def test_a_fingerprint_is_a_digest_and_the_same_each_time() -> None:
    assert Metric(uses_helper).fingerprint == Metric(uses_helper).fingerprint
    assert Metric(uses_helper).fingerprint.startswith("sha256:")


def closing(over: Any) -> Callable[..., Any]:
    def metric(example: Any, pred: Any) -> bool:
        return bool(over == pred)

    return metric


@dataclass
class Settings:
    limit: float
    tags: tuple[str, ...] = ()


class Slotted:
    __slots__ = ("limit", "unset")

    def __init__(self, limit: float) -> None:
        self.limit = limit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (1, 1.0),
        (1, True),
        ("a", "b"),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({1, 2}, {1, 3}),
        ((1,), [1]),
        (None, 0),
        (Settings(1), Settings(2)),
        (Slotted(1), Slotted(2)),
        (helper, uses_helper),
        (Settings, Slotted),
        (exact("a"), exact("b")),
        (functools.partial(helper, text="a"), functools.partial(helper, text="b")),
    ],
)
def test_values_closed_over_make_the_difference(one: Any, other: Any) -> None:
    assert fingerprint_of(closing(one)) != fingerprint_of(closing(other))
    assert fingerprint_of(closing(one)) == fingerprint_of(closing(one))
    assert fingerprint_of(functools.partial(closing, over=one)) != fingerprint_of(
        functools.partial(closing, over=other)
    )


def test_the_order_of_a_set_or_a_dict_makes_no_difference() -> None:
    assert fingerprint_of(closing({"b": 1, "a": 2})) == fingerprint_of(closing({"a": 2, "b": 1}))
    assert fingerprint_of(closing(frozenset("abc"))) == fingerprint_of(closing(frozenset("cba")))


def test_defaults_make_the_difference() -> None:
    def made(limit: float) -> Callable[..., Any]:
        def metric(example: Any, pred: Any, top: float = limit, *, low: float = limit) -> bool:
            return bool(low <= pred <= top)

        return metric

    assert fingerprint_of(made(1)) != fingerprint_of(made(2))


def test_two_lambdas_of_one_line_differ() -> None:
    pair = [lambda e, p: e == p, lambda e, p: e != p]
    assert fingerprint_of(pair[0]) != fingerprint_of(pair[1])


def test_what_a_metric_counts_or_collects_is_not_part_of_it() -> None:
    seen: list[Any] = []
    tally: dict[str, int] = {}
    count = 0

    def metric(example: Any, pred: Any) -> bool:
        nonlocal count
        count += 1
        seen.append(pred)
        tally["n"] = count
        [].append(pred)
        return True

    before = fingerprint_of(metric)
    metric(1, 2)
    assert seen
    assert tally
    assert fingerprint_of(metric) == before


class Counting:
    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.calls = 0
        self.seen: list[Any] = []

    def __call__(self, example: Any, pred: Any) -> bool:
        self.calls += 1
        self.seen.append(pred)
        return bool(pred > self.limit)


class Stricter(Counting):
    pass


def test_an_object_is_its_class_and_settings_without_its_counters() -> None:
    metric = Counting(0.5)
    before = fingerprint_of(metric)
    metric(1, 2)
    assert fingerprint_of(metric) == before
    assert fingerprint_of(Counting(0.6)) != before
    assert fingerprint_of(Stricter(0.5)) != before


def test_a_bound_method_is_its_object_and_its_name() -> None:
    class Judge:
        def __init__(self, want: str) -> None:
            self.want = want

        def one(self, example: Any, pred: Any) -> bool:
            return bool(self.want == pred)

        def other(self, example: Any, pred: Any) -> bool:
            return not self.one(example, pred)

        @classmethod
        def both(cls, example: Any, pred: Any) -> bool:
            return True

    prints = {
        fingerprint_of(fn) for fn in (Judge("a").one, Judge("b").one, Judge("a").other, Judge.both)
    }
    assert len(prints) == 4


def test_a_metric_that_refers_to_itself_has_a_fingerprint() -> None:
    def metric(example: Any, pred: Any) -> bool:
        return bool(pred == 0 or metric(example, pred - 1))

    assert fingerprint_of(metric) == fingerprint_of(metric)


def test_a_variable_not_assigned_yet_is_left_out() -> None:
    def metric(example: Any, pred: Any) -> bool:
        return bool(later)

    before = fingerprint_of(metric)
    later = True
    assert fingerprint_of(metric) != before


class Judge(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grade = dspy.Predict("question, answer -> grade: float")

    def forward(self, example: Any, pred: Any) -> Any:
        return self.grade(question=example, answer=pred).grade


class Undumpable(Judge):
    def dump_state(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("not today")


def test_a_module_is_its_instructions_and_demonstrations_too() -> None:
    judge, taught = Judge(), Judge()
    taught.grade.demos = [dspy.Example(question="q", answer="a", grade=1.0)]
    assert fingerprint_of(judge) == fingerprint_of(Judge())
    assert fingerprint_of(judge) != fingerprint_of(taught)
    assert fingerprint_of(closing(judge)) != fingerprint_of(closing(taught))
    assert fingerprint_of(Undumpable()) == fingerprint_of(Undumpable())


def test_a_model_closed_over_is_known_by_its_name_and_not_by_its_history() -> None:
    lm = dspy.LM("openai/one", api_key="secret")
    before = fingerprint_of(closing(lm))
    lm.history.append({"prompt": "hello"})
    assert fingerprint_of(closing(lm)) == before
    assert fingerprint_of(closing(dspy.LM("openai/two", api_key="secret"))) != before


def test_an_object_from_elsewhere_is_known_by_its_type() -> None:
    assert fingerprint_of(closing(object())) == fingerprint_of(closing(object()))
    assert fingerprint_of(closing(object())) != fingerprint_of(closing(Path("a")))


def test_built_in_metrics_differ_by_kind_field_and_weight() -> None:
    metrics = [
        exact("a"),
        exact("b"),
        f1("a"),
        fields("a"),
        fields("a", "b"),
        fields("a", "b", weights={"a": 2}),
        weighted(x=("exact(a)", 1), y=("f1(b)", 1)),
        weighted(x=("exact(a)", 1), y=("f1(b)", 2)),
    ]
    assert len({metric.fingerprint for metric in metrics}) == len(metrics)
    assert exact("a").fingerprint == exact("a").fingerprint


def built(source: str) -> Callable[..., Any]:
    names: dict[str, Any] = {"__name__": "built"}
    exec(textwrap.dedent(source), names)
    metric: Callable[..., Any] = names["metric"]
    return metric


BUILT = """
    def helper(text):
        return text in {"x", "y", "z"}
    LIMIT = 1
    def metric(example, pred):
        inner = lambda: LIMIT
        return helper(pred) and inner()
"""


@pytest.mark.parametrize(
    "change",
    [('"z"', '"w"'), ("and inner", "or inner"), ("LIMIT = 1", "LIMIT = 2")],
)
def test_without_source_the_compiled_code_tells(change: tuple[str, str]) -> None:
    assert fingerprint_of(built(BUILT)) == fingerprint_of(built(BUILT))
    assert fingerprint_of(built(BUILT)) != fingerprint_of(built(BUILT.replace(*change)))


def test_an_edited_helper_changes_the_fingerprint_of_the_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = "def help(a):\n    return a\n\n\ndef metric(example, pred):\n    return help(pred)\n"
    (tmp_path / "first_metric.py").write_text(source)
    (tmp_path / "second_metric.py").write_text(source)
    (tmp_path / "third_metric.py").write_text(source.replace("return a", "return not a"))
    first, second, third = (
        fingerprint_of(__import__(f"{name}_metric").metric) for name in ("first", "second", "third")
    )
    assert first == second
    assert first != third


def test_another_process_gives_the_same_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "far_metric.py").write_text(
        "import re\nWORDS = {'a', 'b', 'c'}\n"
        "def made(words):\n    def metric(example, pred):\n"
        "        return pred in words and pred in {'x', 'y', 'z'}\n    return metric\n"
        "metric = made(WORDS)\nline = lambda example, pred: pred in {'x', 'y', 'z'}\n"
    )
    code = (
        "import far_metric as m; from compilm.metrics import fingerprint_of as f;"
        "print(f(m.metric), f(m.line))"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(compilm.__file__).parents[1])])
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(prints) == 1
