"""What a proposer's model is shown in the place of a program's source code.

SIMBA asks Python for the source of the program's class and puts it into a prompt. A driven program
says that its class stands here, unless the user wants the real one to be sent (`show_source`).
"""

from __future__ import annotations

import dspy


class Program(dspy.Module):
    """A program whose source code is not shown; its modules are described below."""
