"""How to reach one address: directly, or by the proxy that the environment names."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ...errors import ConfigError
from .lean_parsing import HEAD
from .trust import tls

__all__ = ["Route", "granted"]

# What stays as it is in a path that is not quoted yet, or is.
_SAFE = "/%:@!$&'()*+,;=~-._"
_OWN = {"content-length", "transfer-encoding"}  # how a body is framed is the client's to say


class Route:
    """An address, and the proxy before it if there is one.

    >>> Route("http://localhost:8000/v1").path("/chat/completions"), Route("https://a.example").port
    ('/v1/chat/completions', 443)
    """

    def __init__(self, base_url: str) -> None:
        from urllib.request import getproxies, proxy_bypass

        self.to = urlsplit(base_url)
        found = getproxies().get(self.to.scheme)
        bypassed = proxy_bypass(self.to.hostname or "")
        self.proxy: SplitResult | None = _proxy(found) if found and not bypassed else None
        self.tls = tls() if self.to.scheme == "https" else None
        self.port = _port(self.to, "the address")

    @property
    def first(self) -> tuple[str, int]:
        """The host and port that a connection is made to: the proxy's if there is one."""
        if self.proxy is None:
            return self.to.hostname or "", self.port
        return self.proxy.hostname or "", _port(self.proxy, "the proxy of the environment")

    def path(self, path: str) -> str:
        return self.to.path.rstrip("/") + path

    def _proxy_headers(self) -> dict[str, str]:
        if self.proxy is None or self.proxy.username is None:
            return {}
        user = f"{unquote(self.proxy.username)}:{unquote(self.proxy.password or '')}"
        return {"proxy-authorization": "Basic " + b64encode(user.encode()).decode()}

    def target(self, path: str) -> tuple[str, dict[str, str]]:
        """What stands in the request line, and the headers a plain proxy needs."""
        if self.proxy is not None and self.tls is None:
            whole = f"{self.to.scheme}://{self.to.netloc}{self.path(path)}"
            return whole, {"host": self.to.netloc, **self._proxy_headers()}
        return self.path(path), {}

    def head(self, path: str, headers: Mapping[str, str]) -> bytes:
        r"""The head of a POST, up to the number that `content-length` still needs.

        >>> Route("http://localhost:8000/v1").head("/chat", {"accept": "a/b"})
        b'POST /v1/chat HTTP/1.1\r\nhost: localhost:8000\r\naccept: a/b\r\ncontent-length: '
        """
        target, extra = self.target(quote(path, _SAFE))
        given = {name: value for name, value in headers.items() if name.lower() not in _OWN}
        if "host" not in map(str.lower, given):
            extra = {"host": self.to.netloc, **extra}
        lines = [f"{name}: {value}" for name, value in {**extra, **given}.items()]
        text = "\r\n".join([f"POST {target} HTTP/1.1", *lines, "content-length: "])
        return text.encode()

    def tunnel(self) -> bytes:
        """What a proxy is asked before TLS to the address begins."""
        to = f"{self.to.hostname}:{self.port}"
        if ":" in (self.to.hostname or ""):
            to = f"[{self.to.hostname}]:{self.port}"
        lines = {"host": to, **self._proxy_headers()}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"CONNECT {to} HTTP/1.1\r\n{text}\r\n".encode()


def _proxy(found: str) -> SplitResult:
    """The proxy of the environment; a bare `host:port` speaks HTTP."""
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    if proxy.scheme not in {"http", "https"} or not proxy.hostname:
        raise ConfigError(
            f"the environment names a proxy of the kind {proxy.scheme!r} at host "
            f"{proxy.hostname!r}: the lean engine speaks to http:// and https:// proxies; take the "
            "address out of it by no_proxy, or use the SDK's engine"
        )
    _port(proxy, "the proxy of the environment")
    return proxy


def _port(address: SplitResult, whose: str) -> int:
    try:
        return address.port or (443 if address.scheme == "https" else 80)
    except ValueError:  # it may hold a password, which its text would show
        raise ConfigError(f"{whose} has a port that is no number up to 65535") from None


def granted(head: bytes) -> bool:
    r"""Whether a proxy's answer, as far as it came, grants the tunnel; an error if it refuses.

    >>> granted(b"HTTP/1.1 200 OK\r\n"), granted(b"HTTP/1.1 200 OK\r\n\r\n")
    (False, True)
    """
    if b"\r\n\r\n" not in head:
        if len(head) > HEAD:
            raise ConnectionError("the proxy's answer is too long")
        return False
    first = head.split(b"\r\n", 1)[0].split(b" ")
    if len(first) > 1 and first[0].startswith(b"HTTP/1.") and first[1][:1] == b"2":
        return True
    raise ConnectionError("the proxy refused")
