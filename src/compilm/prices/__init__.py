"""What a model costs: one table, which a compile and the runtime read alike."""

from .price import FREE, Price, Tokens, tokens_of
from .size import Size, prompt_tokens
from .table import Charge, Prices

__all__ = ["FREE", "Charge", "Price", "Prices", "Size", "Tokens", "prompt_tokens", "tokens_of"]
