"""Serve an artifact over HTTP: typed endpoints, OpenAPI, health; Ctrl-C or SIGTERM drains it."""

from __future__ import annotations

import argparse
import json
import signal
import socket
from contextlib import closing
from typing import Any

from ..errors import ConfigError, MissingExtra
from .loading import add_program, loaded
from .options import configuration
from .out import Out
from .place import target_name
from .reviewing import desk_at
from .tracing import tracing

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm serve build/desk
  compilm serve build/desk --host 0.0.0.0 --port 80      reachable from other machines"""

_DRAIN_S = 30


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("artifact", metavar="ARTIFACT")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (loopback)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free port (8000)")
    parser.add_argument("--concurrency", type=int, metavar="N", help="calls answered at once")
    add_program(parser)


def run(args: argparse.Namespace, out: Out) -> int:
    """Serve until told to stop."""
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("uvicorn", extra="serve", purpose="serve over HTTP") from error
    from ..runtime.garbage import settle
    from ..runtime.http.app import create_app

    flags = {"program": args.program, "runtime.concurrency": args.concurrency}
    config = configuration(args, flags)
    with _listen(args.host, args.port) as listening, tracing(config, out) as tracer:
        runtime = loaded(args.artifact, config, out, tracer)
        desk = None if config.runtime.reviews is None else desk_at(config, runtime)
        app = create_app(
            runtime, name=target_name(config), concurrency=config.runtime.concurrency, desk=desk
        )
        _announce(app, listening, out)
        settings = uvicorn.Config(
            app,
            log_level="info" if args.verbose else "warning",
            access_log=bool(args.verbose),
            http="h11",  # not by what happens to be installed
            timeout_graceful_shutdown=_DRAIN_S,
        )
        # After draining, uvicorn raises the signal again for the handlers that were there before;
        # these let the process end with 0.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, lambda *_: None)
        settle()
        with closing(runtime):
            uvicorn.Server(settings).run(sockets=[listening])
    out.note("stopped")
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before the program is loaded: a used port is told at once."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: expected 0 to 65535; 0 takes any free port")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}; name another --port") from None


def _announce(app: Any, listening: socket.socket, out: Out) -> None:
    host, port = listening.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    served = app.state.served
    example = json.dumps(dict.fromkeys(served.runtime.inputs, "..."))
    path = f"/v1/programs/{served.name}"
    out.emit({"address": address, "name": served.name, "digest": served.digest, "path": path})
    out.say(f"serving {served.name} on {address}  (documentation: {address}/docs)")
    out.say(f"  curl -s {address}{path} --json '{example}'")
    out.stdout.flush()
