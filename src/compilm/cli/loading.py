"""An artifact as a person names it on the command line, loaded into the program it is for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .. import artifact as artifacts
from ..artifact import Artifact
from ..config import Config, RoleSettings
from ..errors import ConfigError
from .out import Out
from .place import artifact_path
from .target import program_from

if TYPE_CHECKING:
    import dspy

__all__ = ["add_program", "loaded", "models_for"]

EMBEDDED = "embedded/"


def add_program(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the program an artifact is loaded into."""
    parser.add_argument(
        "--program", metavar="REF", help="the program, module:attr or file.py:Name (else: config)"
    )


def loaded(text: str, config: Config, out: Out) -> Any:
    """The runtime of the artifact at `text` in the configured program.

    The program is never imported because the artifact names it: a person has to name it, in the
    configuration or with `--program`.
    """
    from ..api import load

    path = artifact_path(text)
    found = artifacts.read(path)
    if config.program is None:
        raise ConfigError(
            f"{text} was compiled from {found.program_reference or 'an unnamed program'!r}; "
            "code is imported only where you name it: give --program REF or set program in "
            "compilm.toml"
        )
    program = program_from(config.program, config.args, config.base("program"))
    return load(path, program, roles=models_for(found, config, out))


def models_for(found: Artifact, config: Config, out: Out) -> dict[str, dspy.LM]:
    """The configured models; where none is, those the artifact was compiled for."""
    from ..assemble import roles_from

    settings = dict(config.lm)
    if not settings:
        settings = {
            role: RoleSettings(model=(model,))
            for role, model in found.models.items()
            if not model.startswith(EMBEDDED)
        }
        named = ", ".join(f"{role} {found.models[role]}" for role in settings)
        out.note(
            f"models as compiled for: {named}"
            if named
            else "the embedded engine answers: it is not a language model"
        )
    return dict(roles_from(settings))
