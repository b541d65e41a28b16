"""The arguments a metric asks for, read once from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final, NamedTuple

from ..errors import MetricError

__all__ = ["Asked", "Shape", "shape_of"]

_ROLES: Final = ("example", "prediction", "trace", "predictor", "predictor_trace")
_NAMES: Final = {
    "trace": "trace",
    "tr": "trace",
    "t": "trace",
    "pred_name": "predictor",
    "predictor": "predictor",
    "predictor_name": "predictor",
    "pred_trace": "predictor_trace",
    "predictor_trace": "predictor_trace",
}
_ACCEPTED: Final = (
    "(example, pred), (example, pred, trace=None) or "
    "(gold, pred, trace=None, pred_name=None, pred_trace=None); further arguments need a default"
)
_BY_PLACE: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Asked(NamedTuple):
    """What a metric can be given about one rollout."""

    example: Any
    prediction: Any
    trace: Any = None
    predictor: str | None = None
    predictor_trace: Any = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Which of a rollout's facts go where in the call of a metric."""

    places: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    takes_more: bool = False

    def takes(self, role: str) -> bool:
        """Whether the metric is handed this fact of a rollout.

        >>> Shape(("example", "prediction"), ()).takes("predictor")
        False
        """
        return role in self.places or any(role == known for _, known in self.names)

    def bind(self, asked: Asked) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the named arguments of the call.

        >>> Shape(("example", "prediction"), (("_trace", "trace"),)).bind(Asked("e", "p"))
        (['e', 'p'], {'_trace': None})
        """
        places = [getattr(asked, role) for role in self.places]
        if self.takes_more and asked.trace is not None:
            places.append(asked.trace)
        return places, {name: getattr(asked, role) for name, role in self.names}


def shape_of(metric: Callable[..., Any], name: str) -> Shape:
    """The shape in which `metric` wants to be called.

    The first two arguments are the example and the prediction, whatever they are called. Later
    ones are known by name (underscores around it ignored); in DSPy's shape of five required
    arguments, by place. Others keep their default, or are a `MetricError`.

    >>> def metric(gold, pred, threshold=0.5, _trace=None): ...
    >>> shape_of(metric, "metric").names
    (('_trace', 'trace'),)
    """
    signature = _signature(metric, name)
    parameters = list(signature.parameters.values())
    places = [one for one in parameters if one.kind in _BY_PLACE]
    starred = any(one.kind is Parameter.VAR_POSITIONAL for one in parameters)
    if len(places) < 2 and not starred:
        raise _refused(name, signature, "it does not take an example and a prediction")
    given = ["example", "prediction"]
    if len(places) == len(_ROLES) and all(_is_required(one) for one in places):
        given = list(_ROLES)
    for one in places[len(given) :]:  # by place as far as it goes: a wrapper may rename them
        role = _role(one, len(given))
        if role is None:
            break
        given.append(role)
    names = _named(parameters, places[: len(given)], name, signature)
    takes_more = starred and len(places) <= 2 and "trace" not in dict(names).values()
    return Shape(tuple(given), names, takes_more)


def _named(
    parameters: list[Parameter], placed: list[Parameter], name: str, signature: inspect.Signature
) -> tuple[tuple[str, str], ...]:
    """The arguments given by name; one that is required and unknown is refused."""
    found = []
    for index, one in enumerate(parameters):
        role = _role(one, index)
        if one in placed or one.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            continue
        if role is not None and one.kind is not Parameter.POSITIONAL_ONLY:
            found.append((one.name, role))
        elif _is_required(one):
            raise _refused(name, signature, f"nothing is known to give for {one.name!r}")
    return tuple(found)


def _role(parameter: Parameter, index: int) -> str | None:
    """What an argument after the first two stands for, if its name says so."""
    bare = parameter.name.strip("_").lower()
    if not bare and index < len(_ROLES):
        return _ROLES[index]
    return _NAMES.get(bare)


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty


def _signature(metric: Callable[..., Any], name: str) -> inspect.Signature:
    """The signature as it is called; of a wrapper that takes anything, what it wraps."""
    target = _forward(metric)
    try:
        own = inspect.signature(target, follow_wrapped=False)
        starred = any(one.kind is Parameter.VAR_POSITIONAL for one in own.parameters.values())
        return inspect.signature(target) if starred else own
    except (TypeError, ValueError) as error:
        raise MetricError(
            f"metric {name!r} cannot be used: {metric!r} has no signature to read; wrap it in a "
            f"function with arguments {_ACCEPTED}"
        ) from error


def _forward(metric: Callable[..., Any]) -> Callable[..., Any]:
    """What says the arguments of a `dspy.Module`, whose own call takes anything.

    It is taken from the class because reading it from the instance makes DSPy log a warning.
    """
    kind = type(metric)
    for method in ("forward", "aforward"):
        if callable(getattr(kind, method, None)):
            bound: Callable[..., Any] = getattr(kind, method).__get__(metric)
            return bound
    return metric


def _refused(name: str, signature: inspect.Signature, why: str) -> MetricError:
    return MetricError(
        f"metric {name!r} has the arguments {signature}: {why}. Accepted are {_ACCEPTED}"
    )
