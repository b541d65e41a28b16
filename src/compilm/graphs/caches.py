"""What a node gave before for equal inputs, for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

import dspy

from .. import canonical

__all__ = ["NodeCache"]

_MOST = 1024  # answers of one node


class NodeCache:
    """The last answers of one node, each for `seconds`. A copy begins empty.

    Instructions and demonstrations are part of the key: what an optimizer changes is asked anew.

    >>> cache = NodeCache(60.0)
    >>> cache.put("a key", {"answer": "4"}, now=0.0)
    >>> cache.get("a key", now=59.0), cache.get("a key", now=60.0)
    ({'answer': '4'}, None)
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = Lock()  # protects the rest
        self._held: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def __deepcopy__(self, memo: dict[int, Any]) -> NodeCache:
        return NodeCache(self._seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        return (NodeCache, (self._seconds,))

    def key(self, step: dspy.Module, inputs: Mapping[str, Any]) -> str | None:
        """What equal questions have in common; `None` for inputs that have no JSON form."""
        try:
            state = {
                name: each.dump_state()
                for name, each in step.named_parameters()
                if hasattr(each, "dump_state")
            }
            return canonical.digest(canonical.plain([inputs, state]))
        except TypeError:
            return None

    def get(self, key: str | None, now: float) -> Any:
        """The answer, or `None`."""
        with self._lock:
            until, value = self._held.get(key or "", (now, None))
            return value if until > now else None

    def put(self, key: str | None, value: Any, now: float) -> None:
        """Keep an answer; the oldest go first."""
        if key is None or value is None:
            return
        with self._lock:
            self._held[key] = (now + self._seconds, value)
            while len(self._held) > _MOST:
                self._held.popitem(last=False)
