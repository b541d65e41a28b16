"""Questions that wait for a person: list, claim, answer, expire."""

from .asking import AskPerson, asking
from .desk import Desk, Waiting
from .queue import Reviews
from .review import Review, Status

__all__ = ["AskPerson", "Desk", "Review", "Reviews", "Status", "Waiting", "asking"]
