"""`membrane ledger`: what departments asked of customers' attention, week by week, from the decision log."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Final

import msgspec

from cli.exits import DONE
from cli.output import number, print_json, say
from cli.plot import Panel, write_plot
from membrane.attention import Account, AttentionLedger, Weeks, favoured
from membrane.errors import RecordUnreadable
from storage.decisions import DecisionReader
from storage.directory import DataDir


class _Candidate(msgspec.Struct):
    id: str
    domain: str


class _Request(msgspec.Struct):
    candidates: list[_Candidate]
    at: str | None = None


class _Reason(msgspec.Struct):
    source: str


class _Verdict(msgspec.Struct):
    candidate: str
    verdict: str
    reasons: list[_Reason]
    lost_to: str | None = None


class _Answer(msgspec.Struct):
    verdicts: list[_Verdict]


class _Line(msgspec.Struct):
    request: _Request
    answer: _Answer


_line: Final = msgspec.json.Decoder(_Line)


def ledger(args: argparse.Namespace) -> int:
    """Prints the accounts, and plots them."""
    weeks = _read(DataDir.existing(args.data), args.tenant).weeks(args.weeks)
    if args.plot is not None:
        write_plot(args.plot, panels(weeks))
    if args.json:
        print_json({"weeks": msgspec.to_builtins(weeks)})
    else:
        for line in table(weeks):
            say(line)
    return DONE


def add(found: AttentionLedger, t: int, body: bytes) -> None:
    """Adds a line of the decision log. What was only asked about another moment took nobody's attention."""
    line = _line.decode(body)
    if line.request.at is not None:
        return
    domains = {one.id: one.domain for one in line.request.candidates}
    for verdict in line.answer.verdicts:
        sources = (reason.source for reason in verdict.reasons)
        found.add(t, domains[verdict.candidate], verdict.verdict, favoured(sources, verdict.lost_to, domains))


def table(weeks: Weeks) -> list[str]:
    """The accounts for people."""
    head = f"{'week of':10}  {'department':10}  {'asked':>9}  {'allowed':>9}  {'deferred':>9}  {'forbidden':>9}"
    shown = [f"{head}  in favour of"]
    for week, accounts in weeks.items():
        shown += [f"{week:10}  {name:10}  {_figures(account)}".rstrip() for name, account in accounts.items()]
    return shown if weeks else ["no decisions are logged"]


def panels(weeks: Weeks) -> list[Panel]:
    """A panel for each department, a bar for each week."""
    names = sorted({name for accounts in weeks.values() for name in accounts})
    labels = [week[5:] for week in weeks]
    found = []
    for name in names:
        accounts = [accounts.get(name, Account()) for accounts in weeks.values()]
        parts = {
            "allowed": [one.allowed for one in accounts],
            "deferred": [one.deferred for one in accounts],
            "forbidden": [one.forbidden for one in accounts],
        }
        found.append(Panel(name, labels, parts))
    return found


def _read(directory: DataDir, tenant: str) -> AttentionLedger:
    found = AttentionLedger()
    if not directory.decisions_path.exists():
        return found
    with closing(DecisionReader(directory.decisions_path)) as decisions:
        for logged in decisions.every(tenant):
            try:
                add(found, logged.time_ms, logged.body)
            except (msgspec.MsgspecError, KeyError, ValueError) as error:
                raise RecordUnreadable(f"{directory.decisions_path}: {logged.id}: cannot be read: {error}") from error
    return found


def _figures(account: Account) -> str:
    counts = (account.asked, account.allowed, account.deferred, account.forbidden)
    favour = ", ".join(f"{name} {number(count)}" for name, count in account.in_favour_of.items())
    return "  ".join(f"{number(count):>9}" for count in counts) + f"  {favour}"
