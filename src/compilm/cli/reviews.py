"""List, claim and answer what programs ask people; end what is overdue; write examples."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import ConfigError
from .inputs import given_inputs
from .loading import add_program, loaded
from .options import configuration
from .out import Out
from .reviewing import desk_at, queue_at

if TYPE_CHECKING:
    from ..reviews import Review, Reviews

__all__ = ["arguments", "run"]

EXAMPLES = """examples:
  compilm reviews list                                    what is free
  compilm reviews list --status all --json
  compilm reviews claim                                   take the oldest for 15 minutes
  compilm reviews answer 3f2a approved:=true note=fine    the server goes on within a minute
  compilm reviews answer 3f2a approved:=true --artifact build/desk    goes on here and now
  compilm reviews expire                                  end what is overdue
  compilm reviews export people.jsonl                     examples for the next compile"""

_STATUSES = ("open", "claimed", "answered", "expired", "all")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("words", nargs="*", metavar="ID, FIELD=VALUE or FILE")
    parser.add_argument("--status", choices=_STATUSES, default="open", help="what to list (open)")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="list the first N")
    parser.add_argument("--by", metavar="NAME", help="who it is (the name of the account)")
    parser.add_argument("--lease", type=float, default=900.0, metavar="S", help="seconds (900)")
    parser.add_argument("--of", metavar="PROGRAM", help="export this program's only")
    parser.add_argument("--queue", metavar="PLACE", help="a file, or postgresql://...")
    parser.add_argument("--artifact", metavar="ARTIFACT", help="go on with the run here")
    add_program(parser)


def run(args: argparse.Namespace, out: Out) -> int:
    """Do one thing with the queue."""
    config = configuration(args, {"program": args.program, "runtime.reviews": args.queue})
    with closing(queue_at(config)) as queue:
        return _ACTIONS[args.action](args, config, queue, out)


def _list(args: argparse.Namespace, _: Config, queue: Reviews, out: Out) -> int:
    if args.words:
        return _told(queue, queue.get(_only(args, "an id")), out)
    found = queue.list(None if args.status == "all" else args.status, limit=max(args.limit, 0))
    out.emit({"reviews": [_shown(queue, each) for each in found]})
    for each in found:
        out.say(_line(queue, each))
    if not found:
        out.say("nothing is waiting" if args.status == "open" else f"none is {args.status}")
    return 0


def _claim(args: argparse.Namespace, _: Config, queue: Reviews, out: Out) -> int:
    id = _only(args, "an id") if args.words else None
    taken = queue.claim(id, by=_who(args), lease=args.lease)
    if taken is None:
        out.emit({"review": None})
        out.say("nothing is waiting")
        return 0
    return _told(queue, taken, out)


def _answer(args: argparse.Namespace, config: Config, queue: Reviews, out: Out) -> int:
    if len(args.words) < 2:
        raise ConfigError("compilm reviews answer ID FIELD=VALUE ...: give an id and an answer")
    id, answer = args.words[0], given_inputs(args.words[1:])
    if args.artifact is None:
        review = queue.answer(id, by=_who(args), answer=answer)
        out.emit({"review": _shown(queue, review), "outcome": None})
        out.say(f"{review.id} is answered")
        return 0
    from ..runtime.http.reviews import outcome_of

    runtime = loaded(args.artifact, config, out)
    with closing(runtime):
        outcome = desk_at(config, runtime).answer(id, by=_who(args), answer=answer)
        told = None if outcome is None else outcome_of(outcome)
    out.emit({"review": _shown(queue, queue.get(id)), "outcome": told})
    for line in _outcome(told):
        out.say(line)
    return 0


def _expire(_args: argparse.Namespace, _: Config, queue: Reviews, out: Out) -> int:
    ended = queue.expire()
    out.emit({"expired": [_shown(queue, each) for each in ended]})
    out.say(f"{len(ended)} ended, {sum(each.answer is not None for each in ended)} by a fallback")
    return 0


def _export(args: argparse.Namespace, _: Config, queue: Reviews, out: Out) -> int:
    path = _only(args, "a file")
    count = queue.export(path, args.of)
    out.emit({"rows": count, "to": path})
    out.say(f"{count} rows in {path}")
    return 0


_Action = Callable[[argparse.Namespace, Config, "Reviews", Out], int]
_ACTIONS: dict[str, _Action] = {
    "list": _list,
    "claim": _claim,
    "answer": _answer,
    "expire": _expire,
    "export": _export,
}


def _only(args: argparse.Namespace, what: str) -> str:
    if len(args.words) != 1:
        raise ConfigError(f"compilm reviews {args.action} takes {what}, not {args.words}")
    return str(args.words[0])


def _who(args: argparse.Namespace) -> str:
    try:
        return args.by or getpass.getuser()
    except (OSError, KeyError):
        raise ConfigError("this account has no name: say who it is with --by NAME") from None


def _shown(queue: Reviews, review: Review) -> dict[str, Any]:
    return {**review.to_json(), "status": review.status_at(queue.now())}


def _line(queue: Reviews, review: Review) -> str:
    at = datetime.fromtimestamp(review.asked_at, UTC).strftime("%Y-%m-%d %H:%M")
    why = f"  ({review.reason})" if review.reason else ""
    return _clean(f"{review.id}  {review.status_at(queue.now()):8}  {at}  {review.question}{why}")


def _clean(text: str) -> str:
    """The text without what a terminal takes for orders: a model or a stranger may have said it."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def _told(queue: Reviews, review: Review, out: Out) -> int:
    """One review with all that helps to answer it."""
    out.emit({"review": _shown(queue, review)})
    out.say(_line(queue, review))
    for name in ("inputs", "draft", "details", "answer"):
        for key, value in (getattr(review, name) or {}).items():
            out.say(_clean(f"  {name}.{key}: {value}"))
    if review.fields and review.answer is None:
        fields = " ".join(f"{name}=..." for name in review.fields)
        out.say(f"  compilm reviews answer {review.id} {fields}")
    return 0


def _outcome(told: dict[str, Any] | None) -> list[str]:
    if told is None:
        return ["answered; it belongs to no run"]
    if told["status"] == "waiting":
        return [_clean(f"the run asks again: {told['review']['id']}  {told['review']['question']}")]
    return [_clean(f"{name}: {value}") for name, value in told["outputs"].items()]
