"""`membrane pause`: a domain, a principle, or what persuades a customer waits until a moment; by an API or straight
in a data directory."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from cli.client import ApiClient
from cli.exits import DONE
from cli.output import print_json, say
from cli.replay import chosen_url
from membrane.errors import UsageError
from membrane.times import format_time

PATH: Final = "/v1/pauses"
_WHATS: Final = ("domain", "principle", "customer")
Found = dict[str, Any]


def add(args: argparse.Namespace) -> int:
    """Pauses, and prints what was recorded."""
    given = {name: getattr(args, name) for name in _WHATS if getattr(args, name) is not None}
    if len(given) != 1:
        raise UsageError(f"pause add: one of {', '.join(f'--{name}' for name in _WHATS)} is required")
    asked = {**given, "until": format_time(args.until), "by": args.by, "why": args.why}
    body = json.dumps(asked).encode()
    if (url := chosen_url(args)) is not None:
        with ApiClient(url, args.key) as client:
            found = client.post(PATH, body)
    else:
        from serving.pauses import begin, parse_pause

        with _local(args) as at:
            found = at.told(lambda: begin(at.log, at.sets, parse_pause(body), args.tenant, at.now, at.received_ms))
    return _tell(args, found, [found])


def end(args: argparse.Namespace) -> int:
    """Ends a pause before its time."""
    if (url := chosen_url(args)) is not None:
        path = f"{PATH}/{quote(args.pause, safe='')}?{urlencode({'by': args.by, 'why': args.why})}"
        with ApiClient(url, args.key) as client:
            found = client.delete(path)
    else:
        from serving.pauses import end as end_pause

        with _local(args) as at:
            said_by = args.by, args.why
            found = at.told(lambda: end_pause(at.log, args.pause, args.tenant, said_by, at.now, at.received_ms))
    return _tell(args, found, [found])


def list_pauses(args: argparse.Namespace) -> int:
    """The pauses in force; with --all those that have ended, too."""
    if (url := chosen_url(args)) is not None:
        with ApiClient(url, args.key) as client:
            found = client.get(f"{PATH}?all=true" if args.all else PATH)
    else:
        from serving.pauses import listed

        with _local(args) as at:
            found = at.told(lambda: listed(at.log, args.tenant, at.now, everything=args.all))
    return _tell(args, found, found["pauses"])


def line(pause: Found) -> str:
    """A pause for people."""
    early = pause["ended"]
    ended = f"; ended {early['at']} by {early['by']}: {early['why']}" if early else ""
    stretch = f"{pause['since']} to {pause['until']}"
    return f"{pause['pause']}  {pause['what']} {pause['name']}  {stretch}  by {pause['by']}: {pause['why']}{ended}"


def _tell(args: argparse.Namespace, found: Found, pauses: list[Found]) -> int:
    if args.json:
        print_json(found)
        return DONE
    for pause in pauses:
        say(line(pause))
    if not pauses:
        say("nothing is paused")
    return DONE


@dataclass(frozen=True, slots=True)
class _Local:
    """The stores of a data directory, and what time it is there."""

    log: Any
    sets: Any
    now: int
    received_ms: int

    def told(self, ask: Callable[[], object]) -> Found:
        """What the API would answer. UsageError for what it would refuse."""
        import msgspec

        from serving.problems import Problem

        try:
            found: Found = msgspec.to_builtins(ask())
        except Problem as problem:
            raise UsageError(problem.detail) from problem
        return found


@contextmanager
def _local(args: argparse.Namespace) -> Iterator[_Local]:
    from serving.principle_sets import PrincipleSets
    from storage.clock import wall_ms
    from storage.directory import DataDir
    from storage.log import SignalLog
    from storage.principles import PrincipleFiles

    directory = DataDir.existing(args.data)
    with closing(SignalLog(directory)) as log:
        wall = wall_ms()
        greatest = log.greatest_time() if args.clock == "signals" else None
        sets = PrincipleSets(PrincipleFiles(directory.principles_path))
        yield _Local(log, sets, wall if greatest is None else greatest, wall)
