"""What can be set on the embedded engine, and the three sizes that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Final

from ...errors import ConfigError

__all__ = ["SIZES", "Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The engine's settings. Weights are relative; noise widths are in cosine units.

    >>> Options(attend_demos=4).attend_demos
    4
    """

    w_name: float = 1.0  # weight of a label's own words
    w_demo: float = 1.0  # weight of one demonstration
    w_rule: float = 1.0  # weight of one rule line
    rule_mag: float = 0.5  # a rule of m words counts min(rule_cap, rule_mag * sqrt(m))
    rule_cap: float = 2.5
    attend_demos: int = 16  # demonstrations, from the last, read at full weight; earlier ones fade
    attend_words: int = 0  # rule words read at full weight; 0 reads all
    recency: float = 1.0  # factor per demonstration further back
    bias: float = 0.0  # a prompt's own leaning towards labels, the same for every query
    jitter: float = 0.0  # noise of one request
    temp_scale: float = 0.06  # Gumbel noise at temperature 1
    cues: int = 12  # cues per label in an instruction it writes
    hints: bool = True  # whether strategy sentences in the instruction are obeyed

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0:
                raise ConfigError(
                    f"the embedded engine's option {name} is {value!r}: use a number from 0 up"
                )

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Options:
        """Options from a mapping; an unknown name is a `ConfigError` listing the known ones.

        >>> Options.of({"bias": 0.03}).bias
        0.03
        """
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                raise ConfigError(
                    f"the embedded engine has no option {name!r}; it has {', '.join(known)}"
                )
        return cls(**settings)


SIZES: Final[Mapping[str, Options]] = MappingProxyType(
    {
        "embedded/small": Options(attend_demos=4, w_rule=0.5),
        "embedded/base": Options(),
        "embedded/large": Options(attend_demos=64),
    }
)
