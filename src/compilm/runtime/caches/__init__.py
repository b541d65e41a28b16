"""Where answers are kept between calls: one protocol; in memory, in a file, in Redis."""

from .lease import Leases
from .memory import MemoryStore
from .redis import RedisStore
from .sqlite import SQLiteStore
from .store import Store

__all__ = ["Leases", "MemoryStore", "RedisStore", "SQLiteStore", "Store"]
