"""`membrane decide`: one decision from the command line, by an API or straight from a data directory."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from cli.client import MISTAKES, ApiClient
from cli.exits import DONE
from cli.output import print_json, say
from cli.replay import chosen_url
from membrane.errors import StoreUnavailable, UsageError

if TYPE_CHECKING:
    from serving.config import ServeConfig

PATH: Final = "/v1/decisions"
_NAMES: Final = ("customer", "domain", "kind", "channel")
PATIENCE_SECONDS: Final = 5.0
"""A person waits longer for an answer than a machine does."""


def decide(args: argparse.Namespace) -> int:
    """Asks and prints the answer; with --batch the answers to a whole file."""
    if args.batch is not None:
        _check_alone(args)
        from cli.batch import decide_batch

        return decide_batch(args)
    url = chosen_url(args)
    body = json.dumps(request(args)).encode()
    if url is not None:
        with ApiClient(url, args.key) as client:
            answer = client.post(PATH, body)
    else:
        answer = _ask_directory(args, body)
    if args.json:
        print_json(answer)
    else:
        for line in lines(answer):
            say(line)
    return DONE


def request(args: argparse.Namespace) -> Any:
    """The request that the options describe, or the one on standard input."""
    given = {name: getattr(args, name) for name in _NAMES if getattr(args, name) is not None}
    if not given:
        return _from_standard_input()
    missing = [f"--{name}" for name in _NAMES if name not in given]
    if missing:
        raise UsageError(f"decide: {', '.join(missing)} required beside {', '.join(f'--{name}' for name in given)}")
    candidate = {"id": f"{given['domain']}-{given['kind']}", **{name: given[name] for name in _NAMES[1:]}}
    language = {} if args.language is None else {"language": args.language}
    return {"customer": given["customer"], "candidates": [candidate], **language}


def _check_alone(args: argparse.Namespace) -> None:
    """UsageError for options that a batch says line by line."""
    given = [f"--{name}" for name in (*_NAMES, "language") if getattr(args, name) is not None]
    if given:
        raise UsageError(f"decide: with --batch each line is a whole request: {', '.join(given)} cannot be given")


def _from_standard_input() -> Any:
    try:
        return json.load(sys.stdin)
    except ValueError as error:
        raise UsageError(f"decide: --customer or a JSON request on standard input is required: {error}") from error


def directory_config(args: argparse.Namespace) -> ServeConfig:
    """How the stores of --data are asked."""
    from serving.config import ServeConfig

    return ServeConfig(data=args.data, clock=args.clock, deadline_seconds=PATIENCE_SECONDS)


def lines(answer: dict[str, Any]) -> list[str]:
    """The answer for people: one block a candidate."""
    stage = answer["stage"]["name"] if answer["stage"] else "no stage"
    shown = [f"{answer['customer']}: {answer['lifecycle']}, {stage}, judged at {answer['at']}"]
    for verdict in answer["verdicts"]:
        shown.append(f"{verdict['candidate']}: {verdict['verdict']}")
        shown += [f"  {reason['source']} {reason['id']}: {reason['text']}" for reason in verdict["reasons"]]
        if verdict["until"]:
            shown.append(f"  until {verdict['until']}")
        shown += [f"  unless {text}" for text in unless_texts(verdict)]
        shown += [f"  with {json.dumps(change['set'], ensure_ascii=False)}" for change in verdict["modifications"]]
    shown += [
        f"owed: {owed['kind']} by {owed['owner']}, due {owed['due']} ({owed['state']})" for owed in answer["owed"]
    ]
    shown += [
        f"paused until {one['until']}: {one['what']} {one['name']}, by {one['by']}: {one['why']}"
        for one in answer.get("pauses", ())
    ]
    if answer["state"]["degraded"]:
        shown.append(f"degraded: {', '.join(answer['state']['degraded'])}")
    return shown


def unless_texts(verdict: dict[str, Any]) -> list[str]:
    """What would change a verdict, in words."""
    sets = verdict["unless"]["any"] if verdict["unless"] else []
    return [
        " and ".join(f"{one['fact']} were {' or '.join(_text(value) for value in one['would_be'])}" for one in changes)
        for changes in sets
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _ask_directory(args: argparse.Namespace, body: bytes) -> Any:
    """Asks the stores of a directory, without a server and without writing anything."""
    from serving.asking import asking
    from serving.problems import Problem

    try:
        with asking(directory_config(args)) as decisions:
            return json.loads(decisions.answer(body, args.tenant))
    except Problem as problem:
        error = UsageError if problem.status in MISTAKES else StoreUnavailable
        raise error(problem.detail) from problem
