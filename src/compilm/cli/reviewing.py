"""The queue and the desk of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from ..journal import open_journal
from .place import reviews_place, target_name

if TYPE_CHECKING:
    from ..reviews import Desk, Reviews
    from ..runtime.load import Runtime

__all__ = ["desk_at", "queue_at"]


def queue_at(config: Config) -> Reviews:
    """The queue of `runtime.reviews`, made where it is not there."""
    from ..reviews import Reviews

    return Reviews(reviews_place(config))


def desk_at(config: Config, runtime: Runtime) -> Desk:
    """The desk of a loaded graph; its runs are where the queue is, in `.compilm/runs.db` of a file.

    So machines that share a queue in Postgres share the runs.
    """
    from ..runtime.desk import desk_of

    place = reviews_place(config)
    runs = place if "://" in place else config.folder / ".compilm" / "runs.db"
    journal = open_journal(runs)
    return desk_of(runtime, target_name(config), journal, queue_at(config))
