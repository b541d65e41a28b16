"""What a model costs: one table, which a compile and the runtime read alike."""

from .price import FREE, Price, Tokens, tokens_of
from .table import Charge, Prices

__all__ = ["FREE", "Charge", "Price", "Prices", "Tokens", "tokens_of"]
