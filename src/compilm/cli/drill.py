"""Try a compiled program against providers that fail on purpose, and tell what survived.

Nothing is spent and nothing leaves this machine: each configured model is stood in for by a
server on loopback, whose answers are the embedded engine's, under the real [runtime] policies.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..config import Config, RoleSettings
from ..errors import ConfigError
from .gate import Gate
from .inputs import Caller, given_inputs
from .loading import EMBEDDED, add_program, opened
from .options import configuration
from .out import Out
from .target import parts_of

if TYPE_CHECKING:
    import dspy

    from ..artifact import Artifact
    from ..testing.drill import DrillResult

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm drill build/desk --faults 30%                     the configured rows as inputs
  compilm drill build/desk message="My chain broke" --faults 500=20%,429-after=10%
  compilm drill build/desk --faults hang=10% --set runtime.timeout=3 --least 99%

A rate alone is shared by all faults that may pass: what hangs or drips lasts until runtime.timeout
or runtime.deadline cut it. Exit code 1 if fewer requests are answered than --least says."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("artifact", metavar="ARTIFACT")
    parser.add_argument("inputs", nargs="*", metavar="KEY=VALUE")
    parser.add_argument(
        "--faults", default="30%", metavar="RATE", help="30%%, or 500=20%%,hang=5%%"
    )
    parser.add_argument("--requests", type=int, default=100, metavar="N", help="(100)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="fixes the faults (0)")
    parser.add_argument("--concurrency", type=int, metavar="N", help="requests side by side")
    parser.add_argument(
        "--least", default="99.9%", metavar="SHARE", help="exit 1 if less is answered (99.9%%)"
    )
    add_program(parser)


def run(args: argparse.Namespace, out: Out) -> int:
    """Drill, and tell."""
    if args.requests < 1:
        raise ConfigError(f"--requests {args.requests}: expected a number of requests from 1")
    least = _share(args.least)
    flags = {"program": args.program, "runtime.concurrency": args.concurrency}
    config = configuration(args, flags)
    found = _drilled(args, config, out)
    gate = _gate(found, least)
    out.emit({"drill": found, "faults": args.faults, "seed": args.seed, "gate": gate})
    for line in _lines(found):
        out.say(line)
    for line in gate.lines():
        out.say(f"gate  {line}")
    return gate.exit_code()


def _share(text: str) -> float:
    """`99.9%` or `0.999` as a share."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"--least {text}: expected a share as 99.9% or 0.999")
    return share


def _gate(found: DrillResult, least: float) -> Gate:
    if found.share >= least:
        return Gate()
    return Gate((f"{found.share:.1%} of the requests were answered, less than {100 * least:g} %",))


def _drilled(args: argparse.Namespace, config: Config, out: Out) -> DrillResult:
    from ..programs.models import exchange
    from ..runtime.load import load
    from ..testing.drill import drill, mix_of
    from ..testing.standins import StandIns

    mix = mix_of(args.faults)
    artifact, program = opened(args.artifact, config)
    chains = _chains(artifact, config)
    rows = _rows(args, config, program)

    def bind(there: StandIns) -> Callable[[Mapping[str, Any]], Any]:
        runtime = load(artifact, program, roles=there.roles)
        exchange(runtime.program, there.instead_of)
        return Caller(runtime).answer

    _announce(config, chains, out)
    return drill(
        bind,
        chains,
        rows,
        mix=mix,
        settings=config.runtime,
        requests=args.requests,
        concurrency=config.runtime.concurrency,
        seed=args.seed,
    )


def _chains(artifact: Artifact, config: Config) -> dict[str, RoleSettings]:
    """The models of each role: the configured ones, else those the artifact was compiled for.

    The embedded engine has no provider that could fail: two invented models are in its place.
    """
    from ..testing.standins import INVENTED

    roles = {"default": "", **{each.role: "" for each in artifact.predictors}, **artifact.models}
    chains = {}
    for role, compiled_for in roles.items():
        known = RoleSettings(model=(compiled_for,)) if compiled_for and not config.lm else None
        chain = config.lm.get(role) or known or RoleSettings(model=(EMBEDDED,))
        is_embedded = not chain.model or chain.model[0].startswith(EMBEDDED)
        chains[role] = RoleSettings(model=INVENTED) if is_embedded else chain
    return chains


def _rows(
    args: argparse.Namespace, config: Config, program: dspy.Module
) -> Sequence[Mapping[str, Any]]:
    """The inputs: the given one, else those of the configured rows, held-out ones first."""
    if args.inputs:
        return [given_inputs(args.inputs)]
    parts = parts_of(config, program).named()
    examples = (each for name in ("test", "val", "train") for each in parts.get(name, ()))
    return [dict(each.inputs().items()) for each in islice(examples, args.requests)]


def _announce(config: Config, chains: Mapping[str, RoleSettings], out: Out) -> None:
    for role, chain in chains.items():
        out.note(f"stand-ins for {role}: {', then '.join(chain.model)}, on loopback")
    out.note("the embedded engine answers: it is not a language model; nothing is spent")
    runtime = config.runtime
    out.note(
        f"policies: {runtime.attempts} attempts, {runtime.timeout:g} s for one, "
        f"{runtime.deadline:g} s in all (--set runtime.timeout=3 is quicker)"
    )


def _lines(found: DrillResult) -> list[str]:
    """The result for people."""
    kept = f"{found.answered} of {found.requests} requests"
    told = [
        f"answered    {kept} ({found.share:.1%}); embedded, not a language model",
        *(f"failed      {each.count} {each.kind}: {each.example}" for each in found.failures),
        f"changed     {found.changed} answers differ from those without faults",
        f"attempts    {found.attempts} for {found.calls} calls ({found.amplification:.2f} each)",
        f"fallbacks   {found.fallbacks} calls answered by a model after the first",
        *(line for model in found.models for line in _model_lines(model)),
        f"seconds     p50 {found.p50:.3f}, p99 {found.p99:.3f}"
        f" (without faults {found.calm_p50:.3f}, {found.calm_p99:.3f})",
    ]
    if found.left_out:
        told.append(f"note        {found.left_out} inputs fail without faults too: left out")
    return told


def _model_lines(model: Any) -> list[str]:
    faults = ", ".join(f"{count} {name}" for name, count in model.faults.items()) or "none"
    opened = f"; breaker opened {model.openings} times" if model.openings else ""
    return [
        f"model       {model.model}: {model.attempts} attempts, {model.answered} answered{opened}",
        f"  faults    {faults}",
    ]
