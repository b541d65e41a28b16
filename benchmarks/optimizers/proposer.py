"""The proposer model: what a model writes when an optimizer asks it for an instruction.

It knows the world only through the request. Each rule named anywhere in the request is kept with
probability `keep`; each rule that feedback names is taken up with probability `heed` besides; for
each case in view one rule that governs it and is still missing is guessed with probability
`infer`; each myth in view is kept like a rule, and one is made up with probability `invent`. The
same holds for every optimizer, whatever its request looks like. In worlds where proposers attend
to `attends` cases only, so many cases and feedbacks are drawn and the rest is overlooked.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from .worlds import CASE, World, letter, rule_name

__all__ = ["propose", "steps_meant"]

_GOVERNED = re.compile(r"governed by ([A-Z_0-9, ]+)")
_RULE = {step: re.compile(rf"RULE_{letter(step)}(\d\d)") for step in (0, 1)}
_MYTH = {step: re.compile(rf"MYTH_{letter(step)}(\d\d)") for step in (0, 1)}
_STEP = re.compile(r"[Ss]tep [`'\"]?(\w+)")
_SIGNATURE = re.compile(r"module ## \]\]\n\w+\([\w, ]*\) -> (\w+)")
_GENERATED = re.compile(r'Generated Outputs"?: \{\\?"(\w+)')
_MODULE = re.compile(r"Module (\w+)")
_BY_OUTPUT = {"facts": "extract", "label": "answer"}
_BY_MODULE = "module_advice"  # SIMBA's output: an advice for each module


def propose(
    world: World, text: str, outputs: Sequence[str], draw: random.Random
) -> dict[str, str | dict[str, str]]:
    """What is written into each of the `outputs` of a request that shows `text`."""
    written: dict[str, str | dict[str, str]] = {}
    meant = steps_meant(world, text)
    for field in outputs:
        if field == _BY_MODULE:
            named = [name for name in dict.fromkeys(_MODULE.findall(text)) if name in world.steps]
            # advice is appended to an instruction that stays: nothing of it needs to be kept
            written[field] = {
                name: _write(world, [world.steps.index(name)], text, "", draw) for name in named
            }
        else:
            own = [step for step, name in enumerate(world.steps) if name in field]
            written[field] = _write(world, own or meant, text, text, draw)
    return written


def steps_meant(world: World, text: str) -> Sequence[int]:
    """Which steps of the program a request is about; all of them where it does not say.

    >>> from .worlds import WORLDS
    >>> steps_meant(World(WORLDS["credit"], 0), "The step `extract`. Inputs: `ticket` (str).")
    [0]
    """
    if len(world.steps) > 1:
        for pattern in (_STEP, _SIGNATURE, _GENERATED):
            names = {_BY_OUTPUT.get(name, name) for name in pattern.findall(text)}
            found = [step for step, name in enumerate(world.steps) if name in names]
            if found:
                return found
    return range(len(world.steps))


def _write(world: World, steps: Sequence[int], text: str, current: str, draw: random.Random) -> str:
    sentences = ["Label the ticket."]
    for step in steps:
        rules = _rules(world, step, text, current, draw)
        sentences += [f"Use {rule_name(step, rule)} for each ticket it governs." for rule in rules]
        myths = {myth for myth in sorted(set(_MYTH[step].findall(current))) if _keeps(world, draw)}
        if draw.random() < world.parameters.invent:
            myths.add(f"{draw.randrange(99):02d}")
        sentences += [f"Also mind MYTH_{letter(step)}{myth}." for myth in sorted(myths)]
    return " ".join([*sentences, f"(v{draw.randrange(10**6)})"])


def _rules(world: World, step: int, text: str, current: str, draw: random.Random) -> list[int]:
    p = world.parameters
    told, cases = _GOVERNED.findall(text), list(dict.fromkeys(CASE.findall(text)))
    if p.attends is not None:  # what is overlooked in a feedback is not kept either
        current = _GOVERNED.sub("", current)
        told, cases = (draw.sample(all, min(p.attends, len(all))) for all in (told, cases))
    visible = sorted({int(rule) for rule in _RULE[step].findall(current)})
    rules = {rule for rule in visible if _keeps(world, draw)}
    blamed = [int(rule) for part in told for rule in _RULE[step].findall(part)]
    rules |= {rule for rule in dict.fromkeys(blamed) if draw.random() < p.heed}
    for number in cases:
        missing = sorted(world.cases[int(number)].rules[step] - rules)
        if missing and draw.random() < p.infer:
            rules.add(draw.choice(missing))
    return sorted(rules)


def _keeps(world: World, draw: random.Random) -> bool:
    return draw.random() < world.parameters.keep
