"""Figures and findings in words that a newcomer understands, the same in every view."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from .rows import DecisionRow, Interval, Spending
from .story import BASELINE, Story

__all__ = [
    "VERDICTS",
    "accepted",
    "budget_text",
    "count",
    "decision_line",
    "figure",
    "finding",
    "headline",
    "interval",
    "moment",
    "money",
    "phase",
    "shipped",
    "signed",
    "span",
    "spending",
    "tightest",
]

VERDICTS = {
    "proven": "Proven better",
    "likely": "Likely better",
    "unproven": "No proven gain",
    "no-headroom": "No headroom",
}
_SPLITS = {
    "test": "held-out examples that the search never saw",
    "val": "validation examples that the search chose by, so the figures flatter",
}
_UNITS = ("rollouts", "calls", "tokens", "usd", "seconds")


def figure(value: float) -> str:
    """A score as text: three decimals where it is small.

    >>> figure(0.7104), figure(56.25), figure(12345.6)
    ('0.710', '56.2', '12,346')
    """
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def signed(value: float) -> str:
    """A difference as text, always with its sign.

    >>> signed(0.158), signed(-0.0001), signed(-2.0)
    ('+0.158', '0.000', '−2.000')
    """
    text = figure(abs(value))
    if not text.strip("0."):
        return text
    return ("+" if value > 0 else "−") + text


def interval(found: Interval | None, *, difference: bool = False) -> str:
    """A measured number with its interval.

    >>> interval(Interval(0.71, 0.62, 0.78, 120))
    '0.710 [0.62, 0.78]'
    """
    if found is None:
        return "not measured"
    show, edge = (signed, _signed_edge) if difference else (figure, _edge)
    return f"{show(found.value)} [{edge(found.low)}, {edge(found.high)}]"


def _edge(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else figure(value)


def _signed_edge(value: float) -> str:
    text = _edge(abs(value))
    return text if not text.strip("0.") else ("+" if value > 0 else "−") + text


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "call"), count(1200, "call")
    ('1 call', '1,200 calls')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def money(usd: float | None) -> str:
    """US dollars as text; an unknown price is said, never 0.

    >>> money(None), money(0.0), money(0.0042), money(3.5)
    ('price unknown', '$0.00', '$0.0042', '$3.50')
    """
    if usd is None:
        return "price unknown"
    return f"${usd:.4f}" if 0 < usd < 0.1 else f"${usd:,.2f}"


def span(seconds: float) -> str:
    """A duration as text.

    >>> span(4.21), span(372), span(7260)
    ('4.2 s', '6 min 12 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(at: float) -> str:
    """Seconds since 1970 as a date and time in UTC.

    >>> moment(0)
    '1970-01-01 00:00 UTC'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def spending(spent: Spending) -> str:
    """What was spent in one line.

    >>> spending(Spending(300, 412, 98000, None, 61.0))
    '300 rollouts, 412 calls, 98,000 tokens, price unknown, 1 min 1 s'
    """
    counts = [count(getattr(spent, f"{noun}s"), noun) for noun in ("rollout", "call", "token")]
    return ", ".join([*counts, money(spent.usd), span(spent.seconds)])


def tightest(budget: Mapping[str, float | None], spent: Spending) -> tuple[str, float] | None:
    """The dimension of the budget that is nearest to its end, and the share of it that is gone.

    >>> tightest({"rollouts": 100, "calls": 1000}, Spending(rollouts=50, calls=100))
    ('rollouts', 0.5)
    """
    shares = []
    for unit in _UNITS:
        limit, used = budget.get(unit), getattr(spent, unit)
        if limit is not None and used is not None:
            shares.append((unit, min(1.0, used / limit) if limit else 1.0))
    return max(shares, key=lambda share: share[1]) if shares else None


def budget_text(budget: Mapping[str, float | None]) -> str:
    """The ceilings in one line.

    >>> budget_text({"rollouts": 1000, "usd": 2.0, "calls": None})
    '1,000 rollouts, $2.00'
    """
    shown = []
    for unit in _UNITS:
        limit = budget.get(unit)
        if limit is None:
            continue
        if unit == "usd":
            shown.append(money(limit))
        elif unit == "seconds":
            shown.append(span(limit))
        else:
            shown.append(count(int(limit), unit.removesuffix("s")))
    return ", ".join(shown) or "no ceiling"


def headline(story: Story) -> str:
    """The verdict in two or three words."""
    if not story.finished:
        return "Not finished"
    return VERDICTS.get(story.verdict, story.verdict or "Measured")


def finding(story: Story) -> str:
    """What was found, in a sentence or two."""
    if not story.finished:
        return _so_far(story)
    seen = story.confirmed
    if story.verdict == "no-headroom":
        score = story.baseline.get("test") or story.baseline.get("val")
        where = f" ({interval(score)} on {score.n:,} examples)" if score else ""
        if len(story.candidates) > 1:
            return f"What was tried makes a gain over the given program{where} unlikely."
        return f"The given program already scores so high{where} that no gain could be shown."
    if seen is None or seen.gain is None or seen.baseline is None or seen.compiled is None:
        return _none_better(story)
    where = f"on {seen.gain.n:,} {_SPLITS.get(seen.split, seen.split)}"
    edges = f"{_signed_edge(seen.gain.low)} to {_signed_edge(seen.gain.high)}"
    gain = f"The gain is put at {signed(seen.gain.value)} (95 % interval {edges})"
    before, after = figure(seen.baseline.value), figure(seen.compiled.value)
    if story.verdict == "proven":
        return f"The compiled program scores {after}, the given one {before}, {where}. {gain}."
    if story.verdict == "likely":
        why = "So few examples are no proof"
        if seen.gain.low <= 0:
            why = "The interval reaches 0, so this is no proof"
        return (
            f"The compiled program scores {after}, the given one {before}, {where}. {gain}. "
            f"{why}; the chance of a gain is {seen.p_better:.0%}."
        )
    return (
        f"The best candidate scores {after}, the given program {before}, {where}. {gain}. "
        "That may be chance."
    )


def _none_better(story: Story) -> str:
    tried = len(story.candidates) > 1
    said = "No candidate beat the given program during the search"
    score = story.baseline.get("test")
    where = f", which scores {interval(score)} on {score.n:,} held-out examples" if score else ""
    return f"{said if tried else 'Nothing but the given program was tried'}{where}."


def _so_far(story: Story) -> str:
    best, start = story.best_score, story.baseline_score
    if best is None:
        return "The run has not measured the given program yet."
    if story.challenger == BASELINE:
        return f"So far nothing beats the given program, at {interval(best)} on validation."
    before = f", the given program {interval(start)}" if start else ""
    return (
        f"So far {story.challenger} leads with {interval(best)} on validation{before}. "
        "Nothing is confirmed on held-out examples yet."
    )


def shipped(story: Story) -> str:
    """Which program the artifact holds, and why."""
    if not story.finished:
        return "The same command, with the same journal, goes on from here and pays nothing twice."
    if story.shipped != BASELINE:
        return f"The artifact holds the compiled program, {story.shipped}."
    text = "The artifact holds the given program, unchanged."
    seen = story.confirmed
    if seen is not None and seen.minimum_detectable is not None:
        text += (
            f" A true gain of {figure(seen.minimum_detectable)} or more would have been proven "
            "with this sample four times in five; to see a smaller one, hold out more examples."
        )
    return text


def phase(story: Story) -> str:
    """What a run is doing now, from the last thing it did."""
    if story.finished:
        return "finished"
    if story.confirmed is not None:
        return "writing the artifact"
    if story.rollouts and story.rollouts[-1].split == "test":
        return "confirming on held-out examples"
    if not story.decisions:
        return "measuring the given program"
    return "searching"


def decision_line(story: Story, row: DecisionRow) -> str:
    """One decision on one line.

    The candidate, its validation score, the paired difference to whom it was held against, the
    chance that it is better, what became of it, the calls spent by then, and its move.
    """
    made = story.candidate(row.candidate)
    held = row.candidate != row.incumbent and row.n > 0
    against = f"{signed(row.difference)} vs {row.incumbent}  p={row.p_better:.2f}" if held else ""
    parts = [
        f"{row.candidate:<4}",
        f"val {interval(row.score):<20}",
        f"{against:<22}",
        f"{row.outcome:<8}",
        f"{row.spent.calls:>6,} calls",
        made.move if made else row.phase,
    ]
    return "  ".join(parts).rstrip()


def accepted(story: Story, row: DecisionRow) -> str:
    """Why a candidate became the best, in a phrase."""
    made = story.candidate(row.candidate)
    move = f", {made.move}" if made else ""
    return f"{row.candidate}{move}, {signed(row.difference)} vs {row.incumbent}"
