"""Which predictor of a program is calling its model: asked from inside a layer, paid only there.

DSPy keeps the modules that are being called in its setting `caller_modules`, in threads and tasks
alike, for itself. Reading it costs less than a microsecond where a callback would cost half a
millisecond per call, and the classes of the program's predictors stay what they are.
"""

from __future__ import annotations

import dspy

# Where `dspy.settings` looks first, and the only place where this one is: a quarter of the time.
from dspy.dsp.utils.settings import thread_local_overrides

from .predictors import predictors

__all__ = ["caller", "calling", "named", "path_of"]

_PATH = "_compilm_path"
_attribute = object.__getattribute__  # a module's own looks at who reads which attribute


def named(program: dspy.Module) -> None:
    """Write on each predictor of the program, in place, the path that `calling` tells.

    A copy of a predictor keeps it, so one that DSPy copies while it runs is known as well.

    >>> program = dspy.ChainOfThought("question -> answer")
    >>> named(program)
    >>> vars(program.predict)["_compilm_path"]
    'predict'
    """
    for path, each in predictors(program).items():
        setattr(each, _PATH, path)


def caller() -> dspy.Predict | None:
    """The predictor whose call is going on in this context, the innermost; `None` outside one.

    >>> print(caller())
    None
    """
    found = thread_local_overrides.get().get("caller_modules")
    return found[-1] if found and isinstance(found[-1], dspy.Predict) else None


def calling() -> str | None:
    """The path of the predictor that is calling; `None` outside one, or where it was not `named`.

    >>> from compilm.testing.engines import scripted_lm
    >>> program, heard = dspy.ChainOfThought("question -> answer"), []
    >>> named(program)
    >>> def answer(request):
    ...     heard.append(calling())
    ...     return {"reasoning": "sums", "answer": "4"}
    >>> with dspy.context(lm=scripted_lm(answer)):
    ...     program(question="2+2?").answer, heard
    ('4', ['predict'])
    """
    return path_of(caller())


def path_of(predictor: dspy.Predict | None) -> str | None:
    """The path that `named` wrote on this predictor; `None` where it wrote none.

    >>> print(path_of(dspy.Predict("question -> answer")))
    None
    """
    path: str | None = None
    if predictor is not None:
        path = _attribute(predictor, "__dict__").get(_PATH)
    return path
