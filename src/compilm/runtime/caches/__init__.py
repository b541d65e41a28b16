"""Where answers are kept between calls: one protocol, a store in memory and one in a file."""

from .memory import MemoryStore
from .sqlite import SQLiteStore
from .store import Store

__all__ = ["MemoryStore", "SQLiteStore", "Store"]
