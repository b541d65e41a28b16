"""Compiles cut short and started again, and compiles with random budgets, by the hundred.

    python benchmarks/soak.py --cuts 200 --budgets 1000 --seed 0

A cut takes the journal of a whole compile, keeps a random number of its first records, and starts
the same compile on that. Of ours the log of candidates and the artifact must be the same to the
byte; of ours and DSPy's no call may be asked again whose answer was kept. Levels 1 to 3 and three
of DSPy's optimizers take turns. A budget is random in calls, rollouts, tokens or dollars; the
engine itself counts what arrives. One line a kind; the exit code is 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import dspy
from benchmarks.optimizers.world_engine import WorldEngine, world_lm
from benchmarks.optimizers.worlds import World, named

import compilm
from compilm import canonical
from compilm.journal import MemoryJournal, Record
from compilm.prices import Price, Prices, Tokens

__all__ = ["main"]

_KINDS: dict[str, dict[str, Any]] = {
    "-O1": {"level": 1},
    "-O2": {"level": 2},
    "-O3": {"level": 3},
    "dspy.BootstrapRS": {"optimizer": "dspy.BootstrapRS"},
    "dspy.SIMBA": {"optimizer": "dspy.SIMBA"},
    "dspy.GEPA": {"optimizer": "dspy.GEPA"},
}
_PRICE = Price(input=2.0, output=10.0)  # a million tokens
_UNITS = [("calls", 400.0), ("rollouts", 250.0), ("tokens", 200_000.0), ("usd", 0.5)]


class BilledEngine(WorldEngine):
    """A world's engine that adds up the tokens it would bill."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.used, self._adding = Tokens(), threading.Lock()

    def complete(self, request: Any) -> Any:
        """The world's answer, billed."""
        response = super().complete(request)
        more = response.usage
        with self._adding:
            used = self.used
            self.used = Tokens(used.input + more.input_tokens, used.output + more.output_tokens)
        return response


def compiled(
    kind: str, world: str, seed: int, journal: MemoryJournal, budget: compilm.Budget, workers: int
) -> tuple[compilm.CompileResult, BilledEngine]:
    """One compile of a world's program on `journal`, and the engine that answered it."""
    made = World(named(world), seed)
    engine = BilledEngine(made)
    result = compilm.compile(
        made.program(),
        made.metric_with_feedback,
        trainset=made.train[:40],
        valset=made.val[:60],
        budget=budget,
        roles={"default": world_lm(engine)},
        prices=Prices({"world/simulated": _PRICE}),
        seed=seed,
        journal=journal,
        concurrency=workers,
        progress="none",
        **_KINDS[kind],
    )
    return result, engine


def _answered(records: list[Record]) -> set[str]:
    return {record.body["key"] for record in records if record.kind == "call"}


def _log(records: list[Record]) -> str:
    """The candidates of a run, to the byte; one that is walked again is written again."""
    lines = [canonical.dumps(record.body) for record in records if record.kind == "candidate"]
    return "\n".join(dict.fromkeys(lines))


def cut(kind: str, seed: int, chance: random.Random) -> list[str]:
    """What went wrong where a compile of this kind was cut and went on; nothing if nothing did."""
    budget = compilm.Budget(rollouts=220)
    world = chance.choice(["rules", "credit"])
    whole = MemoryJournal()
    result, _ = compiled(kind, world, seed, whole, budget, chance.choice([1, 4, 16]))
    records = list(whole.read())
    wrong = []
    for _ in range(5):
        kept = records[: chance.randrange(1, len(records))]
        journal = MemoryJournal()
        for record in kept:
            journal.append(record)
        again, engine = compiled(kind, world, seed, journal, budget, chance.choice([1, 4, 16]))
        after = list(journal.read())
        counts: dict[str, int] = {}
        for record in after:
            if record.kind == "call":
                counts[record.body["key"]] = counts.get(record.body["key"], 0) + 1
        told = f"{kind} {world} seed {seed} cut at {len(kept)} of {len(records)}"
        if any(count > 1 for count in counts.values()):
            wrong.append(f"{told}: an answered call was asked again")
        asked = engine.counts.task_calls + engine.counts.proposer_calls
        if asked > len(_answered(after)) - len(_answered(kept)):
            wrong.append(f"{told}: {asked} calls arrived")
        if kind.startswith("dspy"):
            continue  # SIMBA samples: asked for what is left, another model gives another sample
        if again.artifact.digest != result.artifact.digest:
            wrong.append(f"{told}: another artifact")
        if _log(after) != _log(records):
            wrong.append(f"{told}: another log of candidates")
    return wrong


def bounded(seed: int, chance: random.Random) -> list[str]:
    """What a random budget did not hold; nothing if it held."""
    kind = chance.choice(list(_KINDS))
    world = chance.choice(["rules", "credit", "null"])
    unit, most = chance.choice(_UNITS)
    limit = round(chance.random() * most, 4) if unit == "usd" else chance.randrange(int(most))
    budget = compilm.Budget(**{unit: limit})
    _, engine = compiled(kind, world, seed, MemoryJournal(), budget, chance.choice([1, 8, 32]))
    counts = engine.counts
    steps = 2 if world == "credit" else 1
    arrived = {
        "calls": counts.task_calls + counts.proposer_calls,
        "rollouts": counts.task_calls / steps,
        "tokens": engine.used.total,
        "usd": _PRICE.usd(engine.used),
    }[unit]
    told = f"{kind} {world} seed {seed}: {limit} {unit}, {arrived} arrived"
    return [told] if arrived > limit else []


def _told(title: str, count: int, run: Callable[[int], list[str]]) -> int:
    """Run `count` of them, print what went wrong; how many did."""
    wrong = []
    for number in range(count):
        found = run(number)
        wrong += found
        for line in found:
            print(f"  {line}", flush=True)
    print(f"{title}: {count}, {len(wrong)} wrong", flush=True)
    return len(wrong)


def main() -> int:
    """Run both, and say what did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--budgets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    dspy.configure(disable_history=True)
    chance = random.Random(asked.seed)
    kinds = list(_KINDS)
    wrong = _told(
        "compiles cut 5 times",
        asked.cuts // 5,
        lambda n: cut(kinds[n % len(kinds)], asked.seed + n, chance),
    )
    wrong += _told("budgets", asked.budgets, lambda n: bounded(asked.seed + n, chance))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
