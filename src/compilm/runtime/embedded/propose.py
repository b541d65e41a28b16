"""Writing instructions: the answer to a proposal, reflection or rule-induction request."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .mine import Known, Rules, mine, retract
from .prompt import Prompt
from .rules import HINTS
from .samples import Sample, read_markdown, read_samples
from .solve import THINKING

__all__ = ["Draft", "is_proposal", "propose", "propose_plain", "read_draft", "write_draft"]

# An output field that asks for a text about a program, and the inputs that make it one.
_ASKED: Final[Mapping[str, frozenset[str]]] = {
    "proposed_instruction": frozenset(
        {"current_instruction", "basic_instruction", "attempted_instructions", "task_demos"}
    ),
    "new_instruction": frozenset({"current_instruction", "previous_instruction"}),
    "improved_instruction": frozenset({"current_instruction"}),
    "shortened_instruction": frozenset({"instruction"}),
    "natural_language_rules": frozenset({"examples_text"}),
    "observations": frozenset({"examples"}),
    "summary": frozenset({"observations"}),
    "module_advice": frozenset({"oracle_metadata"}),
    "program_description": frozenset({"program_code"}),
    "module_description": frozenset({"program_code"}),
}
_BARE: Final = "Map the input fields to the output fields."
_OBSERVED: Final = "The right output goes with certain words and phrases of the input."
_GROUP = re.compile(r"^\s*For `([^`]+)`:\s*$")
_RULE = re.compile(r"^\s*[-*•]\s*(?:`([^`]+)`|\"([^\"]+)\"):\s*(.*)$")
_CUE = re.compile(r"\"([^\"]+)\"?|(`[^`]+`)")
_ATTEMPT = re.compile(
    r"Instruction #\d+: (.*?)\s*\n\s*Prefix #\d+:.*?\n\s*Resulting Score #\d+: (-?[\d.]+)", re.S
)
_REFLECTION = re.compile(r"instructions to perform a task for me:\s*```\n?(.*?)\n?```(.*)", re.S)


@dataclass(frozen=True, slots=True)
class Draft:
    """An instruction in two parts: its prose, line by line, and its rules."""

    prose: tuple[str, ...]
    rules: Rules


def read_draft(instruction: str) -> Draft:
    """The prose and the rules of `instruction`.

    >>> read_draft('Sort the mail.\\n- `a`: "lost", "gone"').rules
    {('', 'a'): ['lost', 'gone']}
    """
    rules: Rules = {}
    prose = []
    group = ""
    for line in instruction.splitlines():
        rule, heading = _RULE.match(line), _GROUP.match(line)
        if heading:
            group = heading[1]
        elif rule and _CUE.search(rule[3]):
            cues = rules.setdefault((group, rule[1] or rule[2]), [])
            said = (found[1] or found[2] for found in _CUE.finditer(rule[3]))
            cues += [cue for cue in dict.fromkeys(said) if cue not in cues]
        elif line.strip():
            group = ""
            prose.append(line.rstrip())
    return Draft(tuple(prose), rules)


def write_draft(draft: Draft, limit: int) -> str:
    """The instruction that `draft` stands for, with at most `limit` cues a rule.

    >>> write_draft(Draft(("Sort.",), {("", "a"): ["lost", "`C-1`"]}), 9)
    'Sort.\\n- `a`: "lost", `C-1`'
    """
    lines = list(draft.prose)
    groups = dict.fromkeys(group for group, _ in draft.rules)
    for group in sorted(groups, key=lambda name: name != ""):
        inner = [
            f"- `{label}`: {', '.join(map(_shown, cues[:limit]))}"
            for (of, label), cues in draft.rules.items()
            if of == group and cues
        ]
        if inner and group:
            lines.append(f"For `{group}`:")
        lines += inner
    return "\n".join(lines)


def _shown(cue: str) -> str:
    return cue if cue[0] == "`" else f'"{cue}"'


def is_proposal(prompt: Prompt) -> bool:
    """Whether a request asks for an instruction, or for a text on the way to one."""
    given = {field.name for field in prompt.inputs}
    return any(not given.isdisjoint(_ASKED.get(field.name, ())) for field in prompt.outputs)


def propose(
    prompt: Prompt, inputs: Mapping[str, str], *, cues: int, known: Known
) -> dict[str, Any]:
    """The outputs of a proposal request by name; `cues` are the cues a label is given.

    `known` carries the temperature and the generator of its noise.
    """
    writer = _Writer(inputs, cues, known)
    found: dict[str, Any] = {}
    for field in prompt.outputs:
        if field.name in THINKING:
            found[field.name] = "The cues below tell the expected outputs apart."
        elif "prefix" in field.name:
            found[field.name] = "Answer:"
        else:
            found[field.name] = writer.write(field.name)
    return found


def propose_plain(text: str, *, cues: int, known: Known) -> str | None:
    """The answer to a reflection prompt in plain text, in a fenced block; None if it is none."""
    asked = _REFLECTION.search(text)
    if not asked:
        return None
    draft = _improved(read_draft(asked[1]), read_markdown(asked[2]), cues, known)
    return f"```\n{write_draft(draft, cues)}\n```"


class _Writer:
    def __init__(self, inputs: Mapping[str, str], cues: int, known: Known) -> None:
        self._inputs = inputs
        self._known = known
        tip = inputs.get("tip", "").lower()
        self._limit = cues
        if "concise" in tip or "simple" in tip:
            self._limit = max(3, cues // 2)
        elif "descriptive" in tip or "detail" in tip:
            self._limit = 2 * cues

    def write(self, name: str) -> Any:
        """The text (or, for advice, the texts by module) of the output field `name`."""
        match name:
            case "program_description" | "module_description":
                what = self._inputs.get("module", "its inputs to its outputs")
                return f"The module maps {what} by the wording of the input."
            case "summary" | "shortened_instruction":
                text = self._inputs.get("observations") or self._inputs.get("instruction", "")
                draft = read_draft(text)
                prose = tuple(dict.fromkeys(draft.prose))[:3]
                return write_draft(Draft(prose, draft.rules), 2 * self._limit)
            case "observations":
                return write_draft(Draft((_OBSERVED,), self._mined()), self._limit)
            case "natural_language_rules":
                return write_draft(Draft((), self._mined()), self._limit) or _OBSERVED
            case "module_advice":
                return self._advice()
            case _:
                return self._instruction()

    def _mined(self) -> Rules:
        return mine(read_samples(self._inputs), limit=self._limit, known=self._known)

    def _instruction(self) -> str:
        inputs = self._inputs
        base = (
            inputs.get("current_instruction")
            or inputs.get("previous_instruction")
            or inputs.get("basic_instruction")
            or ""
        )
        attempts = _best_attempts(inputs.get("attempted_instructions", ""))
        draft = _merged([read_draft(text) for text in attempts or [base]])
        observed = inputs.get("dataset_description", "")
        draft = Draft(draft.prose, _merged([draft, read_draft(observed)]).rules)
        samples = read_samples(inputs)
        draft = _improved(draft, samples, self._limit, self._known)
        if attempts or self._known.temperature > 0.5:
            draft = Draft(_with_hint(draft.prose, self._known.rng), draft.rules)
        return write_draft(draft, self._limit)

    def _advice(self) -> dict[str, str]:
        """Rules for each module, from what is known of its own output fields."""
        samples = read_samples(self._inputs)
        names = self._inputs.get("module_names", "[]")
        try:
            modules = json.loads(names)
        except ValueError:
            modules = names.split("\n")
        return {str(module): self._advice_for(str(module), samples) for module in modules}

    def _advice_for(self, module: str, samples: Sequence[Sample]) -> str:
        mined = mine(self._own(module, samples), limit=self._limit, known=self._known)
        return write_draft(Draft((), mined), self._limit) or HINTS[2].sentence

    def _own(self, module: str, samples: Iterable[Sample]) -> list[Sample]:
        told = re.search(
            rf"Module {re.escape(module)}\n.*?Output Fields:(.*?)Original Instructions",
            self._inputs.get("modules_defn", ""),
            re.S,
        )
        names = set(re.findall(r"`(\w+)`", told[1])) if told else set()
        return [
            Sample(
                sample.text,
                {k: v for k, v in sample.gold.items() if not names or k in names},
                sample.predicted,
            )
            for sample in samples
        ]


def _improved(draft: Draft, samples: Sequence[Sample], limit: int, known: Known) -> Draft:
    """`draft` after the samples: misleading cues retracted, the best new ones put first."""
    own = _of_this_predictor(samples)
    rules = retract(draft.rules, own)
    fresh = mine(own, limit=limit, known=Known(rules, known.temperature, known.rng))
    for head, cues in fresh.items():
        old = rules.get(head, [])
        first = cues[: max(2, limit // 3)]
        rules[head] = list(dict.fromkeys([*first, *old, *cues]))[:limit]
    return Draft(draft.prose or (_BARE,), rules)


def _of_this_predictor(samples: Sequence[Sample]) -> list[Sample]:
    """The samples without right answers of fields that this predictor does not give."""
    given = {name for sample in samples for name in sample.predicted}
    named = {name for sample in samples for name in sample.gold}
    if given.isdisjoint(named):
        return list(samples)
    return [
        Sample(s.text, {k: v for k, v in s.gold.items() if k in given}, s.predicted)
        for s in samples
    ]


def _best_attempts(text: str) -> list[str]:
    """The two best-scored instructions among the attempts that COPRO lists."""
    scored = [(float(score), attempt) for attempt, score in _ATTEMPT.findall(text)]
    scored.sort(key=lambda one: -one[0])
    return [attempt for _, attempt in scored[:2]]


def _merged(drafts: Sequence[Draft]) -> Draft:
    """The prose of the first draft that has any, the rules of all."""
    rules: Rules = {}
    for draft in drafts:
        for head, cues in draft.rules.items():
            known = rules.setdefault(head, [])
            known += [cue for cue in cues if cue not in known]
    return Draft(next((draft.prose for draft in drafts if draft.prose), ()), rules)


def _with_hint(prose: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """`prose` with one strategy sentence, chosen anew, after its first line."""
    sentences = {hint.sentence for hint in HINTS}
    kept = [line for line in prose if line not in sentences]
    return (*kept[:1], rng.choice(HINTS).sentence, *kept[1:])
