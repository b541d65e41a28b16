"""Curves and thresholds: what they promise holds on outcomes they were not fitted on."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compilm.confidence import (
    Agreement,
    Confidence,
    Isotonic,
    LogProbability,
    Outcome,
    Platt,
    Stated,
    brier_score,
    calibration_error,
    for_accuracy,
    for_share,
    isotonic,
    platt,
    ranking,
    read_confidence,
    write_confidence,
)
from compilm.errors import (
    ArtifactMismatch,
    ArtifactTooNew,
    ArtifactUnreadable,
    DataError,
    UsageError,
)
from compilm.randomness import rng

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)
STATED = Stated("confidence")


def overconfident(n: int, seed: int) -> list[Outcome]:
    """Answers that say 0.9 to 1 and are right in half of the cases at 0.9, in all at 1."""
    draw = rng(seed, "outcomes")
    found = []
    for _ in range(n):
        signal = 0.9 + draw.random() / 10
        found.append(Outcome(signal, draw.random() < 0.5 + 5 * (signal - 0.9)))
    return found


@given(PAIRS)
def test_a_curve_never_falls_and_stays_a_probability(pairs: list[tuple[float, bool]]) -> None:
    signals, right = [signal for signal, _ in pairs], [good for _, good in pairs]
    for curve in (isotonic(signals, right), platt(signals, right)):
        drawn = [curve(n / 50) for n in range(51)]
        assert all(0 <= each <= 1 for each in drawn)
        assert all(low <= high + 1e-9 for low, high in itertools.pairwise(drawn))


@given(PAIRS)
def test_isotonic_keeps_the_mean_but_for_its_two_extra_answers(
    pairs: list[tuple[float, bool]],
) -> None:
    signals, right = [signal for signal, _ in pairs], [good for _, good in pairs]
    drawn = isotonic(signals, right)
    mean = sum(map(drawn, signals)) / len(signals)
    assert mean == pytest.approx((sum(right) + 1) / (len(right) + 2), abs=1e-6)


@pytest.mark.parametrize("kind", ["isotonic", "platt"])
def test_calibration_mends_what_is_too_sure_of_itself(kind: str) -> None:
    fit, test = overconfident(1000, 1), overconfident(1000, 2)
    raw = Confidence(STATED, at_least=0.5).quality(test)
    mended = Confidence.fitted(STATED, fit, accuracy=0.8, curve=kind).quality(test)  # type: ignore[arg-type]
    assert raw["error"] > 0.15
    assert mended["error"] < 0.06
    assert mended["brier"] < raw["brier"]
    assert mended["ranking"] == pytest.approx(raw["ranking"], abs=0.02)


def test_platt_gives_back_the_curve_that_made_the_outcomes() -> None:
    draw = rng(0, "platt")
    true = Platt(1.5, -0.5)
    signals = [draw.random() for _ in range(4000)]
    found = platt(signals, [draw.random() < true(signal) for signal in signals])
    assert found.slope == pytest.approx(1.5, abs=0.15)
    assert found.offset == pytest.approx(-0.5, abs=0.15)


def test_a_signal_that_points_the_wrong_way_says_nothing() -> None:
    signals = [n / 100 for n in range(100)]
    assert platt(signals, [signal < 0.5 for signal in signals]).slope == 0.0
    flat = isotonic(signals, [signal < 0.5 for signal in signals])
    assert len(set(flat.shares)) == 1


def test_a_target_accuracy_holds_on_new_outcomes_as_often_as_it_says() -> None:
    """100 worlds at level 0.9: the target is missed in more than 10 of them once in a thousand."""
    missed = 0
    for seed in range(100):
        seen = overconfident(300, seed)
        found = for_accuracy([o.signal for o in seen], [o.right for o in seen], 0.8, level=0.9)
        if found.signal is not None:
            least = max(found.signal, 0.9)
            truth = 0.5 + 5 * ((least + 1.0) / 2 - 0.9)
            missed += truth < 0.8
    assert missed <= 20


def test_where_no_threshold_keeps_the_target_nothing_is_accepted() -> None:
    seen = overconfident(40, 3)
    found = for_accuracy([o.signal for o in seen], [o.right for o in seen], 0.99)
    assert (found.signal, found.proven, found.share) == (None, False, 0.0)
    sure = Confidence.fitted(STATED, seen, accuracy=0.99)
    verdict = sure._verdict(1.0)
    assert not verdict
    assert "no threshold kept the target" in verdict.reason


def test_a_threshold_tells_what_it_was_seen_to_give() -> None:
    signals = [n / 200 for n in range(200)]
    found = for_accuracy(signals, [signal >= 0.25 for signal in signals], 0.9)
    assert found.proven
    assert found.signal is not None
    assert found.accepted == sum(signal >= found.signal for signal in signals)
    assert found.low <= (found.accuracy or 0) <= found.high
    assert (found.accuracy or 0) >= 0.9


@given(PAIRS, st.floats(0, 1))
def test_no_more_than_the_share_is_handed_on(pairs: list[tuple[float, bool]], share: float) -> None:
    signals, right = [signal for signal, _ in pairs], [good for _, good in pairs]
    found = for_share(signals, right, share)
    on = [s for s in signals if found.signal is None or s < found.signal]
    assert len(on) <= share * len(signals) + 1e-6
    assert found.accepted == len(signals) - len(on)


def test_answers_without_a_signal_are_handed_on() -> None:
    found = for_share([None, None, 0.5, 0.9], [True, True, True, True], 0.5)
    assert (found.signal, found.accepted) == (0.5, 2)
    assert for_share([None, 0.5], [True, True], 0.0).accepted == 1


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: isotonic([], []), DataError, "0 signals and 0 outcomes"),
        (lambda: platt([1.5], [True]), DataError, "a signal of 1.5"),
        (lambda: for_accuracy([0.5], [True], 1.5), UsageError, "1.5 at level 0.95"),
        (lambda: for_share([0.5], [], 0.5), DataError, "1 signals and 0 outcomes"),
        (lambda: calibration_error([], []), DataError, "0 numbers"),
        (lambda: Confidence(STATED, at_least=2.0), UsageError, "at_least=2.0"),
        (lambda: Confidence.fitted(STATED, [Outcome(0.5, True)]), UsageError, "give one target"),
        (lambda: Confidence.fitted(STATED, [Outcome(None, True)]), DataError, "none of 1"),
    ],
)
def test_what_cannot_be_fitted_is_told(call, error, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=told):
        call()


def test_figures_of_probabilities() -> None:
    said, right = [0.9, 0.9, 0.1, 0.1], [True, False, False, False]
    assert calibration_error(said, right, bins=2) == pytest.approx((0.4 * 2 + 0.1 * 2) / 4)
    assert brier_score(said, right) == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)
    assert ranking(said, right) == pytest.approx((0.5 + 1 + 1) / 3)
    assert math.isnan(ranking([0.5], [True]))


@pytest.mark.parametrize("kind", ["isotonic", "platt", "plain"])
def test_a_confidence_comes_back_from_its_file(tmp_path: Path, kind: str) -> None:
    sure = Confidence(STATED, at_least=0.7)
    if kind != "plain":
        sure = Confidence.fitted(STATED, overconfident(400, 5), handed_on=0.3, curve=kind)  # type: ignore[arg-type]
    again = read_confidence(write_confidence(sure, tmp_path / "sure.json"), STATED)
    assert again.at_least == sure.at_least
    assert [again._verdict(n / 20) for n in range(21)] == [sure._verdict(n / 20) for n in range(21)]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = write_confidence(Confidence(LogProbability("a"), at_least=0.7), tmp_path / "sure.json")
    with pytest.raises(ArtifactMismatch, match="fitted on LogProbability"):
        read_confidence(path, LogProbability("b"))
    body = json.loads(path.read_text())
    for change, error in (
        ({"schema": 2}, ArtifactTooNew),
        ({"curve": {"form": "isotonic"}}, ArtifactUnreadable),
        ({"curve": {"form": "isotonic", "signals": [0.5, 0.1], "shares": [0, 1]}},
         ArtifactUnreadable),
        ({"at_least": "0.7"}, ArtifactUnreadable),
        ({"more": 1}, ArtifactUnreadable),
    ):  # fmt: skip
        path.write_text(json.dumps({**body, **change}))
        with pytest.raises(error):
            read_confidence(path, LogProbability("a"))
    with pytest.raises(ArtifactUnreadable, match="no confidence can be read"):
        read_confidence(tmp_path / "absent.json", STATED)


def test_signals_are_named_alike_in_every_process() -> None:
    from compilm.confidence.confidence import describe

    assert describe(Agreement("answer")) == "Agreement(field='answer')"
    assert describe(test_figures_of_probabilities) == "test_figures_of_probabilities"
    assert Isotonic((0.5,), (0.25,))(0.9) == 0.25
