"""What a server tells the collector of garbage: what is loaded stays, and calls come in crowds.

A call that is in flight holds about a hundred objects that the collector knows. As it is set up it
looks at them after every 700, several times each, and with some hundred calls in flight at all
that was ever imported too: a tenth to a fifth of a call's processor time, in pauses that every
caller waits for.
"""

from __future__ import annotations

import gc

__all__ = ["settle"]

_YOUNG = 20_000  # objects between two looks at the young ones: those of two hundred calls


def settle() -> None:
    """Take all that is loaded now for what stays, and look for garbage less often.

    For a process whose work is to serve, once everything is loaded; it holds for all of it. What
    is garbage in circles is still found, after at most 20,000 objects more.

    >>> import gc, subprocess, sys
    >>> told = "from compilm.runtime.garbage import settle; settle(); import gc; "
    >>> told += "print(gc.get_threshold()[0], gc.get_freeze_count() > 1000)"
    >>> subprocess.run([sys.executable, "-c", told], capture_output=True, text=True).stdout
    '20000 True\\n'
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
