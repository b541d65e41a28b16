"""Which certificates are trusted: the same ones for every engine, read once in a process."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

__all__ = ["tls"]


def tls() -> ssl.SSLContext:
    """The context of all TLS connections: certificates of `SSL_CERT_FILE`, else certifi's.

    >>> tls() is tls()
    True
    """
    return _read(os.environ.get("SSL_CERT_FILE"))


@lru_cache(maxsize=4)
def _read(file: str | None) -> ssl.SSLContext:
    import certifi

    context = ssl.create_default_context(cafile=file or certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
