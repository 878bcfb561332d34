"""The ledger of attention: what departments asked of customers' attention, what they got, and in favour of whom not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from membrane.times import DAY, format_time
from membrane.vocabulary import KINDS, Verdict

CUSTOMER: Final = "customer"
"""In whose favour a principle, a cap, quiet hours or a consent refuses."""
CAUTION: Final = "caution"
"""In whose favour what is not known, or not well enough, is refused."""
OTHER: Final = "other"
"""Every domain that is none of ours."""
_UNKNOWING: Final = frozenset({"default", "degraded"})
_MONDAY: Final = 4 * DAY
"""The first Monday of the epoch."""


class Account(Struct):
    """One department's week: candidates asked for, the verdicts on them, and in whose favour the others were."""

    asked: int = 0
    allowed: int = 0
    deferred: int = 0
    forbidden: int = 0
    in_favour_of: dict[str, int] = field(default_factory=dict)


Weeks = dict[str, dict[str, Account]]
"""The accounts by the Monday (UTC) that a week begins with, then by department."""
_COUNTED_AS: Final = {Verdict.ALLOW: "allowed", Verdict.DEFER: "deferred", Verdict.FORBID: "forbidden"}


class AttentionLedger:
    """Adds up verdicts; it grows with the weeks alone."""

    def __init__(self) -> None:
        self._weeks: Weeks = {}

    def add(self, t: int, domain: str, verdict: str, in_favour_of: str) -> None:
        """One verdict given at t (ms)."""
        account = self._weeks.setdefault(week_of(t), {}).setdefault(department(domain), Account())
        account.asked += 1
        name = _COUNTED_AS[Verdict(verdict)]
        setattr(account, name, getattr(account, name) + 1)
        if verdict != Verdict.ALLOW:
            account.in_favour_of[in_favour_of] = account.in_favour_of.get(in_favour_of, 0) + 1

    def weeks(self, most: int) -> Weeks:
        """The last so many weeks of which there is something, oldest first."""
        return {
            week: {name: _ordered(account) for name, account in sorted(self._weeks[week].items())}
            for week in sorted(self._weeks)[-most:]
        }


def favoured(sources: Iterable[str], lost_to: str | None, domains: Mapping[str, str]) -> str:
    """In whose favour a candidate is not allowed, by the sources of its reasons (strongest first) and the candidate
    chosen instead; `domains` names the department of each candidate."""
    if lost_to is not None:
        return department(domains[lost_to])
    return CAUTION if next(iter(sources), "default") in _UNKNOWING else CUSTOMER


def department(domain: str) -> str:
    """The department of a domain, as far as there is one.

    >>> department("sales"), department("astrology")
    ('sales', 'other')
    """
    return domain if domain in KINDS else OTHER


def week_of(t: int) -> str:
    """The Monday (UTC) of the week of a moment.

    >>> week_of(0)
    '1969-12-29'
    """
    return format_time(t - (t - _MONDAY) % (7 * DAY)).partition("T")[0]


def _ordered(account: Account) -> Account:
    most_first = sorted(account.in_favour_of.items(), key=lambda entry: (-entry[1], entry[0]))
    account.in_favour_of = dict(most_first)
    return account
