"""The error tree: drawn as it is, with exit codes, safe to pickle."""

from __future__ import annotations

import inspect
import pickle

import pytest

from compilm import errors


def classes() -> list[type[BaseException]]:
    return [getattr(errors, name) for name in errors.__all__]


def test_every_error_is_in_the_drawing() -> None:
    drawing = inspect.getdoc(errors) or ""
    assert [c.__name__ for c in classes() if c.__name__ not in drawing] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.MissingExtra("pandas", extra="data", purpose="read"), 2),
        (errors.DataError("x"), 3),
        (errors.ArtifactMismatch("x"), 3),
        (errors.JournalError("x"), 3),
        (errors.CallFailed("x"), 4),
        (errors.BudgetExceeded("x"), 5),
    ],
)
def test_the_exit_code_follows_the_branch(error: errors.CompilmError, code: int) -> None:
    assert error.exit_code == code


def test_usage_errors_are_value_errors() -> None:
    assert issubclass(errors.DataError, ValueError)


def test_run_stopped_is_no_exception_that_user_code_swallows() -> None:
    assert not issubclass(errors.RunStopped, Exception)
    stop = errors.RunStopped("budget", cause=errors.BudgetExceeded("b"))
    assert stop.reason == "budget"
    assert isinstance(stop.cause, errors.BudgetExceeded)


def test_a_missing_extra_survives_pickling() -> None:
    error = errors.MissingExtra("pandas", extra="data", purpose="read Parquet")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"file": "a.csv", "line": 3, "field": "x"}, "a.csv:3: field 'x': bad"),
        ({"file": "a.csv"}, "a.csv: bad"),
        ({"field": "x"}, "field 'x': bad"),
        ({}, "bad"),
    ],
)
def test_a_data_error_names_its_place(place: dict[str, object], told: str) -> None:
    assert str(errors.DataError("bad", **place)) == told  # type: ignore[arg-type]


def test_refusals_say_when_to_ask_again() -> None:
    assert errors.Refused("later", retry_after=2.5).retry_after == 2.5
    assert errors.MetricError("x", example_id="e1").example_id == "e1"
