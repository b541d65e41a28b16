"""The programs of this folder as cases: how each is made, scored, asked, and truly answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import dspy

from .apprentice import Asked
from .programs import (
    agent,
    bare,
    careful,
    configured,
    factory,
    judged,
    lookup,
    many_parts,
    pictures,
    two_models,
    twofold,
    typed,
)
from .texts import drawn

Models = Mapping[str, dspy.LM]
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One program as its user has it, and what a model that knows everything would answer."""

    build: Callable[[Models], dspy.Module]
    metric: Any
    examples: Sequence[dspy.Example]
    known: Callable[[Asked], Fields | str | BaseException]
    roles: tuple[str, ...] = ("default",)
    sent: Callable[[Fields], Fields] = field(default=dict)

    def answer(self, asked: Asked) -> Fields | str | BaseException:
        """What the scripted model says: every output asked for, some words where it has no view."""
        found = self.known(asked)
        if not isinstance(found, Mapping):
            return found
        return {name: found.get(name, "let me think") for name in asked.outputs}


def _mail(asked: Asked) -> Fields:
    labels = configured.Settings().labels
    return {"label": labels[drawn(asked.inputs["mail"], "label", 3) - (not asked.able)]}


def _receipt(asked: Asked) -> Fields:
    receipt = asked.inputs["receipt"]
    total = drawn(receipt, "total", 9000) / 100
    return {"shop": receipt.split()[2], "total": total if asked.able else total + 1}


def _code(asked: Asked) -> Fields:
    number = drawn(asked.inputs["code"], "number", 100)
    return {"guess": number - 1, "number": number if asked.able else number + 5}


def _mood(asked: Asked) -> Fields:
    return {"mood": ["calm", "angry"][drawn(asked.inputs["review"], "mood", 2) - (not asked.able)]}


def _animal(asked: Asked) -> Fields | str | BaseException:
    note = asked.inputs["note"]
    if drawn(note, "lost", 12) == 0:
        return dspy.lm15.ServerError("down for repairs")
    if drawn(note, "garbled", 8) == 0:
        return "I would rather not say."
    return {"animal": ["heron", "otter"][drawn(note, "animal", 2) - (not asked.able)]}


def _title(asked: Asked) -> Fields:
    if "fits" in asked.outputs:
        fits = asked.inputs["wanted"] == asked.inputs["title"]
        return {"fits": str(fits), "why": "it fits" if fits else "not the word I wanted"}
    story = asked.inputs["story"]
    return {"title": story.split()[drawn(story, "title", 12) - (not asked.able)]}


def _shape(asked: Asked) -> Fields:
    picture = f"data:image/png;base64,{asked.inputs['picture']}"
    shapes = ["circle", "square", "star"]
    return {"shape": shapes[drawn(picture, "shape", 3) - (not asked.able)]}


def _report(asked: Asked) -> Fields:
    given = asked.inputs
    if "topic" in asked.outputs:
        return {"topic": many_parts.TOPICS[drawn(given["text"], "topic", 2) - (not asked.able)]}
    if "mark" in asked.outputs:
        return {"mark": drawn(given["checked"], "mark", 10) if asked.able else 11}
    return {"summary": given.get("text", ""), "checked": given.get("summary", "")}


def _stock(asked: Asked) -> Fields:
    if "next_tool_name" not in asked.outputs:
        return {"pieces": int(asked.inputs["observation_0"].split()[0])}
    if "observation_0" in asked.inputs or not asked.able:
        return {"next_tool_name": "finish", "next_tool_args": {}}
    return {"next_tool_name": "in_stock", "next_tool_args": {"item": asked.inputs["item"]}}


def _stock_guessed(asked: Asked) -> Fields:
    """As `_stock`; who has not looked has to guess."""
    looked = "pieces" in asked.inputs.get("observation_0", "pieces")
    return _stock(asked) if looked or "next_tool_name" in asked.outputs else {"pieces": 77}


def _year(asked: Asked) -> Fields:
    if "query" in asked.outputs:
        return {"query": asked.inputs["question"]}
    passage = json.loads(asked.inputs["context"])[0]
    return {"year": 1900 + drawn(passage, "year", 100) + (not asked.able)}


def _profile(asked: Asked) -> Fields:
    animal = asked.inputs["animal"]
    return {
        "size": ["small", "large"][drawn(animal, "size", 2) - (not asked.able)],
        "diet": ["plants", "meat"][drawn(animal, "diet", 2) - (not asked.able)],
    }


_TICKETS = {row.message: row for row in typed.examples()}


def _ticket(asked: Asked) -> Fields:
    row = _TICKETS[asked.inputs["message"]]
    hours = row.hours if asked.able else row.hours + 1
    ticket = row.ticket.model_dump() if asked.able else {**row.ticket.model_dump(), "tags": []}
    urgent = str(row.urgent if asked.able else not row.urgent)
    return {
        "ticket": ticket, "teams": row.teams, "hours": hours, "urgent": urgent, "deadline": "today",
    }  # fmt: skip


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "configured": Case(
            lambda _: configured.Triage(configured.Settings(tone="kind"), fallback="praise"),
            configured.right_label,
            configured.examples(),
            _mail,
        ),
        "factory": Case(
            lambda _: factory.make_thinking(),
            factory.fields_right("shop", "total"),
            factory.examples(),
            _receipt,
        ),
        "two_models": Case(
            lambda models: two_models.Relay(models["default"], big=models["big"]),
            two_models.near_enough,
            two_models.examples(),
            _code,
            roles=("default", "big"),
        ),
        "bare": Case(lambda _: bare.Mood(), bare.mood_matches(), bare.examples(), _mood),
        "careful": Case(
            lambda _: careful.Ranger(), careful.same_animal, careful.examples(), _animal
        ),
        "judged": Case(lambda _: judged.Titler(), judged.with_feedback, judged.examples(), _title),
        "judged by a global": Case(
            lambda _: judged.Titler(), judged.by_global_judge, judged.examples(), _title
        ),
        "pictures": Case(
            lambda _: pictures.Looker(),
            pictures.seen_right,
            pictures.examples(),
            _shape,
            sent=lambda inputs: {**inputs, "picture": {"url": inputs["picture"].url}},
        ),
        "many_parts": Case(
            lambda _: many_parts.Report(), many_parts.report_score, many_parts.examples(), _report
        ),
        "agent": Case(
            lambda _: agent.Storeman(), agent.right_number, agent.examples(), _stock_guessed
        ),
        "lookup": Case(lambda _: lookup.make(), lookup.same_year, lookup.examples(), _year),
        "twofold": Case(lambda _: twofold.Profile(), twofold.both, twofold.examples(), _profile),
        "typed": Case(lambda _: typed.Desk(), typed.share_right, typed.examples(), _ticket),
    }
)
