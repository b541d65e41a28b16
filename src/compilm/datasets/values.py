"""Values of tables as plain Python: no numpy scalar, no timestamp type, one kind of missing."""

from __future__ import annotations

from typing import Any

__all__ = ["python"]


def python(value: Any, *, nan_is_missing: bool = False) -> Any:
    """`value` with numpy and pandas types replaced, dates as ISO text; missing marks as None.

    In a pandas frame NaN is how a missing value is written (`nan_is_missing`). Elsewhere NaN is a
    wrong value and stays, to be reported where the example is built.

    >>> import datetime
    >>> python([datetime.date(2024, 5, 1), None])
    ['2024-05-01', None]
    """
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: python(item, nan_is_missing=nan_is_missing) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [python(item, nan_is_missing=nan_is_missing) for item in value]
    if nan_is_missing and isinstance(value, float) and value != value:  # only NaN is not itself
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
