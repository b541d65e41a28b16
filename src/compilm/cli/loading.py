"""An artifact as a person names it on the command line, loaded into the program it is for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .. import artifact as artifacts
from ..artifact import Artifact
from ..config import Config, RoleSettings
from ..errors import ConfigError
from .out import Out
from .place import artifact_path
from .target import program_from

if TYPE_CHECKING:
    import dspy

    from ..runtime.load import Runtime
    from ..runtime.tracing import Tracer

__all__ = ["add_program", "loaded", "opened"]

EMBEDDED = "embedded/"


def add_program(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the program an artifact is loaded into."""
    parser.add_argument(
        "--program", metavar="REF", help="the program, module:attr or file.py:Name (else: config)"
    )


def opened(text: str, config: Config) -> tuple[Artifact, dspy.Module]:
    """The artifact at `text`, and a fresh instance of the configured program.

    The program is never imported because the artifact names it: a person has to name it, in the
    configuration or with `--program`.
    """
    found = artifacts.read(artifact_path(text))
    if config.program is None:
        raise ConfigError(
            f"{text} was compiled from {found.program_reference or 'an unnamed program'!r}; "
            "code is imported only where you name it: give --program REF or set program in "
            "compilm.toml"
        )
    return found, program_from(config.program, config.args, config.base("program"))


def loaded(text: str, config: Config, out: Out, tracer: Tracer | None = None) -> Runtime:
    """The runtime of the artifact at `text` in the configured program, recorded by `tracer`.

    Where no model is configured, those that the artifact was compiled for answer, and that is
    said.
    """
    found, program = opened(text, config)
    from ..runtime.load import load

    rendering = config.runtime.rendering == "ahead"
    runtime = load(found, program, roles=_models(found, config), tracer=tracer, rendering=rendering)
    if not config.lm:
        named = ", ".join(f"{role} {lm.model}" for role, lm in runtime.roles.items())
        out.note(f"no model is configured, so those it was compiled for answer: {named}")
    if any(str(lm.model).startswith(EMBEDDED) for lm in runtime.roles.values()):
        out.note("the embedded engine answers: it is not a language model")
    return runtime


def _models(found: Artifact, config: Config) -> dict[str, dspy.LM]:
    """A model for each role that the artifact has; an embedded one is left to the runtime."""
    from ..assemble import lm_for, roles_from
    from ..prices import Prices
    from ..runtime.stack import Stacks

    prices = Prices(config.prices)
    roles = {"default", *found.models, *(each.role for each in found.predictors)}
    if config.lm:
        bound = roles_from(config.lm, config.runtime, prices, artifact=found.digest)
        return {role: lm for role, lm in bound.items() if role in roles}
    stacks = Stacks(config.runtime, prices=prices, artifact=found.digest)
    return {
        role: lm_for(role, RoleSettings(model=(model,)), stacks)
        for role, model in found.models.items()
        if not model.startswith(EMBEDDED)
    }
