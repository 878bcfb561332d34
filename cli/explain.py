"""`membrane explain`: decides a logged decision again from its evidence and the log, and compares."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final

import msgspec

from cli.decide import directory_config, lines
from cli.exits import DONE, FAILED
from cli.output import complain, print_json, say
from membrane.difference import Difference, differences
from membrane.errors import RecordUnreadable, UsageError
from membrane.settings import TenantSettings
from serving.asking import asking
from serving.evidence import LoggedDecision, judged_again, principles_named, read_logged
from storage.decisions import DecisionReader
from storage.directory import DataDir
from storage.log_reader import LogReader
from storage.principles import PrincipleFiles
from stream.hindsight import Hindsight

_OF_EACH_ANSWER: Final = frozenset({"/decision", "/logged", "/state/staleness_seconds"})


def explain(args: argparse.Namespace) -> int:
    """Prints the answer as it was given, made again, and (--today) as it would be given now; 1 if it does not come out
    the same bit for bit."""
    directory = DataDir.existing(args.data)
    logged = find(directory, args.tenant, args.decision)
    with closing(LogReader(directory)) as log:
        hindsight, files = Hindsight(log, TenantSettings()), PrincipleFiles(directory.principles_path)
        again = decided_again(logged, args.tenant, hindsight, files)
    told: dict[str, Any] = {
        "decision": args.decision,
        "equal": again == bytes(logged.answer),
        "logged": json.loads(bytes(logged.answer)),
        "again": json.loads(again),
    }
    told["differences"] = _views(differences(told["logged"], told["again"]))
    if args.today:
        told["today"] = _today(args, logged)
        changed = differences(told["logged"], told["today"])
        told["since"] = _views(one for one in changed if one.pointer not in _OF_EACH_ANSWER)
    if args.json:
        print_json(told)
    else:
        _tell(told)
    return DONE if told["equal"] else FAILED


def find(directory: DataDir, tenant: str, decision: str) -> LoggedDecision:
    """A line of the decision log. UsageError if it has none of that id, RecordUnreadable if it cannot be read."""
    if directory.decisions_path.exists():
        with closing(DecisionReader(directory.decisions_path)) as decisions:
            found = decisions.by_id(tenant, decision)
        if found is not None:
            try:
                return read_logged(found.body)
            except msgspec.MsgspecError as error:
                raise RecordUnreadable(f"{directory.decisions_path}: {decision}: cannot be read: {error}") from error
    raise UsageError(f"explain: a decision of tenant {tenant} in {directory.path} was required, came {decision!r}")


def decided_again(logged: LoggedDecision, tenant: str, hindsight: Hindsight, files: PrincipleFiles) -> bytes:
    """The answer made again of the record of that version, the principles named and the evidence.

    RecordUnreadable or StoreRefused where the log or the files do not give them any more.
    """
    evidence, customer = logged.evidence, logged.request.customer
    record = None if evidence.version is None else hindsight.record_at(tenant, customer, evidence.version)
    return judged_again(logged, tenant, record, principles_named(files, evidence.principles))


def _today(args: argparse.Namespace, logged: LoggedDecision) -> Any:
    """The answer to the same request now: a moment that it named lies behind us, and nothing is reserved."""
    request = msgspec.structs.replace(logged.request, at=None, reserve=False)
    with asking(directory_config(args)) as decisions:
        return json.loads(decisions.answer(msgspec.json.encode(request), args.tenant))


def _views(found: Iterable[Difference]) -> list[dict[str, Any]]:
    return [one._asdict() for one in found]


def _tell(told: dict[str, Any]) -> None:
    for line in lines(told["logged"]):
        say(line)
    if told["equal"]:
        say("decided again from its evidence: the same, bit for bit")
    else:
        complain("decided again from its evidence it is another one:")
        _tell_differences(told["differences"])
    if "today" in told:
        say()
        say("today:")
        for line in lines(told["today"]):
            say(line)
        say("changed since:" if told["since"] else "nothing has changed since")
        _tell_differences(told["since"])


def _tell_differences(found: list[dict[str, Any]]) -> None:
    for one in found:
        say(f"  {one['pointer']}: {json.dumps(one['before'])} -> {json.dumps(one['after'])}")
