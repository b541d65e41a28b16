"""A predictor that chooses demonstrations for each call: DSPy's own, with one step before it.

The predictor of a program becomes one by a change of its class to a subclass made once for each
class: it stays a `dspy.Predict`, under its path, with its signature, its LM and its own `demos`,
and copying or pickling it keeps the pool.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import dspy

from ..artifact import Nearest
from ..errors import ProgramError
from .nearest import Chooser

__all__ = ["Retrieving", "own_class", "release", "retrieve"]

_log = logging.getLogger("compilm")


class Retrieving(dspy.Predict):
    """A predictor whose prompt holds its `demos` and after them those nearest to the call.

    `reset` and a state that was saved without a pool make it an ordinary predictor again. A call
    with `demos=` gets those and no others.

    >>> predictor = dspy.Predict("q -> a")
    >>> retrieve(predictor, Nearest(1, "words-v1", ({"q": "a lost card", "a": "cards"},)))
    >>> isinstance(predictor, Retrieving), predictor
    (True, Predict(...))
    """

    _own: ClassVar[Any]  # the class it was written as
    _chooser: Chooser

    @property
    def nearest(self) -> Nearest:
        """The pool and how many of it are shown."""
        return self._chooser.nearest

    def shown(self, inputs: Mapping[str, Any]) -> list[Any]:
        """The demonstrations of a call with these inputs, as they stand in its prompt."""
        return [*self.demos, *self._chooser.choose(inputs, self.demos)]

    # Private to DSPy, and the only step that `forward` and `aforward` share and that sees the
    # inputs as they are rendered, after whatever a subclass did to them. `retrieve` looks whether
    # it is there, so that no version of DSPy can drop the demos in silence.
    def _forward_preprocess(self, **kwargs: Any) -> Any:
        if "demos" not in kwargs:
            kwargs["demos"] = self.shown(kwargs)
        return super()._forward_preprocess(**kwargs)

    def reset(self) -> None:
        """Forget demos and pool, as DSPy's optimizers want a student."""
        super().reset()
        release(self)

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """DSPy's state with the `demos` that stay, and the pool under `nearest` beside them.

        `import_state`, `adopt` and `load_state` of such a predictor read the pool; DSPy's own
        `load` into a program as it was written does not, which a warning in the log says.
        """
        _log.warning(
            "DSPy's saved states have no demos chosen per call: loaded with DSPy alone, this one "
            "has the %d demos that stay and not the %s. Save an artifact to keep them",
            len(self.demos),
            self.nearest,
        )
        state: dict[str, Any] = super().dump_state(json_mode=json_mode)
        return {**state, "nearest": self.nearest.to_json()}

    def load_state(self, state: Mapping[str, Any], **options: Any) -> Retrieving:
        """What `dump_state` gave, taken back; without a pool this is an ordinary predictor."""
        rest = {name: value for name, value in state.items() if name != "nearest"}
        super().load_state(rest, **options)
        if state.get("nearest"):
            retrieve(self, Nearest.from_json(state["nearest"]))
        else:
            release(self)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank, (self._own,), self.__getstate__()


def retrieve(predictor: dspy.Predict, nearest: Nearest, path: str = "self") -> None:
    """Make `predictor` choose demonstrations as `nearest` says, in place; raises as `Chooser` does.

    >>> predictor = dspy.Predict("q -> a")
    >>> retrieve(predictor, Nearest(1, "words-v1", ()))
    >>> predictor.nearest.k
    1
    """
    if not hasattr(dspy.Predict, "_forward_preprocess"):
        raise ProgramError(
            f"predictor {path!r} chooses demos for each call, and dspy {dspy.__version__} has no "
            "place for that: install a version that compilm asks for"
        )
    predictor._chooser = Chooser(nearest, predictor.signature, path)
    predictor.__class__ = _retrieving(own_class(predictor))


def release(predictor: dspy.Predict) -> None:
    """Make `predictor` an ordinary one again, in place; its own demos stay.

    >>> predictor = dspy.Predict("q -> a")
    >>> retrieve(predictor, Nearest(1, "words-v1", ()))
    >>> release(predictor)
    >>> type(predictor) is dspy.Predict
    True
    """
    if isinstance(predictor, Retrieving):
        predictor.__class__ = predictor._own
        del predictor._chooser


def own_class(module: dspy.Module) -> Any:
    """The class the module was written as.

    >>> own_class(dspy.Predict("q -> a")) is dspy.Predict
    True
    """
    return module._own if isinstance(module, Retrieving) else type(module)


@lru_cache(maxsize=256)
def _retrieving(own: Any) -> type[Retrieving]:
    """The subclass of `own` that retrieves; it goes by its name wherever names are read."""
    named = ("__module__", "__doc__", "__firstlineno__")
    body = {name: vars(own)[name] for name in named if name in vars(own)}
    body |= {"__qualname__": own.__qualname__, "_own": own}
    made: type[Retrieving] = type(own)(own.__name__, (Retrieving, own), body)
    return made


def _blank(own: Any) -> Retrieving:
    """An instance to be filled by a copy or an unpickler."""
    cls = _retrieving(own)
    return cls.__new__(cls)
