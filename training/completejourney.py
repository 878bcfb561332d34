"""The reader of completejourney: a year of a retail household panel as CloudEvents.

A household is a customer; `source` = `completejourney`. Each has been one since before the data begin (account.opened).
A campaign sent to a household is a contact.made of marketing on the day it starts, a coupon redeemed a contact.answered
(converted) of it, a basket an order.placed of what the sample has of it. Of campaigns and redemptions the data know the
day alone, of campaigns neither kind nor channel: hours, `cross_sell` and `letter` are ours.

With `cases`, a synthetic join: the households get the cases of as many callers of uci_incidents, one caller each, moved
by a whole number of weeks into the panel's year. Who gets whose, and by how much, follows from a seeded hash alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from training.ndjson import Event, write_events
from training.progress import Progress, silent
from training.tables import read_table
from training.uci import uci_events

SEED: Final = "2026-11-23"
DESCRIPTIONS: Final = "campaign_descriptions.csv.gz"
CAMPAIGNS: Final = "campaigns_half0.csv.gz"
REDEMPTIONS: Final = "coupon_redemptions_half0.csv.gz"
TRANSACTIONS: Final = "transactions_sample_half0.csv.gz"
OPENED: Final = "2016-01-01T00:00:00Z"
SENT_AT: Final = "T10:00:00Z"
REDEEMED_AT: Final = "T12:00:00Z"
_DESCRIPTION: Final = ("campaign_id", "start_date")
_CAMPAIGN: Final = ("campaign_id", "household_id")
_REDEMPTION: Final = ("household_id", "campaign_id", "redemption_date")
_TRANSACTION: Final = ("household_id", "basket_id", "sales_value", "transaction_timestamp")
_FIRST_WEEK: Final = 44
"""From 2016-02-29, where uci_incidents begins, to 2017-01-02."""
_WEEKS: Final = 40


def write_completejourney(
    source_dir: Path, out: Path, *, cases: Path | None = None, progress: Progress = silent
) -> Counter[str]:
    """Write the data set in `source_dir` as NDJSON to `out`, in time order, with the cases of the folder `cases`.

    Returns the number of lines by type. Progress in lines. Raises UsageError if a file or a column is missing."""
    events = [*_sent(source_dir), *_redeemed(source_dir), *_orders(source_dir)]
    households = sorted({event["subject"] for event in events})
    events += [_event(f"opened-{one}", one, "account.opened", OPENED) for one in households]
    if cases is not None:
        events += _joined(households, uci_events(cases))
    events.sort(key=lambda event: event["time"])
    return write_events(events, out, progress)


def _sent(source_dir: Path) -> Iterator[Event]:
    starts = {row["campaign_id"]: row["start_date"] for row in _table(source_dir / DESCRIPTIONS, _DESCRIPTION)}
    for row in _table(source_dir / CAMPAIGNS, _CAMPAIGN):
        campaign, household = row["campaign_id"], row["household_id"]
        contact = _contact(campaign, household)
        data = {"domain": "marketing", "kind": "cross_sell", "channel": "letter", "contact": contact}
        yield _event(contact, household, "contact.made", starts[campaign] + SENT_AT, {**data, "campaign": campaign})


def _redeemed(source_dir: Path) -> Iterator[Event]:
    for line, row in enumerate(_table(source_dir / REDEMPTIONS, _REDEMPTION), 1):
        data = {"contact": _contact(row["campaign_id"], row["household_id"]), "outcome": "converted"}
        moment = row["redemption_date"] + REDEEMED_AT
        yield _event(f"coupon-{line}", row["household_id"], "contact.answered", moment, data)


def _orders(source_dir: Path) -> Iterator[Event]:
    cents: Counter[tuple[str, str, str]] = Counter()
    for row in _table(source_dir / TRANSACTIONS, _TRANSACTION):
        key = row["basket_id"], row["household_id"], row["transaction_timestamp"]
        cents[key] += round(float(row["sales_value"]) * 100)
    for (basket, household, moment), total in cents.items():
        time = f"{datetime.fromisoformat(moment):%Y-%m-%dT%H:%M:%SZ}"
        yield _event(f"basket-{basket}", household, "order.placed", time, {"amount": total / 100, "currency": "USD"})


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    return read_table(path, "completejourney", columns)


def _contact(campaign: str, household: str) -> str:
    return f"campaign-{campaign}-{household}"


def _joined(households: Iterable[str], cases: list[Event]) -> Iterator[Event]:
    """The cases with households for callers; those of callers who are left over are left out."""
    callers = {event["subject"] for event in cases if "subject" in event}
    given = dict(zip(sorted(callers, key=_hash), sorted(households, key=_hash), strict=False))
    for event in cases:
        household = given.get(event.get("subject", ""))
        if household is not None:
            later = timedelta(weeks=_FIRST_WEEK + _hash(household) % _WEEKS)
            moment = datetime.fromisoformat(event["time"]) + later
            yield {**event, "subject": household, "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}


def _hash(name: str) -> int:
    return int.from_bytes(sha256(f"{SEED}:{name}".encode()).digest()[:8], "big")


def _event(name: str, household: str, kind: str, time: str, data: dict[str, Any] | None = None) -> Event:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "completejourney",
        "type": f"cx.{kind}.v1",
        "time": time,
        "datacontenttype": "application/json",
        "subject": household,
        "data": data or {},
    }
