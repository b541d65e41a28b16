"""Programs that DSPy itself saved, of every format since 2.4, read into predictors.

What is taken: instructions and demos. Predictors are matched by path and fields by name, never by
position. What is left: models (only their names are reported), traces, addresses and keys, and
descriptions and prefixes of fields, which belong to the program's code. A pool that demos are
chosen from, which a compiled program adds to its state, is taken as well.

    2.4        {"signature_instructions", "extended_signature_instructions", "demos": [{"_store"}]}
    2.5        {"signature": {...}, "extended_signature": {...}, "demos"}
    2.6 to 3   {"signature": {"instructions", "fields": [{"prefix", "description"}]}, "demos"}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import dspy

from .. import __version__, canonical
from ..artifact import Artifact, Nearest, Predictor, file_bytes
from ..artifact.form import Departure, checked
from ..artifact.schema import NEAREST
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import ArtifactError, ArtifactMismatch, ArtifactUnreadable
from .predictors import SELF, described, predictors, shape

__all__ = ["adopt", "import_state"]

_LEFT = frozenset(
    ["lm", "traces", "train", "signature_prefix", "extended_signature_prefix", "metadata"]
)
_TEXTS = frozenset(
    ["signature", "extended_signature", "signature_instructions", "extended_signature_instructions"]
)
_RENAMED = {"rationale": "reasoning"}  # what chain of thought called its field until DSPy 2.5


@dataclass(frozen=True, slots=True)
class _State:
    """One predictor as it stands in the file, beside the one of the program that it is for."""

    where: str  # file and predictor, for messages
    saved: Mapping[str, Any]
    predictor: Predictor
    prefix: str  # of the predictor's last output

    @property
    def names(self) -> list[str]:
        return [field.name for field in (*self.predictor.inputs, *self.predictor.outputs)]

    def field(self, name: str) -> str | None:
        """The program's name for a saved field, if it has that field."""
        for candidate in (name, _RENAMED.get(name)):
            if candidate in self.names:
                return candidate
        return None


def import_state(path: str | Path, program: dspy.Module) -> tuple[Predictor, ...]:
    """The program's predictors with the instructions and demos of a state that DSPy saved.

    Raises:
        ArtifactUnreadable: not a JSON state; a pickle is never opened, because that runs code.
        ArtifactMismatch: a predictor or field of the state or the program has no counterpart.

    >>> from tempfile import TemporaryDirectory
    >>> program = dspy.Predict("question -> answer")
    >>> with TemporaryDirectory() as folder:
    ...     program.save(f"{folder}/state.json")
    ...     import_state(f"{folder}/state.json", program) == shape(program)
    True
    """
    states, _ = _read(Path(path))
    return tuple(_imported(state) for state in _states(Path(path), states, program))


def adopt(
    path: str | Path, program: dspy.Module, *, reference: str = "", clock: Clock = SYSTEM_CLOCK
) -> Artifact:
    """An artifact of a state that DSPy saved. Its verdict is `unproven`: nothing was measured.

    Raises what `import_state` does.

    >>> from tempfile import TemporaryDirectory
    >>> program = dspy.Predict("question -> answer")
    >>> with TemporaryDirectory() as folder:
    ...     program.save(f"{folder}/state.json")
    ...     adopt(f"{folder}/state.json", program).verdict
    'unproven'
    """
    found = import_state(path, program)
    states, rest = _read(Path(path))
    models = {
        path: _model(saved["lm"]) for path, saved in states.items() if _model(saved.get("lm"))
    }
    notes = [f"adopted from {Path(path).name}, which DSPy saved; nothing was measured"]
    notes += [f"{name} was saved with the model {model}" for name, model in models.items()]
    notes += [f"not a predictor, left out: {key}" for key in rest]
    only = set(models.values())
    part = described(program, reference=reference)
    content: dict[str, Any] = {
        "program": {**part, "predictors": [each.to_json() for each in found]},
        "adapter": "ChatAdapter",
        "models": {"default": only.pop()} if len(only) == 1 else {},
        "metric": {"name": "", "fingerprint": ""},
        "data": {},
        "scores": {"baseline": {}, "compiled": {}, "gain": None},
        "verdict": "unproven",
        "search": {"level": None, "optimizer": "dspy", "budget": {}, "seed": 0},
        "parent": None,
    }
    provenance = {
        "run": "",
        "created": datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="seconds"),
        "spent": {},
        "versions": {"compilm": __version__, "dspy": dspy.__version__},
        "notes": notes,
    }
    return Artifact.build(content, provenance)


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The predictor states in the file by DSPy's own names, and the keys that are none."""
    if path.is_dir() or path.suffix in (".pkl", ".pickle"):
        _refuse_pickle(path)
    data = file_bytes(path)
    if data[:1] == b"\x80":
        _refuse_pickle(path)
    try:
        whole = checked(canonical.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise ArtifactUnreadable(
            f"{path}: not a JSON state ({error}); save it again with program.save('state.json')"
        ) from None
    bodies = whole if isinstance(whole, dict) else {}
    if isinstance(bodies.get("demos"), list):  # a program that is one dspy.Predict
        bodies = {SELF: bodies}
    states = {
        name: body for name, body in bodies.items() if isinstance(body, dict) and "demos" in body
    }
    if not states:
        raise ArtifactUnreadable(
            f"{path}: holds no predictor that DSPy saved; a state is an object of predictors, each "
            "with its demos"
        )
    return states, [name for name in bodies if name not in states and name != "metadata"]


def _refuse_pickle(path: Path) -> NoReturn:
    raise ArtifactError(
        f"{path}: a pickled program is not opened, because opening a pickle runs whatever code is "
        "in it. Load it with DSPy where you trust it and save the state: program.save('state.json')"
    )


def _states(
    path: Path, saved: Mapping[str, Mapping[str, Any]], program: dspy.Module
) -> Iterator[_State]:
    """Each predictor of the program with its state; both sides must be complete."""
    known = predictors(program)
    homes = {name: _home(name, known) for name in saved}
    for name, home in homes.items():
        if home is None:
            raise ArtifactMismatch(
                f"{path}: predictor {name!r} of the state is not in {type(program).__name__}, "
                f"which has {', '.join(known)}. Give the program that was saved"
            )
    for each in shape(program):
        names = [name for name, home in homes.items() if home == each.path]
        if len(names) != 1:
            found = f"{len(names)} times ({', '.join(names)})" if names else "not"
            raise ArtifactMismatch(
                f"{path}: predictor {each.path!r} of {type(program).__name__} is {found} in the "
                "state. Give the program that was saved"
            )
        prefix = [
            field.json_schema_extra["prefix"]
            for field in known[each.path].signature.output_fields.values()
        ][-1]
        yield _State(f"{path}: predictor {names[0]!r}", saved[names[0]], each, prefix)


def _home(name: str, known: Collection[str]) -> str | None:
    """The path of the predictor that DSPy called `name`; chain of thought moved its one twice."""
    path = re.sub(r"\[(?:'([^']*)'|(\d+))\]", lambda found: f".{found[1] or found[2]}", name)
    older = path.removesuffix("._predict")
    return next((each for each in (path, f"{older}.predict", older) if each in known), None)


def _imported(state: _State) -> Predictor:
    unknown = sorted(state.saved.keys() - _LEFT - _TEXTS - {"demos", "fields", "nearest"})
    if state.saved.get("fields"):
        unknown.append("fields")
    if unknown:
        raise ArtifactError(
            f"{state.where}: {unknown[0]!r} is nothing that compilm takes from a state; it may "
            "change what the program does. Take it out if the file is yours"
        )
    instructions = _instructions(state)
    return replace(
        state.predictor,
        instructions=state.predictor.instructions if instructions is None else instructions,
        demos=tuple(_demos(state, "demos", state.saved["demos"])),
        nearest=_nearest(state),
    )


def _instructions(state: _State) -> str | None:
    """The saved instructions; of a chain of thought those with its reasoning, which it ran with."""
    saved = state.saved
    for key in ("extended_signature", "signature"):
        if key in saved:
            signature = _typed(state, key, saved[key], dict)
            _check_fields(state, _typed(state, f"{key}.fields", signature.get("fields", []), list))
            return _text(state, f"{key}.instructions", signature.get("instructions"))
    for key in ("extended_signature_instructions", "signature_instructions"):
        if key in saved:
            _check_prefix(state)
            return _text(state, key, saved[key])
    return None


def _check_fields(state: _State, fields: list[Any]) -> None:
    """Fields that the state names must be the program's; DSPy names them by `${name}` only."""
    named: list[str | None] = []
    for index, field in enumerate(fields):
        description = _typed(state, f"fields[{index}]", field, dict).get("description")
        found = re.fullmatch(r"\$\{(\w+)\}", str(description))
        named.append(found[1] if found else None)
        if found and state.field(found[1]) is None:
            _no_field(state, found[1], "the signature")
    taken = {state.field(name) for name in named if name is not None}
    missing = [name for name in state.names if name not in taken]
    if fields and len(missing) != named.count(None):
        raise ArtifactMismatch(
            f"{state.where}: it was saved with {len(fields)} fields, the program has "
            f"{len(state.names)}: {', '.join(missing or state.names)} cannot be told apart. Give "
            "the program that was saved"
        )


def _check_prefix(state: _State) -> None:
    """In 2.4 the untuned prefix of the last output is all that tells the fields of a predictor.

    COPRO tuned the extended prefix where there was one, else the plain one: so the plain one is
    only sure beside an extended one.
    """
    if "extended_signature_prefix" not in state.saved:
        return
    prefix = _text(state, "signature_prefix", state.saved.get("signature_prefix"))
    if prefix != state.prefix:
        raise ArtifactMismatch(
            f"{state.where}: its last output was called {prefix.rstrip(':')!r}, the program's is "
            f"{state.names[-1]!r}. Give the program that was saved"
        )


def _nearest(state: _State) -> Nearest | None:
    saved = state.saved.get("nearest")
    if saved is None:
        return None
    try:
        NEAREST(saved, "nearest")
    except Departure as departure:
        raise ArtifactUnreadable(f"{state.where}: {departure}; not as it was written") from None
    pool = tuple(_demos(state, "nearest.pool", saved["pool"]))
    return Nearest(saved["k"], saved["embedder"], pool)


def _demos(state: _State, at: str, saved: Any) -> Iterator[dict[str, Any]]:
    """The saved demos with the program's names for their fields.

    A bootstrapped demo is a run of this predictor, so each of its values must have a field. A
    labeled one is an example of the whole program: values for other predictors are left out.
    """
    for index, demo in enumerate(_typed(state, at, saved, list)):
        place = f"{at}[{index}]"
        values = _typed(state, place, demo, dict)
        values = values.get("_store", values)
        kept: dict[str, Any] = {}
        for name, value in _typed(state, f"{place}._store", values, dict).items():
            field = state.field(name)
            if field is not None:
                kept[field] = value
            elif name == "augmented":
                kept[name] = bool(value)
            elif values.get("augmented") and not name.startswith("dspy_"):
                _no_field(state, name, place)
        if not kept.keys() - {"augmented"}:
            strange = next((name for name in values if not name.startswith("dspy_")), "")
            _no_field(state, strange, place)
        yield kept


def _no_field(state: _State, name: str, at: str) -> NoReturn:
    raise ArtifactMismatch(
        f"{state.where}: {at} has a field {name!r} that the program's predictor "
        f"{state.predictor.path!r} has not; it has {', '.join(state.names)}. Give the program that "
        "was saved"
    )


def _typed(state: _State, at: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ArtifactUnreadable(
            f"{state.where}: {at} is a {type(value).__name__}, not a {kind.__name__}; DSPy did not "
            "write this"
        )
    return value


def _text(state: _State, at: str, value: Any) -> str:
    text: str = _typed(state, at, value, str)
    return text


def _model(lm: Any) -> str:
    """The name of the model in a saved LM; never its address or key."""
    name = lm.get("model") if isinstance(lm, dict) else None
    return name if isinstance(name, str) else ""
