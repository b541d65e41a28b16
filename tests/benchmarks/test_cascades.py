"""The benchmark of cascades: rules, costs and curves on outcomes that are made here."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.cascades.picture import draw
from benchmarks.cascades.rules import Point, at_cost, curves, halves, recovered
from benchmarks.cascades.run import main, measured
from benchmarks.cascades.sets import Answer, Ladder, Row, bbh, gsm8k, llmrouter


def ladder(said: bool = False) -> Ladder:
    """Easy questions that both steps know, and knotty ones that only the dear step knows."""
    rows = []
    for n in range(200):
        easy = n % 2 == 0
        text = f"{'easy' if easy else 'knotty'} question {n}"
        rows.append(Row(str(n), text, (Answer(float(easy), 1.0, "a"), Answer(1.0, 9.0, "a"))))

    def signal(row: Row, step: int) -> float:
        return 0.9 if row.answers[step].score else 0.1

    return Ladder("made", ("cheap", "dear"), "units", tuple(rows), signal if said else None)


def test_halves_are_parted_by_id_and_split() -> None:
    rows = ladder().rows
    fit, test = halves(rows, 1)
    assert sorted([*fit, *test]) == sorted(rows)
    assert 60 < len(fit) < 140
    assert halves(rows, 1) == (fit, test)
    assert halves(rows, 2) != (fit, test)


def test_who_knows_what_is_hard_keeps_the_gain_at_half_the_cost() -> None:
    found = curves(ladder(), split=0)
    assert found["random"][0].cost == pytest.approx(1 / 9)
    assert found["random"][-1] == Point(1.0, 1.0)
    assert at_cost(found["alike, right"], 0.6) == pytest.approx(1.0)
    assert at_cost(found["random"], 0.6) < 0.85
    ends = found["random"][0], found["random"][-1]
    kept = {name: recovered(points, *ends) for name, points in found.items()}
    assert kept["oracle"] >= kept["alike, right"] > 0.7 > kept["random"] > 0.4


def test_a_ladder_that_climbs_pays_for_every_step_it_took() -> None:
    found = curves(ladder(said=True), split=0)
    easy = sum(row.answers[0].score for row in halves(ladder().rows, 0)[1])
    size = len(halves(ladder().rows, 0)[1])
    best = max(found["confidence"], key=lambda point: (point.score, -point.cost))
    assert best.score == 1.0
    assert best.cost == pytest.approx((size + (size - easy) * 9) / (size * 9))


def test_between_two_points_a_rule_is_a_mix_of_both() -> None:
    points = [Point(0.2, 0.5), Point(0.6, 0.7)]
    assert [at_cost(points, cost) for cost in (0.1, 0.4, 0.9)] == pytest.approx([0.5, 0.6, 0.7])
    assert recovered(points, *points) == pytest.approx(0.5)


def write(folder: Path) -> None:
    """The four sets with a few rows each, in the form of the real ones."""
    solver = {"correct": True, "output": "It is 3\nA: 3"}
    names = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    said = {"output": "x", "answer": "x", "correct": True}
    steps = ("gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct")
    scored = {"predicted": "a", "score": 0.9, "correct": True}
    sets = {
        "gsm8k/test_half_a_with_model_outputs.jsonl": lambda n: {
            "question": f"q {n}",
            "models": {
                name: {**solver, "correct": name == names[-1] or n % 3 == 0} for name in names
            },
        },
        "bbh/tasks.jsonl": lambda n: {
            "input": f"q {n}",
            "codex_direct": {**said, "correct": n % 2 == 0},
            "codex_cot": None if n == 0 else {**said, "output": "x" * 50},
        },
        "llmrouter-outcomes/outcomes.jsonl": lambda n: {
            "query": f"q {n}",
            "choices": None,
            "scores": dict(zip(steps, (float(n % 2), 1.0), strict=True)),
        },
        "confidence-outcomes/outcomes.jsonl": lambda n: {
            "task": "ag_news",
            **{
                prompt: {**scored, "score": None if n == 0 else n / 60, "correct": n > 6}
                for prompt in ("baseline", "default", "confidence")
            },
        },
    }
    for name, row in sets.items():
        path = folder / name
        path.parent.mkdir()
        lines = [json.dumps({"id": str(n), **row(n)}) + "\n" for n in range(60)]
        path.write_text("".join(lines), encoding="utf-8")
    prices = {name: {"input_usd_per_mtok": usd} for name, usd in zip(steps, (0.1, 0.9))}
    (folder / "llmrouter-outcomes" / "models.json").write_text(json.dumps(prices))


def test_the_command_reads_the_sets_prints_tables_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    assert main([str(tmp_path), "--splits", "2", "--chart", str(tmp_path / "c.svg")]) == 0
    printed = capsys.readouterr().out
    for name in ("ag_news, default", "gsm8k: 60", "bbh: 59", "llmrouter: 60", "always dear"):
        assert name in printed
    picture = ElementTree.parse(tmp_path / "c.svg").getroot()
    assert len([each for each in picture.iter() if each.tag.endswith("path")]) > 8
    costs = [[answer.cost for answer in made(tmp_path).rows[1].answers]
             for made in (gsm8k, bbh, llmrouter)]  # fmt: skip
    assert all(each == sorted(each) for each in costs)


def test_the_table_names_both_trivial_ends() -> None:
    table, drawn = measured(ladder(), 2)
    assert "always cheap" in table
    assert "<title>" in draw({"made": drawn})
